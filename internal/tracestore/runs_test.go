package tracestore

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

func TestCluster(t *testing.T) {
	minutes := func(ns ...int64) (out []stretch) { // of 10 spans each
		for _, n := range ns {
			out = append(out, stretch{10, 60 * n, 60*n + 70})
		}
		return out
	}
	tests := []struct {
		name  string
		in    []stretch
		least int
		want  [][]int
	}{
		{"nothing", nil, 1, nil},
		{"one", minutes(3), 1, [][]int{{0}}},
		{"too small", minutes(0, 1, 2), 1000, [][]int{{0, 1, 2}}},
		{"a quarter each", minutes(0, 1, 2, 3, 4, 5, 6, 7), 1, [][]int{{0, 1}, {2, 3}, {4, 5}, {6, 7}}},
		{"in any order", minutes(7, 2, 5, 0, 3, 6, 1, 4), 1, [][]int{{3, 6}, {1, 4}, {2, 7}, {0, 5}}},
		{"the least size", minutes(0, 1, 2, 3, 4, 5, 6, 7), 40, [][]int{{0, 1, 2, 3}, {4, 5, 6, 7}}},
		{"no small rest", minutes(0, 1, 2, 3, 4), 40, [][]int{{0, 1, 2, 3, 4}}},
		{"of the same time", minutes(0, 0, 0, 0, 0, 0), 1, [][]int{{0, 1, 2, 3, 4, 5}}},
		{"a big one", []stretch{{1000, 0, 600}, {10, 590, 700}, {10, 700, 800}}, 5, [][]int{{0, 1, 2}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, cluster(tt.in, tt.least)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestRunsOf(t *testing.T) {
	id := func(n byte) model.TraceID { return model.TraceID{n} }
	groups := []groupMeta{
		{first: id(1), last: id(5)},
		{first: id(5), last: id(9)}, // one trace goes on
		{first: id(2), last: id(3)},
		{first: id(1), last: id(1)},
		{first: id(4), last: id(8)},
	}
	for i := range groups {
		groups[i].rows, groups[i].minStart, groups[i].maxEnd = 10, int64(100-i), int64(200+i)
	}
	want := []run{
		{from: 0, to: 2, first: 99, last: 201, stretch: stretch{20, 100, 201}},
		{from: 2, to: 3, first: 98, last: 202, stretch: stretch{10, 98, 202}},
		{from: 3, to: 5, first: 96, last: 204, stretch: stretch{20, 97, 204}},
	}
	if got := runsOf(groups); !slices.Equal(got, want) {
		t.Errorf("runs %v, want %v", got, want)
	}
	if got := runsOf(nil); len(got) != 0 {
		t.Errorf("runs %v of nothing", got)
	}
}

// TestRuns merges an hour into one part. What asks for its end reads its last run alone.
func TestRuns(t *testing.T) {
	d := openTest(t, Options{})
	s := d.s
	s.minRun = 4
	const minutes = 60
	begin := storetest.Now().UnixNano() - minutes*60e9
	for n := range minutes {
		td := ptrace.NewTraces()
		sp := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		sp.SetTraceID(pcommon.TraceID{byte(n * 37), byte(n + 1)})
		sp.SetSpanID(pcommon.SpanID{1})
		sp.SetStartTimestamp(pcommon.Timestamp(begin + int64(n)*60e9))
		sp.SetEndTimestamp(sp.StartTimestamp())
		if err := s.Append(t.Context(), model.DefaultTenant, storetest.Spans(td)); err != nil {
			t.Fatal(err)
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string) {
		t.Helper()
		snap := s.snapshot(model.DefaultTenant, allTime(), nil)
		defer snap.close()
		if len(snap.view.Parts) != 1 || len(snap.mem) > 0 {
			t.Fatalf("%s: %d parts, %d groups in memory", when, len(snap.view.Parts), len(snap.mem))
		}
		p := snap.view.Parts[0]
		if len(p.Data.runs) < 2 || len(p.Data.runs) > maxRuns+1 {
			t.Errorf("%s: runs %v", when, p.Data.runs)
		}
		last := p.Data.runs[len(p.Data.runs)-1]
		acct := &store.Account{}
		sel := store.SpanSelector{Range: model.TimeRange{From: p.Data.groups[last.from].minStart, To: storetest.Now().UnixNano()}, Account: acct}
		var ids []model.TraceID
		for r, err := range s.Scan(t.Context(), model.DefaultTenant, sel) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, r.TraceID...)
		}
		if len(ids) == 0 || len(ids) > minutes/2 || !slices.IsSortedFunc(ids, model.TraceID.Compare) || acct.Usage().RowsScanned != int64(len(ids)) {
			t.Errorf("%s: %d traces in the last run, %d spans read", when, len(ids), acct.Usage().RowsScanned)
		}
	}
	if err := s.Merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("merged")
	d.close()
	again, err := openDir(d.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	*d = *again
	s = d.s
	check("opened again")
}

// TestOldIndexes reads what earlier versions wrote.
func TestOldIndexes(t *testing.T) {
	var groups []byte
	for _, ids := range [][2]byte{{1, 5}, {6, 9}} {
		groups = append(groups, 1)
		groups = append(append(groups, ids[0]), make([]byte, 15)...)
		groups = append(append(groups, ids[1]), make([]byte, 15)...)
		groups = append(groups, 2, 4, 1, 1, 1, 1) // first start 1, last end 2, two references
	}
	for version, rest := range map[byte][]byte{1: {0}, 2: {0, 1}, 3: {0, 1}} {
		idx, err := parseIndex(slices.Concat([]byte{version, 2}, groups, rest))
		if err != nil || len(idx.runs) != 1 || idx.runs[0].to != 2 || idx.groups[1].maxEnd != 2 || (idx.thinned == 1) != (version > 1) {
			t.Errorf("version %d: %+v, %v", version, idx, err)
		}
	}
}
