package storetest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Metrics is the reference metric store.
type Metrics struct {
	mu      sync.RWMutex
	tenants map[model.Tenant]*metricTenant
}

type metricTenant struct {
	series   map[string]*refSeries             // by Labels.String
	metadata map[string][]store.MetricMetadata // by metric, newest first
}

type refSeries struct {
	labels    model.Labels
	points    map[int64]refPoint // by time: the last written wins
	exemplars []store.Exemplar   // in order of time, without duplicates
}

// refPoint is a float sample, or a histogram if Int or Float is set.
type refPoint struct {
	value float64
	hist  store.HistogramSample
}

func (p refPoint) isHist() bool { return p.hist.Int != nil || p.hist.Float != nil }

// NewMetrics returns an empty reference metric store.
func NewMetrics() *Metrics { return &Metrics{tenants: map[model.Tenant]*metricTenant{}} }

// Append implements [store.MetricWriter].
func (m *Metrics) Append(ctx context.Context, tenant model.Tenant, b *store.MetricBatch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	mt := m.tenants[tenant]
	if mt == nil {
		mt = &metricTenant{series: map[string]*refSeries{}, metadata: map[string][]store.MetricMetadata{}}
		m.tenants[tenant] = mt
	}
	var refused store.Refused
	for i := range b.Series {
		w := &b.Series[i]
		items := len(w.Samples) + len(w.Histograms) + len(w.Exemplars)
		ls, err := writeLabels(w, b.Decode)
		if err != nil {
			refused.Add(store.ReasonInvalidLabels, items, err.Error)
			continue
		}
		refused.Kept += items
		if items > 0 {
			mt.write(ls, w)
		}
	}
	for _, md := range b.Metadata {
		md = store.MetricMetadata{
			Metric: strings.Clone(md.Metric), Type: strings.Clone(md.Type),
			Unit: strings.Clone(md.Unit), Help: strings.Clone(md.Help),
		}
		if old := mt.metadata[md.Metric]; !slices.Contains(old, md) {
			mt.metadata[md.Metric] = slices.Insert(old, 0, md)
		}
	}
	return refused.Err()
}

// writeLabels returns the checked labels of w, which share no memory with it.
func writeLabels(w *store.SeriesWrite, decode func([]byte, model.Labels) (model.Labels, error)) (model.Labels, error) {
	ls := w.Labels
	if w.Key != nil {
		var err error
		if ls, err = decode(w.Key, nil); err != nil {
			return nil, fmt.Errorf("decode series key: %w", err)
		}
	}
	given := len(ls)
	ls = ls.Clone()
	empty := 0
	for _, l := range ls {
		if l.Value == "" {
			empty++
		}
	}
	ls = model.NewLabels(ls...)
	if len(ls) == 0 {
		return nil, fmt.Errorf("a series without labels")
	}
	if len(ls) != given-empty {
		return nil, fmt.Errorf("series %s: a label name occurs twice", ls)
	}
	for _, l := range ls {
		if l.Name == "" || !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) {
			return nil, fmt.Errorf("series %s: label %q is empty or not UTF-8", ls, l.Name)
		}
	}
	return ls, nil
}

func (mt *metricTenant) write(ls model.Labels, w *store.SeriesWrite) {
	s := mt.series[ls.String()]
	if s == nil {
		s = &refSeries{labels: ls, points: map[int64]refPoint{}}
		mt.series[ls.String()] = s
	}
	for _, p := range w.Samples {
		s.points[p.Time] = refPoint{value: p.Value}
	}
	for _, h := range w.Histograms {
		s.points[h.Time] = refPoint{hist: cloneHistogram(h)}
	}
	for _, e := range w.Exemplars {
		e.Labels = e.Labels.Clone()
		if !slices.ContainsFunc(s.exemplars, func(x store.Exemplar) bool { return compareExemplars(x, e) == 0 }) {
			s.exemplars = append(s.exemplars, e)
		}
	}
	slices.SortFunc(s.exemplars, compareExemplars)
}

func compareExemplars(a, b store.Exemplar) int {
	return cmp.Or(
		cmp.Compare(a.Time, b.Time),
		a.Labels.Compare(b.Labels),
		cmp.Compare(math.Float64bits(a.Value), math.Float64bits(b.Value)),
	)
}

func cloneHistogram(h store.HistogramSample) store.HistogramSample {
	if h.Int != nil {
		h.Int = h.Int.Copy()
	}
	if h.Float != nil {
		h.Float = h.Float.Copy()
	}
	return h
}

