package promql

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
	"go.uber.org/goleak"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// promStorage lets Prometheus' own test scripts load into and read from a metric store.
type promStorage struct {
	storage.Storage // panics for what the scripts do not use
	queryable
	metrics *storetest.Metrics
}

func newPromStorage(testing.TB) storage.Storage {
	m := storetest.NewMetrics()
	return &promStorage{queryable: queryable{reader: m, tenant: model.DefaultTenant}, metrics: m}
}

func (s *promStorage) Querier(mint, maxt int64) (storage.Querier, error) {
	return s.queryable.Querier(mint, maxt)
}

func (s *promStorage) Close() error { return nil }

func (s *promStorage) AppenderV2(context.Context) storage.AppenderV2 {
	return &promAppender{metrics: s.metrics}
}

type promAppender struct {
	metrics *storetest.Metrics
	batch   store.MetricBatch
	last    map[string]*histogram.FloatHistogram // the sample before, by series
}

// hint marks a counter histogram that is no reset against the sample before it, as
// Prometheus' own storage does on append. The scripts compare these marks; evaluation
// does not depend on them.
func (a *promAppender) hint(key string, s store.HistogramSample) {
	cur := s.Float
	var target *histogram.CounterResetHint
	if s.Int != nil {
		cur, target = s.Int.ToFloat(nil), &s.Int.CounterResetHint
	} else {
		target = &s.Float.CounterResetHint
	}
	prev := a.last[key]
	if prev != nil && *target == histogram.UnknownCounterReset && !value.IsStaleNaN(cur.Sum) && !value.IsStaleNaN(prev.Sum) && !cur.DetectReset(prev) {
		*target = histogram.NotCounterReset
	}
	if a.last == nil {
		a.last = map[string]*histogram.FloatHistogram{}
	}
	a.last[key] = cur
}

func (a *promAppender) Append(_ storage.SeriesRef, ls labels.Labels, _, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, _ storage.AppendV2Options) (storage.SeriesRef, error) {
	var w store.SeriesWrite
	ls.Range(func(l labels.Label) { w.Labels = append(w.Labels, model.Label{Name: l.Name, Value: l.Value}) })
	w.Labels = model.NewLabels(w.Labels...)
	if h == nil && fh == nil {
		w.Samples = []store.Sample{{Time: t, Value: v}}
		delete(a.last, ls.String())
	} else {
		sample := store.HistogramSample{Time: t, Int: h, Float: fh}
		w.Histograms = []store.HistogramSample{sample}
		a.hint(ls.String(), sample)
	}
	a.batch.Series = append(a.batch.Series, w)
	return 1, nil
}

func (a *promAppender) Commit() error {
	return a.metrics.Append(context.Background(), model.DefaultTenant, &a.batch)
}

func (a *promAppender) Rollback() error { return nil }

// skipping runs the scripts except some.
type skipping struct {
	*testing.T
	files []string
}

func (s skipping) Run(name string, f func(*testing.T)) bool {
	return s.T.Run(name, func(t *testing.T) {
		if slices.Contains(s.files, name) {
			t.Skip("about a feature that is not on")
		}
		f(t)
	})
}

func scriptEngine(t *testing.T) *promql.Engine {
	t.Helper()
	return promqltest.NewTestEngineWithOpts(t, promql.EngineOpts{
		MaxSamples: 50_000_000, Timeout: 100 * time.Second, LookbackDelta: 5 * time.Minute,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true, EnableNegativeOffset: true, EnableDelayedNameRemoval: true,
		Parser: New(Options{Features: Features()}).parser,
	})
}

// TestPrometheusScripts runs Prometheus' own test scripts on its engine over the
// contract. Start timestamps are not kept.
func TestPrometheusScripts(t *testing.T) {
	run := skipping{t, []string{"testdata/start_timestamps.test"}}
	promqltest.RunBuiltinTestsWithStorage(run, scriptEngine(t), newPromStorage)
}

// vectorFirst lets the scripts run on our Engine.
type vectorFirst struct {
	promql.QueryEngine
	engine *Engine
}

type vectorQuery struct {
	promql.Query
	run func(ctx context.Context) *promql.Result
}

func (q vectorQuery) Exec(ctx context.Context) *promql.Result { return q.run(ctx) }

func (q vectorQuery) Close() {}

func (v vectorFirst) NewInstantQuery(ctx context.Context, s storage.Queryable, o promql.QueryOpts, text string, ts time.Time) (promql.Query, error) {
	q, err := v.QueryEngine.NewInstantQuery(ctx, s, o, text, ts)
	return v.wrap(q, s, Query{Text: text, Start: ts}), err
}

func (v vectorFirst) NewRangeQuery(ctx context.Context, s storage.Queryable, o promql.QueryOpts, text string, start, end time.Time, step time.Duration) (promql.Query, error) {
	q, err := v.QueryEngine.NewRangeQuery(ctx, s, o, text, start, end, step)
	return v.wrap(q, s, Query{Text: text, Start: start, End: end, Step: step}), err
}

