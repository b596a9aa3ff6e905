package otlp

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// logsBody returns ld as it is sent.
func logsBody(t testing.TB, ld plog.Logs) []byte {
	t.Helper()
	b, err := new(plog.ProtoMarshaler).MarshalLogs(ld)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tracesBody returns td as it is sent.
func tracesBody(t testing.TB, td ptrace.Traces) []byte {
	t.Helper()
	b, err := new(ptrace.ProtoMarshaler).MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWriteTraces(t *testing.T) {
	traces := storetest.NewTraces()
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range 3 {
		s := spans.AppendEmpty()
		s.SetTraceID([16]byte{15: byte(i)}) // the first is all zero
		s.SetSpanID([8]byte{7: 1})
	}
	items, err := New(Options{Traces: traces}).WriteTraces(t.Context(), "t", tracesBody(t, td))
	var refused *store.Refused
	if !errors.As(err, &refused) || refused.Kept != 2 || refused.Count() != 1 || refused.Refusals[0].Reason != store.ReasonInvalidID {
		t.Errorf("error %v, want one refused and two kept", err)
	}
	if items != 3 {
		t.Errorf("%d spans read, want 3", items)
	}
	if _, err := traces.Trace(t.Context(), "t", model.TraceID{15: 2}, model.TimeRange{}, nil); err != nil {
		t.Errorf("read a kept trace: %v", err)
	}
}

func TestWriteLogs(t *testing.T) {
	logs := storetest.NewLogs()
	ld := plog.NewLogs()
	records := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	records.AppendEmpty().Body().SetStr("received now")
	bad := ld.ResourceLogs().AppendEmpty()
	bad.Resource().Attributes().PutStr("service.name", "\xff")
	bad.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("lost")
	now := storetest.Now()
	items, err := New(Options{Logs: logs, Now: func() time.Time { return now }}).WriteLogs(t.Context(), "t", logsBody(t, ld))
	var refused *store.Refused
	if !errors.As(err, &refused) || refused.Kept != 1 || refused.Refusals[0].Reason != store.ReasonInvalidLabels {
		t.Errorf("error %v, want one refused and one kept", err)
	}
	if items != 2 {
		t.Errorf("%d records read, want 2", items)
	}
	n := 0
	for rows, err := range logs.Select(t.Context(), "t", store.LogSelector{Range: model.TimeRange{From: now.UnixNano(), To: now.UnixNano() + 1}}) {
		if err != nil {
			t.Fatal(err)
		}
		n += len(rows.Times)
	}
	if n != 1 {
		t.Errorf("%d entries at the time of receipt, want 1", n)
	}
}

// TestStoreErrorsPass checks that what is worth a retry stays recognisable.
func TestStoreErrorsPass(t *testing.T) {
	w := New(Options{Metrics: failing{}})
	if items, err := w.WriteMetrics(t.Context(), "t", metricsBody(t, deltaSum(1, 2, 3))); !errors.Is(err, store.ErrReadOnly) || items != 1 {
		t.Errorf("%d points, error %v, want 1 and read-only", items, err)
	}
	if _, err := w.WriteTraces(t.Context(), "t", nil); !errors.Is(err, store.ErrUnsupported) {
		t.Errorf("error %v, want unsupported", err)
	}
	if _, err := w.WriteMetrics(t.Context(), "t", nil); err != nil {
		t.Errorf("nothing to store: %v", err)
	}
}

type failing struct{}

func (failing) Append(context.Context, model.Tenant, *store.MetricBatch) error {
	return store.ErrReadOnly
}

// refusing is a LogWriter that nothing must reach.
type refusing struct{ t *testing.T }

func (r refusing) Append(context.Context, model.Tenant, *store.LogBatch) error {
	r.t.Error("something was stored")
	return nil
}
