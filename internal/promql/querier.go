package promql

import (
	"context"
	"iter"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// queryable is one query's view of a metric store in the shape Prometheus' engine wants.
type queryable struct {
	reader store.MetricReader
	tenant model.Tenant
	acct   *store.Account
}

// Querier implements storage.Queryable.
func (q *queryable) Querier(mint, maxt int64) (storage.Querier, error) {
	return &querier{queryable: q, mint: mint, maxt: maxt}, nil
}

type querier struct {
	*queryable
	mint, maxt int64    // inclusive
	stops      []func() // end the sequences that the engine has not drained
}

// Select implements storage.Querier. The store always sorts.
func (q *querier) Select(ctx context.Context, _ bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	matchers, err := convertMatchers(ms)
	if err != nil {
		return storage.ErrSeriesSet(err)
	}
	sel := store.MetricSelector{
		Matchers: matchers,
		Range:    model.TimeRange{From: q.mint, To: q.maxt + 1},
		Account:  q.acct,
	}
	if hints != nil {
		sel.Range = model.TimeRange{From: hints.Start, To: hints.End + 1}
		sel.Step, sel.Func, sel.Limit = hints.Step, hints.Func, hints.Limit
	}
	next, stop := iter.Pull2(q.reader.Select(ctx, q.tenant, sel))
	q.stops = append(q.stops, stop)
	return &seriesSet{next: next, stop: stop}
}

// LabelValues implements storage.Querier; the engine never calls it.
func (q *querier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, store.ErrUnsupported
}

// LabelNames implements storage.Querier; the engine never calls it.
func (q *querier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, store.ErrUnsupported
}

// Close implements storage.Querier.
func (q *querier) Close() error {
	for _, stop := range q.stops {
		stop()
	}
	q.stops = nil
	return nil
}

func convertMatchers(ms []*labels.Matcher) ([]*model.Matcher, error) {
	out := make([]*model.Matcher, len(ms))
	for i, m := range ms {
		converted, err := model.NewMatcher(model.MatchType(m.Type), m.Name, m.Value) // same numbers
		if err != nil {
			return nil, err
		}
		out[i] = converted
	}
	return out, nil
}

// seriesSet pulls series out of a store's sequence.
type seriesSet struct {
	next func() (store.Series, error, bool)
	stop func()
	at   series
	err  error
}

// Next implements storage.SeriesSet.
func (s *seriesSet) Next() bool {
	cur, err, ok := s.next()
	if !ok || err != nil {
		s.err = err
		s.stop()
		return false
	}
	s.at = series{cur}
	return true
}

// At implements storage.SeriesSet. The series stays valid: the context of the query
// bounds it.
func (s *seriesSet) At() storage.Series { return s.at }

// Err implements storage.SeriesSet.
func (s *seriesSet) Err() error { return s.err }

// Warnings implements storage.SeriesSet; warnings travel in the account.
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

type series struct{ store.Series }

// Labels implements storage.Series.
func (s series) Labels() labels.Labels { return PromLabels(s.Series.Labels()) }

// PromLabels converts labels to Prometheus' type.
func PromLabels(ls model.Labels) labels.Labels {
	b := labels.NewScratchBuilder(len(ls))
	for _, l := range ls {
		b.Add(l.Name, l.Value)
	}
	return b.Labels()
}

// Iterator implements storage.Series. It decodes the whole series in range at once, into
// the memory of the iterator it is given.
func (s series) Iterator(reuse chunkenc.Iterator) chunkenc.Iterator {
	it, ok := reuse.(*iterator)
	if !ok {
		it = &iterator{}
	}
	it.decode(s.Series)
	return it
}
