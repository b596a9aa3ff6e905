package tempo

import (
	"context"
	"iter"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// over returns the traces of several tenants as if they were one's.
func (a *API) over(tenants []model.Tenant) store.TraceReader {
	if len(tenants) == 1 {
		return a.Reader
	}
	return federation{a.Reader, tenants}
}

// federation reads the traces of one tenant after the other; the tenant it is asked for
// does not count. A trace that two tenants have is two traces.
type federation struct {
	store.TraceReader
	tenants []model.Tenant
}

// Scan implements [store.TraceReader], but for the order of traces between tenants. Before
// the last tenant nothing is settled.
func (f federation) Scan(ctx context.Context, _ model.Tenant, sel store.SpanSelector) iter.Seq2[*store.SpanRows, error] {
	return func(yield func(*store.SpanRows, error) bool) {
		settled := sel.Settled
		for i, t := range f.tenants {
			if sel.Settled = nil; i == len(f.tenants)-1 {
				sel.Settled = settled
			}
			for rows, err := range f.TraceReader.Scan(ctx, t, sel) {
				if !yield(rows, err) || err != nil {
					return
				}
			}
		}
	}
}
