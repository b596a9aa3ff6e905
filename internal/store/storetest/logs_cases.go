package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
)

func testLineFilters(t *testing.T, sub Subject[LogStore]) {
	w := newLogTwin(sub)
	for i, line := range []string{
		"error: connection refused by 10.0.0.1:5432", "ERROR connection reset", "info request done status=200 trace_id=4bf92f3577b34da6",
		"warn slow request status=503", "", "err", "errorerror", `{"level":"error","code":500}`, "ünïcödé error", "a.b*c", "line one\nerror on line two",
	} {
		w.lines(t, labels("app", fmt.Sprint(i%2)), store.LogEntry{Time: nanos() + int64(i), Line: line})
	}
	sub1 := func(p ...string) store.LineFilter { return store.LineFilter{Patterns: p} }
	rx := func(p ...string) store.LineFilter { return store.LineFilter{Patterns: p, Regexp: true} }
	not := func(f store.LineFilter) store.LineFilter { f.Negate = true; return f }
	var sels []store.LogSelector
	for _, fs := range [][]store.LineFilter{
		{sub1("error")},
		{sub1("")},
		{not(sub1("error"))},
		{not(sub1(""))},
		{sub1("error", "warn")},
		{not(sub1("error", "warn"))},
		{sub1("rror: conn")},
		{sub1("4bf92f35")},
		{sub1("a.b*c")},
		{sub1("5432")},
		{sub1("line two")},
		{sub1("öd")},
		{sub1("error"), not(sub1("refused"))},
		{sub1("request"), sub1("status=503")},
		{rx("err(or)?")},
		{rx("^err$")},
		{rx("(?i)error")},
		{rx("status=[45]..")},
		{not(rx("e"))},
		{rx("^$")},
		{rx("")},
		{rx("warn|info")},
		{rx(`\d+\.\d+\.\d+\.\d+`)},
		{rx("slow", "reset")},
		{not(rx("slow", "reset"))},
		{sub1("error"), rx("code.:500")},
	} {
		sels = append(sels, store.LogSelector{Range: always(), Lines: fs}, store.LogSelector{Range: always(), Lines: fs, NoLine: true, NoMeta: true})
	}
	w.checkEverywhere(t, sels...)
}

func metaEntries() []store.LogEntry {
	var out []store.LogEntry
	for i, meta := range []model.Labels{
		nil,
		{{Name: "trace_id", Value: "4bf92f3577b34da6a3ce929d0e0e4736"}, {Name: "level", Value: "error"}},
		{{Name: "level", Value: "info"}, {Name: "empty", Value: ""}}, // not sorted, one empty
		labels("code", "500", "level", "info"),
		labels("a.b-c", "ü", "z", "\x00"),
		labels("code", "404"),
	} {
		out = append(out, store.LogEntry{Time: nanos() + int64(i), Line: fmt.Sprint("line ", i), Meta: logmeta.New(meta...)})
	}
	return out
}

func testLogMeta(t *testing.T, sub Subject[LogStore]) {
	w := newLogTwin(sub)
	w.lines(t, labels("app", "x"), metaEntries()...)
	w.lines(t, labels("app", "y"), metaEntries()[3:]...)
	w.checkEverywhere(t,
		store.LogSelector{Range: always()},
		store.LogSelector{Range: always(), NoLine: true},
		store.LogSelector{Range: always(), NoMeta: true},
		store.LogSelector{Range: always(), NoLine: true, NoMeta: true},
		store.LogSelector{Range: always(), MetaNames: []string{"level"}},
		store.LogSelector{Range: always(), MetaNames: []string{"code", "trace_id", "absent"}, NoLine: true},
		store.LogSelector{Range: always(), MetaNames: []string{}},
	)
	fields, err := w.sub.Store.FieldNames(t.Context(), tenant, logSel(0))
	if err != nil {
		t.Fatalf("field names: %v", err)
	}
	var names []string
	for _, f := range fields {
		names = append(names, f.Name)
		if f.Count < 1 {
			t.Errorf("field %q has %d values", f.Name, f.Count)
		}
	}
	if want := []string{"a.b-c", "code", "level", "trace_id", "z"}; !slices.Equal(names, want) {
		t.Errorf("field names = %q, want %q", names, want)
	}
}