// matching returns the series that match ms in the order of labels.
func (m *Metrics) matching(tenant model.Tenant, ms []*model.Matcher) []*refSeries {
	mt := m.tenants[tenant]
	if mt == nil {
		return nil
	}
	var out []*refSeries
	for _, s := range mt.series {
		if model.MatchesLabels(s.labels, ms) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *refSeries) int { return a.labels.Compare(b.labels) })
	return out
}

func (s *refSeries) hasData(r model.TimeRange) bool {
	for t := range s.points {
		if r.Contains(t) {
			return true
		}
	}
	return false
}

// inRange returns the matching series with data in the range of sel.
func (m *Metrics) inRange(tenant model.Tenant, sel store.MetricSelector) []*refSeries {
	return slices.DeleteFunc(m.matching(tenant, sel.Matchers), func(s *refSeries) bool { return !s.hasData(sel.Range) })
}

// tooBroad returns an error if sel might select every series without saying so.
func tooBroad(sel store.MetricSelector) error {
	if sel.All || slices.ContainsFunc(sel.Matchers, func(m *model.Matcher) bool { return !m.Matches("") }) {
		return nil
	}
	return fmt.Errorf("%w: some matcher must not match the empty string", store.ErrTooBroad)
}

// Select implements [store.MetricReader].
func (m *Metrics) Select(ctx context.Context, tenant model.Tenant, sel store.MetricSelector) iter.Seq2[store.Series, error] {
	return func(yield func(store.Series, error) bool) {
		if err := tooBroad(sel); err != nil {
			yield(nil, err)
			return
		}
		m.mu.RLock()
		var all []*seriesView
		for _, s := range m.inRange(tenant, sel) {
			all = append(all, s.view(sel))
		}
		m.mu.RUnlock()
		if sel.Limit > 0 && len(all) > sel.Limit {
			sel.Account.Warn("%d series match, the limit of %d cuts", len(all), sel.Limit)
			all = all[:sel.Limit]
		}
		for _, s := range all {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

// seriesView is what a series held when it was selected.
type seriesView struct {
	labels model.Labels
	times  []int64 // ascending
	points []refPoint
	acct   *store.Account
}

func (s *refSeries) view(sel store.MetricSelector) *seriesView {
	v := &seriesView{labels: s.labels, acct: sel.Account}
	for _, t := range slices.Sorted(maps.Keys(s.points)) {
		if sel.Range.Contains(t) {
			v.times, v.points = append(v.times, t), append(v.points, s.points[t])
		}
	}
	return v
}

func (v *seriesView) Labels() model.Labels { return v.labels }

func (v *seriesView) Samples(ts []int64, vs []float64) ([]int64, []float64, error) {
	if err := v.acct.Scanned(16*int64(len(v.times)), int64(len(v.times))); err != nil {
		return ts, vs, err
	}
	for i, p := range v.points {
		if !p.isHist() {
			ts, vs = append(ts, v.times[i]), append(vs, p.value)
		}
	}
	return ts, vs, nil
}

// Summaries makes summaries of few samples each, so that a small test has many.
func (v *seriesView) Summaries(whole func(from, to int64) bool, ts []int64, vs []float64, sums []model.Summary) ([]int64, []float64, []model.Summary, error) {
	times, values, err := v.Samples(nil, nil)
	if err != nil {
		return ts, vs, sums, err
	}
	for n := range slices.Chunk(times, 5) {
		part := values[:len(n)]
		values = values[len(n):]
		if s, ok := model.Summarize(n, part); ok && len(n) == 5 && whole(n[0], n[4]) {
			sums = append(sums, s)
			continue
		}
		ts, vs = append(ts, n...), append(vs, part...)
	}
	return ts, vs, sums, nil
}

func (v *seriesView) Price() (chunks int, bytes int64) { return 1, 16 * int64(len(v.times)) }

func (v *seriesView) Histograms(dst []store.HistogramSample) ([]store.HistogramSample, error) {
	for _, p := range v.points {
		if p.isHist() {
			dst = append(dst, cloneHistogram(p.hist))
		}
	}
	return dst, nil
}

// Exemplars implements [store.MetricReader].
func (m *Metrics) Exemplars(ctx context.Context, tenant model.Tenant, sel store.MetricSelector) iter.Seq2[store.SeriesExemplars, error] {
	return func(yield func(store.SeriesExemplars, error) bool) {
		if err := tooBroad(sel); err != nil {
			yield(store.SeriesExemplars{}, err)
			return
		}
		m.mu.RLock()
		var all []store.SeriesExemplars
		for _, s := range m.matching(tenant, sel.Matchers) {
			out := store.SeriesExemplars{Labels: s.labels}
			for _, e := range s.exemplars {
				if sel.Range.Contains(e.Time) {
					e.Labels = e.Labels.Clone()
					out.Exemplars = append(out.Exemplars, e)
				}
			}
			if out.Exemplars != nil {
				all = append(all, out)
			}
		}
		m.mu.RUnlock()
		for _, x := range all {
			if err := ctx.Err(); err != nil {
				yield(store.SeriesExemplars{}, err)
				return
			}
			if !yield(x, nil) {
				return
			}
		}
	}
}

// Caps implements [store.MetricReader].
func (m *Metrics) Caps() store.MetricCaps { return store.MetricCaps{} }

// LabelNames implements [store.MetricIndex].
func (m *Metrics) LabelNames(ctx context.Context, tenant model.Tenant, sel store.MetricSelector) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	names := map[string]bool{}
	for _, s := range m.inRange(tenant, sel) {
		for _, l := range s.labels {
			names[l.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), ctx.Err()
}

// LabelValues implements [store.MetricIndex].
func (m *Metrics) LabelValues(ctx context.Context, tenant model.Tenant, name string, sel store.MetricSelector) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	values := map[string]bool{}
	for _, s := range m.inRange(tenant, sel) {
		if v := s.labels.Get(name); v != "" {
			values[v] = true
		}
	}
	return slices.Sorted(maps.Keys(values)), ctx.Err()
}

// LabelSets implements [store.MetricIndex].
func (m *Metrics) LabelSets(ctx context.Context, tenant model.Tenant, sel store.MetricSelector) iter.Seq2[model.Labels, error] {
	return func(yield func(model.Labels, error) bool) {
		for s, err := range m.Select(ctx, tenant, sel) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(s.Labels(), nil) {
				return
			}
		}
	}
}

// Metadata implements [store.MetricIndex]. A limit counts metrics.
func (m *Metrics) Metadata(ctx context.Context, tenant model.Tenant, metric string, limit int) ([]store.MetricMetadata, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	mt := m.tenants[tenant]
	if mt == nil {
		return nil, ctx.Err()
	}
	names := slices.Sorted(maps.Keys(mt.metadata))
	if metric != "" {
		names = slices.DeleteFunc(names, func(n string) bool { return n != metric })
	}
	if limit > 0 && len(names) > limit {
		names = names[:limit]
	}
	var out []store.MetricMetadata
	for _, n := range names {
		out = append(out, mt.metadata[n]...)
	}
	return out, ctx.Err()
}

// Cardinality implements [store.MetricIndex].
func (m *Metrics) Cardinality(ctx context.Context, tenant model.Tenant, topN int) (store.Cardinality, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	now := Now().UnixMilli()
	today := model.TimeRange{From: now - now%dayMillis, To: now - now%dayMillis + dayMillis}
	var c store.Cardinality
	byMetric, byLabel, byPair := map[string]int64{}, map[string]int64{}, map[string]int64{}
	for _, s := range m.inRange(tenant, store.MetricSelector{Range: today}) {
		c.Series++
		for t := range s.points {
			if today.Contains(t) && (c.MinTime == 0 || t < c.MinTime) {
				c.MinTime = t
			}
			if today.Contains(t) {
				c.MaxTime = max(c.MaxTime, t)
			}
		}
		byMetric[s.labels.Get(model.MetricName)]++
		for _, l := range s.labels {
			pair := l.Name + "=" + l.Value
			if byPair[pair]++; byPair[pair] == 1 {
				byLabel[l.Name]++
			}
		}
	}
	delete(byMetric, "")
	c.LabelPairs = int64(len(byPair))
	c.ByMetric, c.ByLabel, c.ByLabelValue = top(byMetric, topN), top(byLabel, topN), top(byPair, topN)
	return c, ctx.Err()
}

// top returns the n biggest counts, biggest first, equal ones by name.
func top(counts map[string]int64, n int) []store.NameCount {
	var out []store.NameCount
	for name, c := range counts {
		out = append(out, store.NameCount{Name: name, Count: c})
	}
	slices.SortFunc(out, func(a, b store.NameCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	if n > 0 && len(out) > n {
		out = out[:n]
	}
	return out
}
