package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// RunTraces holds a trace store to the contract. open returns a new empty store each
// time.
func RunTraces(t *testing.T, open func(t *testing.T) Subject[TraceStore]) {
	cases := []struct {
		name string
		test func(t *testing.T, sub Subject[TraceStore])
	}{
		{"empty", testTracesEmpty},
		{"lossless", testLossless},
		{"duplicates", testSpanDuplicates},
		{"several parts", testTraceParts},
		{"ranges", testTraceRanges},
		{"columns", testColumns},
		{"predicates", testPredicates},
		{"trace ids", testTraceIDs},
		{"newest", testTracesNewest},
		{"big trace", testBigTrace},
		{"invalid ids", testInvalidIDs},
		{"budget", testTraceBudget},
		{"tags", testTags},
		{"tenants", testTraceTenants},
		{"cancel", testTraceCancel},
		{"concurrent", testTraceConcurrent},
		{"random", func(t *testing.T, _ Subject[TraceStore]) { testTraceRandom(t, open) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func everything() store.SpanSelector {
	return store.SpanSelector{Range: always(), AllAttrs: true, Events: true, Links: true}
}

// traceTwin writes to the subject and to the reference alike.
type traceTwin struct {
	sub Subject[TraceStore]
	ref *Traces
}

func newTraceTwin(sub Subject[TraceStore]) *traceTwin { return &traceTwin{sub: sub, ref: NewTraces()} }

func (w *traceTwin) append(t *testing.T, tenant model.Tenant, td ptrace.Traces) {
	t.Helper()
	b := Spans(td)
	if err := w.ref.Append(t.Context(), tenant, b); err != nil {
		t.Fatalf("the reference refuses: %v", err)
	}
	if err := w.sub.Store.Append(t.Context(), tenant, b); err != nil {
		t.Fatalf("append: %v", err)
	}
	if !reflect.DeepEqual(b, Spans(td)) {
		t.Fatal("append changes its argument")
	}
}

// spanTexts returns the spans of td as comparable texts, one a span with its resource and
// scope, sorted.
func spanTexts(td ptrace.Traces) []string {
	var out []string
	for x := range eachSpan(td) {
		one := ptrace.NewTraces()
		rs := one.ResourceSpans().AppendEmpty()
		x.res.Resource().CopyTo(rs.Resource())
		rs.SetSchemaUrl(x.res.SchemaUrl())
		ss := rs.ScopeSpans().AppendEmpty()
		x.scope.Scope().CopyTo(ss.Scope())
		ss.SetSchemaUrl(x.scope.SchemaUrl())
		x.span.CopyTo(ss.Spans().AppendEmpty())
		text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(one)
		if err != nil {
			model.Bug("marshal span: %v", err)
		}
		// JSON reads well, the protobuf bytes hide nothing.
		out = append(out, fmt.Sprintf("%s\n%q", text, protoText(one)))
	}
	slices.Sort(out)
	return out
}

// checkTrace compares one trace with the reference.
func (w *traceTwin) checkTrace(t *testing.T, id model.TraceID, hint model.TimeRange) {
	t.Helper()
	want, wantErr := w.ref.Trace(t.Context(), tenant, id, hint, nil)
	got, err := w.sub.Store.Trace(t.Context(), tenant, id, hint, &store.Account{})
	if wantErr != nil {
		if !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("unknown trace %s: error %v, want ErrNotFound", id, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("trace %s: %v", id, err)
	}
	if d := cmp.Diff(spanTexts(want), spanTexts(got)); d != "" {
		t.Fatalf("trace %s (-want +got):\n%s", id, d)
	}
	resources := map[string]bool{}
	for _, rs := range got.ResourceSpans().All() {
		if resources[resourceKey(rs)] {
			t.Errorf("trace %s: a resource occurs twice: %v", id, rs.Resource().Attributes().AsRaw())
		}
		resources[resourceKey(rs)] = true
		scopes := map[string]bool{}
		for _, ss := range rs.ScopeSpans().All() {
			if scopes[scopeKey(ss)] {
				t.Errorf("trace %s: scope %q occurs twice in a resource", id, ss.Scope().Name())
			}
			scopes[scopeKey(ss)] = true
		}
	}
	got.ResourceSpans().RemoveIf(func(ptrace.ResourceSpans) bool { return true }) // it is ours
}

func (w *traceTwin) checkTraces(t *testing.T) {
	t.Helper()
	for id := range w.ref.tenants[tenant] {
		w.checkTrace(t, id, model.TimeRange{})
		w.checkTrace(t, id, model.TimeRange{From: nanos() - 1000, To: nanos()})
	}
	w.checkTrace(t, model.TraceID{0xff, 0xee}, model.TimeRange{})
	w.checkTrace(t, model.TraceID{}, model.TimeRange{})
}

// check compares a Scan with the reference. Of traces that do not qualify for Where, a
// store that is not exact may yield any.
func (w *traceTwin) check(t *testing.T, sel store.SpanSelector) {
	t.Helper()
	loose := sel
	loose.Where = nil
	may := readTraces(t, w.ref, tenant, loose)
	must := readTraces(t, w.ref, tenant, sel)
	got := readTraces(t, w.sub.Store, tenant, sel)
	if w.sub.Store.Caps().ExactWhere {
		may = must
	}
	for id := range must {
		if got[id] == "" && w.owed(sel, id) {
			t.Fatalf("scan %s: trace %s is missing:\n%s", spanSelText(sel), id, must[id])
		}
	}
	for id, text := range got {
		if may[id] == "" {
			t.Fatalf("scan %s: trace %s does not belong:\n%s", spanSelText(sel), id, text)
		}
		if d := cmp.Diff(strings.Split(may[id], "\n"), strings.Split(text, "\n")); d != "" {
			t.Fatalf("scan %s: trace %s (-want +got):\n%s", spanSelText(sel), id, d)
		}
	}
}

// owed reports whether a store that is not exact must yield trace id, which qualifies: it
// does not look for Where far from the range.
func (w *traceTwin) owed(sel store.SpanSelector, id model.TraceID) bool {
	const far = 6 * 3600 * 1_000_000_000
	if w.sub.Store.Caps().ExactWhere {
		return true
	}
	sel.Range.From -= min(far, sel.Range.From)
	sel.Range.To += min(far, always().To-sel.Range.To)
	for _, x := range w.ref.spansOf(tenant, id) {
		if x.overlaps(sel.Range) && satisfies(x, sel.Where) {
			return true
		}
	}
	return false
}

func spanSelText(sel store.SpanSelector) string {
	return fmt.Sprintf("where %+v in %v ids %d attrs %v all %v", sel.Where, sel.Range, len(sel.TraceIDs), sel.Attrs, sel.AllAttrs)
}

// checkEverywhere compares in memory, after a flush and after a restart.
func (w *traceTwin) checkEverywhere(t *testing.T, sels ...store.SpanSelector) {
	t.Helper()
	if len(sels) == 0 {
		sels = []store.SpanSelector{everything()}
	}
	each := func() {
		t.Helper()
		w.checkTraces(t)
		for _, sel := range sels {
			w.check(t, sel)
		}
	}
	each()
	settle(t, &w.sub)
	each()
	if w.sub.Reopen != nil {
		reopen(t, &w.sub)
		each()
	}
}

// readTraces returns each trace of a Scan as text, after checking the promises about
// batches.
func readTraces(t *testing.T, s store.TraceReader, tenant model.Tenant, sel store.SpanSelector) map[model.TraceID]string {
	t.Helper()
	out := map[model.TraceID]string{}
	var last model.TraceID
	if sel.Account == nil {
		sel.Account = &store.Account{}
		defer func() {
			if ws := sel.Account.Warnings(); len(ws) > 0 {
				t.Errorf("scan warns %q", ws)
			}
		}()
	}
	for r, err := range s.Scan(t.Context(), tenant, sel) {
		if err != nil {
			t.Fatalf("scan: %v", err)
		}
		checkSpanShape(t, r, sel)
		for i := 0; i < r.Len(); {
			id := r.TraceID[i]
			if id.Compare(last) <= 0 {
				t.Fatalf("trace %s after %s", id, last)
			}
			last = id
			var b strings.Builder
			for ; i < r.Len() && r.TraceID[i] == id; i++ {
				rowText(&b, r, i)
			}
			out[id] = b.String()
		}
		if r.Len() > 2*4096 && r.TraceID[0] != r.TraceID[r.Len()-1] {
			t.Fatalf("a batch of several traces holds %d spans", r.Len())
		}
	}
	return out
}

func checkSpanShape(t *testing.T, r *store.SpanRows, sel store.SpanSelector) {
	t.Helper()
	n := r.Len()
	for _, l := range []int{
		len(r.TraceID), len(r.Parent), len(r.Start), len(r.Duration), len(r.Kind), len(r.Status), len(r.Name),
		len(r.StatusMessage), len(r.Service), len(r.ScopeName), len(r.ScopeVersion),
	} {
		if l != n || n == 0 {
			t.Fatalf("a batch of %d spans has a column of %d", n, l)
		}
	}
	checkColumns(t, r.Attrs, n, store.ScopeSpan, store.ScopeResource, store.ScopeInstrumentation)
	if sel.Events != (r.Events != nil) || sel.Links != (r.Links != nil) {
		t.Fatalf("events wanted %v, links wanted %v; got %v, %v", sel.Events, sel.Links, r.Events, r.Links)
	}
	if sel.Events {
		if len(r.EventEnd) != n || int(r.EventEnd[n-1]) != len(r.Events.Time) || len(r.Events.Name) != len(r.Events.Time) {
			t.Fatalf("event ends %v of %d spans, %d times, %d names", r.EventEnd, n, len(r.Events.Time), len(r.Events.Name))
		}
		checkColumns(t, r.Events.Attrs, len(r.Events.Time), store.ScopeEvent)
	}
	if sel.Links {
		if len(r.LinkEnd) != n || int(r.LinkEnd[n-1]) != len(r.Links.SpanID) || len(r.Links.TraceID) != len(r.Links.SpanID) {
			t.Fatalf("link ends %v of %d spans, %d ids", r.LinkEnd, n, len(r.Links.SpanID))
		}
		checkColumns(t, r.Links.Attrs, len(r.Links.SpanID), store.ScopeLink)
	}
}

func checkColumns(t *testing.T, cols []store.AttrColumn, n int, scopes ...store.AttrScope) {
	t.Helper()
	for i, c := range cols {
		if !slices.Contains(scopes, c.Attr.Scope) {
			t.Fatalf("column %v among scopes %v", c.Attr, scopes)
		}
		if i > 0 {
			if p := cols[i-1]; compareAttrs(p.Attr, c.Attr) > 0 || p.Attr == c.Attr && p.Type >= c.Type {
				t.Fatalf("column %v type %d after %v type %d", c.Attr, c.Type, p.Attr, p.Type)
			}
		}
		strs, ints, floats := n, 0, 0
		switch c.Type {
		case store.ValueInt, store.ValueBool:
			strs, ints = 0, n
		case store.ValueFloat:
			strs, floats = 0, n
		}
		if len(c.Has) != n || len(c.Strs) != strs || len(c.Ints) != ints || len(c.Floats) != floats {
			t.Fatalf("column %v type %d of %d rows: has %d, strings %d, ints %d, floats %d", c.Attr, c.Type, n, len(c.Has), len(c.Strs), len(c.Ints), len(c.Floats))
		}
	}
}

// rowText writes all that r says of span i.
func rowText(b *strings.Builder, r *store.SpanRows, i int) {
	fmt.Fprintf(b, "%s parent %s at %d for %d kind %d status %d name %q message %q service %q scope %q %q\n", r.SpanID[i], r.Parent[i],
		r.Start[i], r.Duration[i], r.Kind[i], r.Status[i], r.Name[i], r.StatusMessage[i], r.Service[i], r.ScopeName[i], r.ScopeVersion[i])
	attrsText(b, r.Attrs, i)
	begin := func(ends []int32) int {
		if i == 0 {
			return 0
		}
		return int(ends[i-1])
	}
	if r.Events != nil {
		for e := begin(r.EventEnd); e < int(r.EventEnd[i]); e++ {
			fmt.Fprintf(b, "  event %q at %d\n", r.Events.Name[e], r.Events.Time[e])
			attrsText(b, r.Events.Attrs, e)
		}
	}
	if r.Links != nil {
		for l := begin(r.LinkEnd); l < int(r.LinkEnd[i]); l++ {
			fmt.Fprintf(b, "  link %s %s\n", r.Links.TraceID[l], r.Links.SpanID[l])
			attrsText(b, r.Links.Attrs, l)
		}
	}
}

func attrsText(b *strings.Builder, cols []store.AttrColumn, i int) {
	for _, c := range cols {
		if !c.Has[i] {
			continue
		}
		fmt.Fprintf(b, "    %d %s type %d = ", c.Attr.Scope, c.Attr.Name, c.Type)
		switch c.Type {
		case store.ValueInt, store.ValueBool:
			fmt.Fprintln(b, c.Ints[i])
		case store.ValueFloat:
			fmt.Fprintln(b, c.Floats[i])
		default:
			fmt.Fprintf(b, "%q\n", c.Strs[i])
		}
	}
}

func testTracesEmpty(t *testing.T, sub Subject[TraceStore]) {
	w := newTraceTwin(sub)
	w.checkEverywhere(t)
	w.append(t, tenant, ptrace.NewTraces())
	td := ptrace.NewTraces()
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	w.append(t, tenant, td)
	w.checkEverywhere(t)
}

func testTraceConcurrent(t *testing.T, sub Subject[TraceStore]) {
	w := newTraceTwin(sub)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 20 {
				td, span := oneSpan(i%5, g*100+i) // four writers a trace
				span.SetName(fmt.Sprint(g, i))
				if err := errors.Join(w.sub.Store.Append(t.Context(), tenant, Spans(td)), w.ref.Append(t.Context(), tenant, Spans(td))); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
		wg.Go(func() {
			for range 10 {
				for _, err := range w.sub.Store.Scan(t.Context(), tenant, everything()) {
					if err != nil {
						t.Errorf("scan: %v", err)
						return
					}
				}
				if _, err := w.sub.Store.Trace(t.Context(), tenant, traceID(1), model.TimeRange{}, nil); err != nil && !errors.Is(err, store.ErrNotFound) {
					t.Errorf("trace: %v", err)
				}
			}
		})
	}
	wg.Wait()
	w.checkEverywhere(t)
}

func testTraceCancel(t *testing.T, sub Subject[TraceStore]) {
	w := newTraceTwin(sub)
	td, _ := oneSpan(1, 1)
	w.append(t, tenant, td)
	ctx := cancelled(t.Context())
	wantLastError(t, w.sub.Store.Scan(ctx, tenant, everything()), context.Canceled)
	for _, err := range w.sub.Store.Scan(t.Context(), tenant, everything()) {
		if err != nil {
			t.Error(err)
		}
		break // a reader may stop early
	}
	if _, err := w.sub.Store.Trace(ctx, tenant, traceID(1), model.TimeRange{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled trace = %v", err)
	}
}

func testInvalidIDs(t *testing.T, sub Subject[TraceStore]) {
	td, _ := oneSpan(1, 1)
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	spans.AppendEmpty().SetSpanID(pcommon.SpanID{1})
	spans.AppendEmpty().SetTraceID(pcommon.TraceID{1})
	wantRefused(t, sub.Store.Append(t.Context(), tenant, Spans(td)), store.ReasonInvalidID, 2, 1)
	if got := readTraces(t, sub.Store, tenant, everything()); len(got) != 1 {
		t.Errorf("stored %v, want the good span", got)
	}
}

func testTraceBudget(t *testing.T, sub Subject[TraceStore]) {
	w := newTraceTwin(sub)
	for i := range 100 {
		td, span := oneSpan(i, i)
		span.Attributes().PutStr("text", strings.Repeat(fmt.Sprint(i), 50))
		w.append(t, tenant, td)
	}
	for range 2 {
		sel := everything()
		sel.Account = &store.Account{MaxBytes: 100}
		wantLastError(t, w.sub.Store.Scan(t.Context(), tenant, sel), store.ErrTooBroad)
		settle(t, &w.sub)
	}
}

func testTraceTenants(t *testing.T, sub Subject[TraceStore]) {
	w := newTraceTwin(sub)
	mine, _ := oneSpan(1, 1)
	theirs, span := oneSpan(1, 2)
	span.Attributes().PutStr("only", "theirs")
	w.append(t, tenant, mine)
	w.append(t, "team-b", theirs)
	w.checkEverywhere(t)
	if got := readTraces(t, w.sub.Store, "team-b", everything()); len(got) != 1 || !strings.Contains(got[traceID(1)], "only") {
		t.Errorf("tenant team-b has %v", got)
	}
	if got := readTraces(t, w.sub.Store, "nobody", everything()); len(got) != 0 {
		t.Errorf("tenant nobody has %v", got)
	}
	if _, err := w.sub.Store.Trace(t.Context(), "nobody", traceID(1), model.TimeRange{}, nil); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("trace of tenant nobody = %v", err)
	}
}
