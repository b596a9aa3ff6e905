package logql

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestMemoryIsCharged runs queries that hold much, each of another kind, and checks that they
// say so, and end when it is more than they may.
func TestMemoryIsCharged(t *testing.T) {
	const entries, streams = 4000, 100
	logs := storetest.NewLogs()
	batch := &store.LogBatch{}
	for s := range streams {
		st := store.LogStream{Labels: model.NewLabels(model.Label{Name: "app", Value: "x"}, model.Label{Name: "stream", Value: fmt.Sprint(s)})}
		for i := s; i < entries; i += streams {
			st.Entries = append(st.Entries, store.LogEntry{Time: int64(i) * int64(time.Second), Line: fmt.Sprintf("n=%d", i)})
		}
		batch.Streams = append(batch.Streams, st)
	}
	if err := logs.Append(t.Context(), "t", batch); err != nil {
		t.Fatal(err)
	}
	g := &Engine{Reader: logs, Index: logs}
	for _, tt := range []struct {
		name, query string
		step        time.Duration
		least       int64
	}{
		{"pieces of time", `sum(count_over_time({app="x"}[1s]))`, time.Second, entries * 8},
		{"and two numbers in each", `max_over_time({app="x"} | logfmt | unwrap n [1s]) by (app)`, time.Second, entries * 16},
		{"numbers of quantiles", `quantile_over_time(0.5, {app="x"} | logfmt | unwrap n [2h]) by (app)`, 0, entries * 8},
		{"series", `count_over_time({app="x"} | logfmt [2h])`, 0, entries * 300},
		{"values of series", `vector(1)`, time.Second, entries * 8},
		{"entries", `{app="x"}`, 0, entries * 16},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := Parse(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			p := Params{Start: 0, End: entries * int64(time.Second), Step: tt.step, Limit: entries, Account: &store.Account{}}
			if IsMetric(e) && tt.step == 0 {
				p.Start = p.End
			}
			if _, err := g.Query(t.Context(), "t", e, p); err != nil {
				t.Fatal(err)
			}
			peak := p.Account.Usage().PeakMemory
			if peak < tt.least || peak > 40*tt.least {
				t.Errorf("it said it held %d bytes, want at least %d", peak, tt.least)
			}
			p.Account = &store.Account{MaxMemory: tt.least - 1}
			if _, err := g.Query(t.Context(), "t", e, p); !errors.Is(err, store.ErrTooBroad) {
				t.Errorf("with a byte less than that: %v", err)
			}
		})
	}
}
