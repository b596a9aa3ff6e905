package meter

import (
	"context"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

type writer struct{ err error }

func (w writer) Append(context.Context, model.Tenant, *store.LogBatch) error { return w.err }

func TestCounts(t *testing.T) {
	now := time.Unix(1000, 0)
	m := New(nil, func() time.Time { return now })
	batch := &store.LogBatch{Streams: []store.LogStream{{Entries: make([]store.LogEntry, 30)}}}
	refused := &store.Refused{Kept: 20}
	refused.Add(store.ReasonTooOld, 10, func() string { return "x" })
	for _, err := range []error{nil, refused, store.ErrReadOnly} {
		_ = m.Logs(writer{err}).Append(t.Context(), "t1", batch)
	}
	now = now.Add(time.Second)
	want := Count{Received: 50, Refused: 10, Rate: 5, Last: time.Unix(1000, 0)}
	if got := m.Count(model.Logs); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	now = now.Add(time.Minute)
	if got := m.Count(model.Logs); got.Rate != 0 || got.Received != 50 {
		t.Errorf("a minute later: %+v", got)
	}
	early := &store.Refused{}
	early.Add(store.ReasonInvalidLabels, 3, func() string { return "x" })
	m.Refused(model.Logs, "t1", early)
	if got := m.Count(model.Logs); got.Refused != 13 || got.Received != 50 {
		t.Errorf("with what a protocol refused: %+v", got)
	}
	if got := m.Rejects("t1"); len(got) != 2 || got[0].Reason != store.ReasonInvalidLabels || got[0].Count != 3 {
		t.Errorf("rejects %+v", got)
	}
	if got := m.Count(model.Traces); got != (Count{}) {
		t.Errorf("traces: %+v", got)
	}
}