func testLogFields(t *testing.T, sub Subject[LogStore]) {
	w := newLogTwin(sub)
	w.lines(t, labels("app", "x"), metaEntries()...)
	var sels []store.LogSelector
	for _, ms := range [][]*model.Matcher{
		{eq("level", "error")},
		{eq("level", "")},
		{neq("level", "info")},
		{re("level", "err.*|info")},
		{nre("level", "")},
		{eq("code", "500"), eq("level", "info")},
		{eq("absent", "")},
		{neq("absent", "")},
		{re("code", "4..|5..")},
		{eq("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")},
	} {
		var fs []store.FieldPredicate
		for _, m := range ms {
			fs = append(fs, store.FieldPredicate{Matcher: m})
		}
		sels = append(sels,
			store.LogSelector{Range: always(), Fields: fs},
			store.LogSelector{Range: always(), Fields: fs, NoLine: true, NoMeta: true},
			store.LogSelector{Range: always(), Fields: fs, Lines: []store.LineFilter{{Patterns: []string{"3", "1"}}}})
	}
	w.checkEverywhere(t, sels...)
}

// testLogBig writes more than one batch of Select holds, of streams that interleave.
func testLogBig(t *testing.T, sub Subject[LogStore]) {
	total := 0
	for app := range 2 {
		var entries []store.LogEntry
		for i := range 10_000 + app*500 {
			entries = append(entries, store.LogEntry{Time: nanos() - int64(i)*5_000_000 - int64(app), Line: fmt.Sprintf("request %d of app %d took %dms", i, app, i%97)})
		}
		rand.New(rand.NewPCG(1, 2)).Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		total += len(entries)
		err := sub.Store.Append(t.Context(), tenant, &store.LogBatch{Streams: []store.LogStream{{Labels: labels("app", fmt.Sprint(app)), Entries: entries}}})
		if err != nil {
			t.Fatalf("append: %v", err)
		}
	}
	for range 2 {
		for _, d := range []store.Direction{store.Forward, store.Backward} {
			rows := readLogs(t, sub.Store, tenant, logSel(d))
			seen := map[string]bool{}
			for _, r := range rows {
				seen[r.Line] = true
			}
			if len(rows) != total || len(seen) != total {
				t.Fatalf("%d entries, %d different, want %d", len(rows), len(seen), total)
			}
			first := logSel(d)
			first.Limit = 10
			n := 0
			for b, err := range sub.Store.Select(t.Context(), tenant, first) {
				if err != nil {
					t.Fatalf("select: %v", err)
				}
				n += len(b.Times)
			}
			if n < 10 {
				t.Errorf("limit 10 yields %d entries", n)
			}
		}
		settle(t, &sub)
	}
}

// meta lends the values of ls; that of the field share is one of [logmeta.Fields.Shared].
func (l *loan) meta(ls model.Labels, share string) logmeta.Meta {
	if ls = model.NewLabels(ls...); len(ls) == 0 {
		return logmeta.Meta{}
	}
	var names, shared []string
	var values []byte
	for _, x := range ls {
		names, shared = append(names, x.Name), append(shared, "")
		if x.Name == share {
			shared[len(shared)-1] = l.str(x.Value)
		} else {
			values = logmeta.AppendValue(values, x.Value)
		}
	}
	if ls.Get(share) == "" {
		shared = nil
	}
	return logmeta.Meta{Fields: logmeta.NewFields(logmeta.NewNames(names), shared), Values: l.str(string(values))}
}

func testLogOwnership(t *testing.T, sub Subject[LogStore]) {
	w := newLogTwin(sub)
	for i := range 3 {
		var l loan
		entries := []store.LogEntry{{Time: nanos() + int64(i), Line: l.str("a line"), Meta: l.meta(labels("k", "v", "of", "all"), "of")}}
		w.lines(t, l.labels(labels("app", "x")), entries...)
		l.spoil()
		entries[0] = store.LogEntry{}
		w.check(t, logSel(store.Forward))
	}
	w.checkEverywhere(t)
}

func testLogInvalid(t *testing.T, sub Subject[LogStore]) {
	entries := []store.LogEntry{{Time: nanos(), Line: "1"}, {Time: nanos(), Line: "2"}}
	for name, bad := range map[string]model.Labels{
		"no labels": {}, "only empty": {{Name: "a"}}, "not UTF-8": {{Name: "a", Value: "\xff"}}, "empty name": {{Name: "", Value: "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := sub.Store.Append(t.Context(), tenant, &store.LogBatch{Streams: []store.LogStream{
				{Labels: bad, Entries: entries}, {Labels: labels("app", "good"), Entries: entries[:1]},
			}})
			wantRefused(t, err, store.ReasonInvalidLabels, 2, 1)
		})
	}
	if rows := readLogs(t, sub.Store, tenant, logSel(0)); len(rows) != 1 {
		t.Errorf("stored %v, want the good entry once", rows)
	}
}