// wrap returns a query that tries the vectorised evaluator before q.
func (v vectorFirst) wrap(q promql.Query, s storage.Queryable, query Query) promql.Query {
	return vectorQuery{q, func(ctx context.Context) *promql.Result {
		ps, ok := s.(*promStorage)
		expr, err := v.engine.Parse(query.Text)
		if !ok || err != nil {
			return q.Exec(ctx)
		}
		query.Tenant = ps.tenant
		value, annos, err := v.engine.vectorised(ctx, ps.reader, query, expr, nil)
		if errors.Is(err, errFallback) {
			return q.Exec(ctx)
		}
		return &promql.Result{Value: value, Warnings: v.delayed(ctx, ps, query, q, annos), Err: err}
	}}
}

// delayed returns the annotations that the scripts expect in place of ours: with delayed
// name removal, some name the metric. Ours are those of the reference without it.
func (v vectorFirst) delayed(ctx context.Context, ps *promStorage, query Query, q promql.Query, annos annotations.Annotations) annotations.Annotations {
	want, err := v.engine.runReference(ctx, ps.reader, query, nil)
	if err != nil {
		return annos
	}
	warnings, infos := annos.AsStrings(query.Text, maxAnnotations, maxAnnotations)
	for _, list := range [][]string{warnings, infos, want.Warnings, want.Infos} {
		slices.Sort(list)
	}
	if !slices.Equal(warnings, want.Warnings) || !slices.Equal(infos, want.Infos) {
		return annos
	}
	return q.Exec(ctx).Warnings
}

// TestPrometheusScriptsVectorised runs the same scripts through the vectorised evaluator.
// The scripts are written for delayed name removal, an experiment that is off in
// Prometheus by default and in ours: what it changes is left out.
func TestPrometheusScriptsVectorised(t *testing.T) {
	run := skipping{t, []string{"testdata/start_timestamps.test", "testdata/name_label_dropping.test", "testdata/type_and_unit.test"}}
	promqltest.RunBuiltinTestsWithStorage(run, vectorFirst{scriptEngine(t), New(Options{Features: Features()})}, newPromStorage)
}

func load(t *testing.T) *storetest.Metrics {
	t.Helper()
	m := storetest.NewMetrics()
	var b store.MetricBatch
	for _, job := range []string{"a", "b"} {
		w := store.SeriesWrite{Labels: model.NewLabels(model.Label{Name: model.MetricName, Value: "up"}, model.Label{Name: "job", Value: job})}
		for i := range int64(10) {
			w.Samples = append(w.Samples, store.Sample{Time: 1_000_000 + i*15_000, Value: float64(i)})
		}
		b.Series = append(b.Series, w)
	}
	if err := m.Append(t.Context(), "t1", &b); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRun(t *testing.T) {
	m := load(t)
	e := New(Options{Features: Features()})
	at := time.UnixMilli(1_000_000 + 9*15_000)
	res, err := e.Run(t.Context(), m, Query{Tenant: "t1", Text: "sum(up)", Start: at}, nil)
	if v, ok := res.Value.(promql.Vector); err != nil || !ok || len(v) != 1 || v[0].F != 18 {
		t.Errorf("instant: got %v, error %v", res.Value, err)
	}
	res, err = e.Run(t.Context(), m, Query{Tenant: "t1", Text: `up{job="a"}`, Start: at.Add(-time.Minute), End: at, Step: 30 * time.Second}, nil)
	if v, ok := res.Value.(promql.Matrix); err != nil || !ok || len(v) != 1 || len(v[0].Floats) != 3 {
		t.Errorf("range: got %v, error %v", res.Value, err)
	}
	res, err = e.Run(t.Context(), m, Query{Tenant: "other", Text: "sum(up)", Start: at}, nil)
	if v, ok := res.Value.(promql.Vector); err != nil || !ok || len(v) != 0 {
		t.Errorf("other tenant: got %v, error %v", res.Value, err)
	}
	res, err = e.Run(t.Context(), m, Query{Tenant: "t1", Text: "rate(up[1m])", Start: at}, nil)
	if err != nil || !slices.ContainsFunc(res.Infos, func(s string) bool { return len(s) > 0 }) {
		t.Errorf("rate of a gauge: infos %q, error %v", res.Infos, err)
	}
}

func TestErrorsKeepTheirKind(t *testing.T) {
	m := load(t)
	at := time.UnixMilli(1_000_000 + 9*15_000)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		ctx  context.Context
		opts Options
		text string
		want error
	}{
		{"syntax", t.Context(), Options{}, "sum(up", ErrParse},
		{"type", t.Context(), Options{}, "rate(up)", ErrParse},
		{"matching", t.Context(), Options{}, "up + on() up", ErrEval},
		{"too many samples", t.Context(), Options{MaxSamples: 1}, "up", store.ErrTooBroad},
		{"canceled", canceled, Options{}, "up", context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.opts).Run(tt.ctx, m, Query{Tenant: "t1", Text: tt.text, Start: at}, nil)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}
