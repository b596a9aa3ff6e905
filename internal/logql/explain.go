package logql

import (
	"context"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Read is what one selector of a query reads. Entries, bytes and blocks are those of its
// streams in its range: filters that the store evaluates make them less.
type Read struct {
	Selector string          // of the streams, with what follows it
	Range    model.TimeRange // Unix nanoseconds
	Streams  int
	Blocks   int64
	Entries  int64
	Bytes    int64
	Lines    []store.LineFilter     // that the store evaluates, and prunes blocks by
	Fields   []store.FieldPredicate // the same for structured metadata
	Limited  bool                   // it stops as soon as the limit is reached
}

// Explain tells what e would read, without reading it.
func (g *Engine) Explain(ctx context.Context, tenant model.Tenant, e Expr, p Params) ([]Read, error) {
	x := &exec{engine: g, ctx: ctx, tenant: tenant, p: p}
	e, err := x.resolveTraces(e)
	if err != nil {
		return nil, err
	}
	return x.explain(e)
}

func (x *exec) explain(e Expr) ([]Read, error) {
	switch e := e.(type) {
	case *LogQuery:
		r, err := x.price(e, model.TimeRange{From: x.p.Start, To: max(x.p.End, x.p.Start+1)})
		r.Limited = x.p.Limit > 0
		return []Read{r}, err
	case *rangeAggExpr:
		from := x.p.Start
		if x.p.Instant() {
			from = x.p.End
		}
		r, err := x.price(e.query, model.TimeRange{From: from - int64(e.rng+e.offset) + 1, To: x.p.End - int64(e.offset) + 1})
		return []Read{r}, err
	case *vectorAggExpr:
		return x.explain(e.inner)
	case *labelReplaceExpr:
		return x.explain(e.inner)
	case *binaryExpr:
		left, err := x.explain(e.left)
		if err != nil {
			return nil, err
		}
		right, err := x.explain(e.right)
		return append(left, right...), err
	}
	return nil, nil
}

func (x *exec) price(q *LogQuery, rng model.TimeRange) (Read, error) {
	r := Read{Selector: q.String(), Range: rng}
	if x.engine.Index == nil {
		return r, queryErrorf("there is no index to ask")
	}
	src, err := x.bind(q, rng, compileOptions{now: time.Now})
	if err != nil {
		return r, err
	}
	r.Lines, r.Fields = src.sel.Lines, src.sel.Fields
	streams, err := x.engine.Index.Streams(x.ctx, x.tenant, src.sel)
	for i := range streams {
		r.Streams++
		r.Blocks += streams[i].Blocks
		r.Entries += streams[i].Entries
		r.Bytes += streams[i].Bytes
	}
	return r, err
}
