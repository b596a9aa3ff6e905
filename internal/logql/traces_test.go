package logql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestTraceFilters runs queries whose filters ask for traces. The finder knows the trace
// of errors, e1, and the traces of slow, s1 and s2.
func TestTraceFilters(t *testing.T) {
	logs := storetest.NewLogs()
	st := store.LogStream{Labels: model.Labels{{Name: "app", Value: "x"}}}
	for i, id := range []string{"e1", "s1", "s2", "o1", ""} {
		e := store.LogEntry{Time: int64(i+1) * 1e9, Line: fmt.Sprintf("id=%s n=%d", id, i)}
		if id != "" {
			e.Meta = logmeta.New(model.Label{Name: "trace_id", Value: id})
		}
		st.Entries = append(st.Entries, e)
	}
	if err := logs.Append(t.Context(), "t", &store.LogBatch{Streams: []store.LogStream{st}}); err != nil {
		t.Fatal(err)
	}
	asked := 0
	broken := errors.New("broken")
	g := &Engine{Reader: logs, Index: logs, Traces: func(_ context.Context, tenant model.Tenant, query string, r model.TimeRange, limit int, _ *store.Account) ([]string, error) {
		asked++
		if tenant != "t" || r.From > 1e9 || r.To < 6e9 || limit <= 0 {
			t.Errorf("asked for tenant %s, range %v, limit %d", tenant, r, limit)
		}
		switch {
		case strings.Contains(query, "broken"):
			return nil, broken
		case strings.Contains(query, "error"):
			return []string{"e1"}, nil
		case strings.Contains(query, "slow"):
			return []string{"s2", "s1", "s2"}, nil
		}
		return nil, nil
	}}
	for _, tt := range []struct {
		query string
		want  string // of the lines, the numbers
	}{
		{`{app="x"} | trace_id in { status = error }`, "0"},
		{`{app="x"} | trace_id in {.a="}" && name="slow"} |= "n="`, "1 2"},
		{`{app="x"} | trace_id in ({ .a = "(" } >> { name = "slow" })`, "1 2"},
		{`{app="x"} | logfmt | id in { name = "slow" } and n > 1`, "2"},
		{`{app="x"} | trace_id in { status = error } or trace_id in { name = "slow" }`, "0 1 2"},
		{`{app="x"} | trace_id in { name = "none" }`, ""},
	} {
		e, err := Parse(tt.query)
		if err != nil {
			t.Fatalf("%s: %v", tt.query, err)
		}
		again, err := Parse(Format(e))
		if err != nil || again.String() != e.String() {
			t.Errorf("%s formats as %s, error %v", tt.query, Format(e), err)
		}
		res, err := g.Query(t.Context(), "t", e, Params{Start: 0, End: 10e9})
		if err != nil {
			t.Fatalf("%s: %v", tt.query, err)
		}
		var got []string
		for _, s := range res.Streams {
			for _, en := range s.Entries {
				got = append(got, en.Line[len(en.Line)-1:])
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: got %q, want %s", tt.query, got, tt.want)
		}
	}
	asked = 0
	e, err := Parse(`sum(count_over_time({app="x"} | trace_id in { status = error } [10s])) + sum(count_over_time({app="x"} | trace_id in { status = error } [10s]))`)
	if err != nil {
		t.Fatal(err)
	}
	res, err := g.Query(t.Context(), "t", e, Params{Start: 6e9, End: 6e9})
	if err != nil || len(res.Series) != 1 || res.Series[0].Points[0].Value != 2 || asked != 1 {
		t.Errorf("%+v, error %v, asked %d times", res, err, asked)
	}
	e, _ = Parse(`{app="x"} | trace_id in { .broken }`)
	if _, err := g.Query(t.Context(), "t", e, Params{End: 10e9}); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if _, err := (&Engine{Reader: logs}).Query(t.Context(), "t", e, Params{End: 10e9}); !errors.Is(err, ErrQuery) {
		t.Errorf("without traces: %v", err)
	}
	if _, _, err := Filter(e.String()); !errors.Is(err, ErrParse) {
		t.Errorf("as a filter: %v", err)
	}
	for _, bad := range []string{`{app="x"} | trace_id in {`, `{app="x"} | trace_id in (`, `{app="x"} | trace_id in ()`, `{app="x"} | trace_id in`, `{app="x"} | in {a="b"}`} {
		if _, err := Parse(bad); !errors.Is(err, ErrParse) {
			t.Errorf("%s: error %v", bad, err)
		}
	}
	if _, err := Parse(`sum by (in) (count_over_time({in="x"} | in="y" [1m]))`); err != nil {
		t.Errorf("a label named in: %v", err)
	}
}
