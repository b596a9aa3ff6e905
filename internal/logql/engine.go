package logql

import (
	"context"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Engine runs queries on a store. It is safe for concurrent use.
type Engine struct {
	Reader store.LogReader
	// Index, if not nil, lets the engine prove that a label filter looks at structured
	// metadata, so that the store can evaluate it.
	Index store.LogIndex
	// Traces answers label filters that ask for traces; nil refuses them.
	Traces TraceFinder
	Now    func() time.Time // for the template function now; nil means time.Now
}

// Params say what to run a query on.
type Params struct {
	// Start and End are Unix nanoseconds. A log query selects Start <= t < End, or t = Start
	// if they are equal. A metric query is evaluated at Start, Start+Step, ... up to and
	// including End; with Step 0 only at End (an instant query).
	Start, End int64
	Step       time.Duration

	// Of log queries.
	Direction  store.Direction
	Limit      int           // entries wanted, 0 for all
	Interval   time.Duration // least time between entries, 0 for all
	Categorize bool          // streams are keyed by stream labels only; entries carry the others

	// MaxSeries bounds the series of a metric query, 0 for no bound. More are an [ErrQuery],
	// or, with PartialSeries, are cut off with a warning.
	MaxSeries     int
	PartialSeries bool

	Account *store.Account
}

// Instant reports whether p asks for one evaluation of a metric query.
func (p *Params) Instant() bool { return p.Step <= 0 }

// ResultType is the shape of a [Result].
type ResultType string

// The shapes, by Loki's names.
const (
	Streams ResultType = "streams"
	Matrix  ResultType = "matrix"
	Vector  ResultType = "vector"
	Scalar  ResultType = "scalar"
)

// Result is the answer to a query. It belongs to the caller.
type Result struct {
	Type    ResultType
	Streams []Stream // of Streams, sorted by label text
	Series  []Series // of Matrix and Vector (one point each); sorted by labels unless the query sorts
	Scalar  Point
}

// Stream is the entries with one set of labels, in the direction of the query. Unlike in
// [model.Labels] otherwise, values may be empty: a parser can make an empty label.
type Stream struct {
	Labels  model.Labels
	Entries []Entry
}

// Entry is a line of a result. Meta and Parsed are set with Params.Categorize only.
type Entry struct {
	Time   int64 // Unix nanoseconds
	Line   string
	Meta   model.Labels
	Parsed model.Labels
}

// Series is one series of a metric query.
type Series struct {
	Labels model.Labels
	Points []Point
}

// Point is a value at a time.
type Point struct {
	Time  int64 // Unix nanoseconds
	Value float64
}

// Query runs e for tenant. Errors match [ErrParse] if a stage does not compile, [ErrQuery]
// if the data does not allow an answer, or are those of the store.
func (g *Engine) Query(ctx context.Context, tenant model.Tenant, e Expr, p Params) (*Result, error) {
	x := &exec{engine: g, ctx: ctx, tenant: tenant, p: p}
	e, err := x.resolveTraces(e)
	if err != nil {
		return nil, err
	}
	switch e := e.(type) {
	case *LogQuery:
		streams, err := x.logs(e)
		if err != nil {
			return nil, err
		}
		return &Result{Type: Streams, Streams: streams}, nil
	case metricExpr:
		return x.metrics(e)
	}
	return nil, queryErrorf("unknown kind of query %s", e)
}

// exec is one run of a query.
type exec struct {
	engine *Engine
	ctx    context.Context //nolint:containedctx // lives as long as the query
	tenant model.Tenant
	p      Params
	steps  []int64 // evaluation times of a metric query
}

func (g *Engine) now() func() time.Time {
	if g.Now == nil {
		return time.Now
	}
	return g.Now
}

// sink takes the entries that pass a pipeline.
type sink interface {
	// stop reports whether the entries of a batch from time t on are of no use.
	stop(t int64) bool
	// add takes an entry; r is reused.
	add(r *row) error
	// batch is told that all of b has been added, and reports whether more are needed.
	batch(b *store.LogRows) bool
}

// alive returns the error with which the query has to end. It looks at every 64th row, or
// tally, of a batch: stages may take a millisecond for one.
func (x *exec) alive(n int) error {
	if n%64 != 0 {
		return nil
	}
	return x.ctx.Err()
}

// each sends every entry of src through its pipeline to s, in the store's order.
func (x *exec) each(src *source, s sink) error {
	p := src.pipe
	for b, err := range x.engine.Reader.Select(x.ctx, x.tenant, src.sel) {
		if err != nil {
			return err
		}
		for i, t := range b.Times {
			if s.stop(t) {
				break
			}
			if err := x.alive(i); err != nil {
				return err
			}
			line := ""
			if b.Lines != nil {
				line = b.Lines[i]
			}
			if !p.passes(line) {
				continue
			}
			p.row.begin(t, line, b.Stream)
			for c := range b.Meta {
				if v := b.Meta[c].Values[i]; v != "" {
					p.row.addMeta(b.Meta[c].Name, v)
				}
			}
			if !p.run() {
				continue
			}
			if err := s.add(&p.row); err != nil {
				return err
			}
		}
		if !s.batch(b) {
			return nil
		}
	}
	return nil
}