func testLogBudget(t *testing.T, sub Subject[LogStore]) {
	w := newLogTwin(sub)
	for i := range 50 {
		w.lines(t, labels("app", "x"), store.LogEntry{Time: nanos() + int64(i), Line: strings.Repeat(fmt.Sprint(i, " "), 100)})
	}
	for range 2 {
		sel := logSel(store.Forward)
		sel.Account = &store.Account{MaxBytes: 1000}
		wantLastError(t, w.sub.Store.Select(t.Context(), tenant, sel), store.ErrTooBroad)
		settle(t, &w.sub)
	}
}

// testLogStreams checks the volume of streams that lie in the range as a whole.
func testLogStreams(t *testing.T, sub Subject[LogStore]) {
	w := newLogTwin(sub)
	var lines, metas int64
	for i := range 40 {
		e := store.LogEntry{Time: nanos() - int64(i)*1_000_000_000, Line: strings.Repeat("x", i)}
		if i%2 == 0 {
			lines += int64(len(e.Line))
			if i%4 == 0 {
				e.Meta = logmeta.New(labels("level", "info")...)
				metas += int64(len("level") + len("info"))
			}
		}
		w.lines(t, labels("app", fmt.Sprint(i%2)), e)
	}
	for range 2 {
		got, err := w.sub.Store.Streams(t.Context(), tenant, logSel(0))
		if err != nil {
			t.Fatalf("streams: %v", err)
		}
		if len(got) != 2 || !got[0].Labels.Equal(labels("app", "0")) || !got[1].Labels.Equal(labels("app", "1")) {
			t.Fatalf("streams = %+v", got)
		}
		if got[0].Entries != 20 || got[0].Bytes < lines || got[0].Bytes > lines+metas {
			t.Errorf("stream 0 = %+v, want 20 entries of %d to %d bytes", got[0], lines, lines+metas)
		}
		settle(t, &w.sub)
	}
}

func testLogTenants(t *testing.T, sub Subject[LogStore]) {
	w := newLogTwin(sub)
	w.lines(t, labels("app", "x"), store.LogEntry{Time: nanos(), Line: "mine"})
	w.append(t, "team-b", &store.LogBatch{Streams: []store.LogStream{{Labels: labels("app", "y"), Entries: []store.LogEntry{{Time: nanos(), Line: "theirs"}}}}})
	w.checkEverywhere(t)
	if rows := readLogs(t, w.sub.Store, "team-b", logSel(0)); len(rows) != 1 || rows[0].Line != "theirs" {
		t.Errorf("tenant team-b has %v", rows)
	}
	if rows := readLogs(t, w.sub.Store, "nobody", logSel(0)); rows != nil {
		t.Errorf("tenant nobody has %v", rows)
	}
	values, err := w.sub.Store.LabelValues(t.Context(), tenant, "app", logSel(0))
	if err != nil || !slices.Equal(values, []string{"x"}) {
		t.Errorf("label values = %q, %v", values, err)
	}
}

func testLogCancel(t *testing.T, sub Subject[LogStore]) {
	w := newLogTwin(sub)
	w.lines(t, labels("app", "x"), store.LogEntry{Time: nanos(), Line: "x"})
	wantLastError(t, w.sub.Store.Select(cancelled(t.Context()), tenant, logSel(0)), context.Canceled)
	for _, err := range w.sub.Store.Select(t.Context(), tenant, logSel(0)) {
		if err != nil {
			t.Error(err)
		}
		break // a reader may stop early
	}
	err := w.sub.Store.Tail(cancelled(t.Context()), tenant, nil, func(*store.LogBatch, int) error { return errors.New("called") })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled tail = %v", err)
	}
}

// checkNames compares the questions about names.
func (w *logTwin) checkNames(t *testing.T, sel store.LogSelector) {
	t.Helper()
	wide := sel
	wide.Range = wholeDays(sel.Range, dayNanos)
	must := func(got []string, err error) []string {
		if err != nil {
			t.Fatalf("names for %v: %v", sel.Matchers, err)
		}
		return got
	}
	for what, f := range map[string]func(LogStore, store.LogSelector) []string{
		"label names": func(s LogStore, sel store.LogSelector) []string {
			return must(s.LabelNames(t.Context(), tenant, sel))
		},
		"values of app": func(s LogStore, sel store.LogSelector) []string {
			return must(s.LabelValues(t.Context(), tenant, "app", sel))
		},
		"fields": func(s LogStore, sel store.LogSelector) (names []string) {
			fields, err := s.FieldNames(t.Context(), tenant, sel)
			for _, f := range fields {
				names = append(names, f.Name)
			}
			return must(names, err)
		},
		"streams": func(s LogStore, sel store.LogSelector) (names []string) {
			streams, err := s.Streams(t.Context(), tenant, sel)
			if !slices.IsSortedFunc(streams, func(a, b store.StreamStats) int { return a.Labels.Compare(b.Labels) }) {
				t.Errorf("streams are not in order: %v", streams)
			}
			for _, x := range streams {
				names = append(names, x.Labels.String())
			}
			slices.Sort(names)
			return must(names, err)
		},
	} {
		wantBetween(t, what, f(w.sub.Store, sel), f(w.ref, sel), f(w.ref, wide))
	}
}

