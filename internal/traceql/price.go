package traceql

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Read is what one pipeline of a query reads: a search has one, a metrics query one for
// each metrics function.
type Read struct {
	Query string
	Range model.TimeRange // Unix nanoseconds
	// Pushed is the filter that the store evaluates, as text: a trace is looked at if some
	// span of it satisfies all of one element. Empty: every trace is.
	Pushed [][]string
	Again  bool // the traces of the result are read once more, for what is shown of them
	Price  model.ScanPrice
}

// Price tells what e would read, without reading it: for [Metrics] with grid, or, if grid
// is nil, for [Search] in the Range of p. Of p only Range and Account count.
func Price(ctx context.Context, idx store.TraceIndex, tenant model.Tenant, e *Expr, p Params, grid *MetricParams) ([]Read, error) {
	x := pricer{idx: idx, tenant: tenant}
	if grid != nil && e.meter != nil {
		return x.metrics(ctx, e.meter, newGrid(*grid).timeRange(), p.Account)
	}
	pl := newPlan(e.pipe, p.Range, p.Account)
	pl.bindDisplay(e.pipe)
	r, err := x.read(ctx, pl, pipelineText(e.pipe))
	r.Again = pl.twoScans() && !e.bare
	return []Read{r}, err
}

type pricer struct {
	idx    store.TraceIndex
	tenant model.Tenant
}

func (x *pricer) metrics(ctx context.Context, e metrics, r model.TimeRange, acct *store.Account) ([]Read, error) {
	switch e := e.(type) {
	case *metricQuery:
		pl := newPlan(e.pipe, r, acct)
		b := &binder{slots: pl.slots, filters: pl.filters}
		for _, a := range append(e.by[:len(e.by):len(e.by)], e.attr) {
			if a != nil {
				b.evaluator(a)
				pl.wantChildren(a.children())
			}
		}
		pl.finish(b)
		if e.fn == fnCompare {
			pl.sel.AllAttrs, pl.sel.Events, pl.sel.Links = true, true, true
		}
		var text strings.Builder
		e.writeMetrics(&text)
		read, err := x.read(ctx, pl, text.String())
		return []Read{read}, err
	case *metricOp:
		left, err := x.metrics(ctx, e.l, r, acct)
		if err != nil {
			return nil, err
		}
		right, err := x.metrics(ctx, e.r, r, acct)
		return append(left, right...), err
	}
	return nil, nil // a constant
}

func (x *pricer) read(ctx context.Context, pl *plan, text string) (Read, error) {
	out := Read{Query: text, Range: pl.sel.Range}
	for _, conj := range pl.sel.Where {
		var texts []string
		for _, p := range conj {
			texts = append(texts, predicateText(p))
		}
		out.Pushed = append(out.Pushed, texts)
	}
	for _, id := range pl.sel.TraceIDs {
		out.Pushed = append(out.Pushed, []string{"trace:id = " + strconv.Quote(id.String())})
	}
	var err error
	if pl.sel.TraceIDs == nil || len(pl.sel.TraceIDs) > 0 {
		out.Price, err = x.idx.Price(ctx, x.tenant, pl.sel)
	}
	return out, err
}

func pipelineText(pl *pipeline) string {
	var b strings.Builder
	pl.writeSpansets(&b)
	return b.String()
}

// predicateText writes p as TraceQL does.
func predicateText(p store.SpanPredicate) string {
	var name string
	switch a := p.Attrs[0]; {
	case len(p.Attrs) > 1:
		name = "." + a.Name
	case a.Scope == store.ScopeIntrinsic:
		name = a.Name
	default:
		name = scopeText(a.Scope) + "." + a.Name
	}
	ops := [...]string{
		store.OpExists: "!= nil", store.OpEqual: "=", store.OpNotEqual: "!=", store.OpLess: "<", store.OpLessEqual: "<=",
		store.OpGreater: ">", store.OpGreaterEqual: ">=", store.OpRegexp: "=~", store.OpNotRegexp: "!~",
	}
	if p.Op == store.OpExists {
		return name + " " + ops[p.Op]
	}
	val := strconv.Quote(p.Str)
	switch p.Type {
	case store.ValueInt:
		val = intrinsicText(p.Attrs[0], p.Int)
	case store.ValueBool:
		val = strconv.FormatBool(p.Int != 0)
	case store.ValueFloat:
		val = strconv.FormatFloat(p.Float, 'g', -1, 64)
	}
	return fmt.Sprintf("%s %s %s", name, ops[p.Op], val)
}

func scopeText(s store.AttrScope) string {
	for _, q := range [...]scope{scopeSpan, scopeResource, scopeEvent, scopeLink, scopeInstrumentation} {
		if q.store() == s {
			return q.String()
		}
	}
	return ""
}

// intrinsicText writes the number n of an attribute or intrinsic.
func intrinsicText(a store.Attr, n int64) string {
	typ := TypeInt
	if a.Scope == store.ScopeIntrinsic {
		switch a.Name {
		case store.IntrinsicDuration:
			typ = TypeDuration
		case store.IntrinsicStatus:
			typ = TypeStatus
		case store.IntrinsicKind:
			typ = TypeKind
		}
	}
	return Value{typ: typ, n: n}.String()
}