func randomLogBatch(rng *rand.Rand, l *loan) *store.LogBatch {
	b := &store.LogBatch{}
	base := nanos() - rng.Int64N(2*dayNanos)
	for range 1 + rng.IntN(6) {
		ls := labels("app", pick(rng, "api", "db", "web"), "env", pick(rng, "", "prod"), "pod", fmt.Sprint(rng.IntN(3)))
		s := store.LogStream{Labels: l.labels(ls)}
		for range rng.IntN(25) {
			line := fmt.Sprintf("%s request %d status=%d took %dms", pick(rng, "info", "error", "WARN"), rng.IntN(50), pick(rng, 200, 404, 500), rng.IntN(1000))
			if rng.IntN(10) == 0 {
				line = strings.Repeat(line+" ", rng.IntN(30))
			}
			meta := labels("level", pick(rng, "", "info", "error"), "trace_id", pick(rng, "", fmt.Sprintf("%032x", rng.IntN(40))), fmt.Sprint("k", rng.IntN(12)), pick(rng, "", "v"))
			s.Entries = append(s.Entries, store.LogEntry{Time: base + rng.Int64N(50)*1_000_000, Line: l.str(line), Meta: l.meta(meta, pick(rng, "", "level"))})
		}
		b.Streams = append(b.Streams, s)
	}
	return b
}

func randomLogSelector(rng *rand.Rand) store.LogSelector {
	sel := store.LogSelector{Range: always(), Direction: store.Direction(rng.IntN(2)), NoLine: rng.IntN(4) == 0, NoMeta: rng.IntN(4) == 0}
	for range rng.IntN(3) {
		sel.Matchers = append(sel.Matchers, pick(rng, eq("app", "api"), neq("env", "prod"), re("app", "api|web"), nre("pod", "[01]"), eq("env", "")))
	}
	for range rng.IntN(3) {
		p := pick(rng, "error", "status=500", "request 1", "took", "nothing", "rr")
		sel.Lines = append(sel.Lines, store.LineFilter{Patterns: []string{p, pick(rng, "WARN", p)}, Negate: rng.IntN(3) == 0, Regexp: rng.IntN(3) == 0})
	}
	if rng.IntN(3) == 0 {
		m := pick(rng, eq("level", "error"), neq("level", "info"), eq("level", ""), re("trace_id", "0+.*"), eq("trace_id", fmt.Sprintf("%032x", 7)), eq("k3", "v"))
		sel.Fields = []store.FieldPredicate{{Matcher: m}}
		if rng.IntN(4) == 0 {
			sel.Fields = append(sel.Fields, store.FieldPredicate{Name: m.Name, Text: "short", Test: func(v string) bool { return len(v) < 6 }})
		}
	}
	if rng.IntN(3) == 0 {
		sel.MetaNames = []string{pick(rng, "level", "k1"), "trace_id"}
	}
	if rng.IntN(2) == 0 {
		sel.Limit = 1 + rng.IntN(60)
	}
	if rng.IntN(3) > 0 {
		from := nanos() - rng.Int64N(2*dayNanos)
		sel.Range = model.TimeRange{From: from, To: from + pick(rng, rng.Int64N(dayNanos), rng.Int64N(60_000_000))}
	}
	return sel
}

func testLogRandom(t *testing.T, open func(t *testing.T) Subject[LogStore]) {
	seeds(t, func(t *testing.T, rng *rand.Rand) {
		w := newLogTwin(open(t))
		for range 40 {
			var l loan
			b := randomLogBatch(rng, &l)
			w.append(t, tenant, b)
			if rng.IntN(4) == 0 {
				w.append(t, tenant, b) // a sender that retries
			}
			l.spoil()
			shake(t, rng, &w.sub)
			for range 4 {
				sel := randomLogSelector(rng)
				w.check(t, sel)
				w.checkNames(t, sel)
			}
		}
		w.checkEverywhere(t)
	})
}
