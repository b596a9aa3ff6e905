package loki

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
)

// lookup reads the range and the selector in parameter query of r, and runs f with them.
func (a *API) lookup(r *http.Request, required, all bool, f func(ctx context.Context, src *source, sel store.LogSelector) error) (query.Stats, error) {
	var st query.Stats
	src, err := a.source(r)
	if err != nil {
		return st, err
	}
	rng, err := a.timeRange(r)
	if err != nil {
		return st, err
	}
	sel := store.LogSelector{Range: closed(src.limits.see(rng, a.Now()))}
	text := r.FormValue("query")
	if text != "" || required {
		if sel.Matchers, err = logql.ParseSelector(text, all); err != nil {
			return st, err
		}
	}
	return a.do(r, src, text, func(ctx context.Context, acct *store.Account) error {
		sel.Account = acct
		return f(ctx, src, sel)
	})
}

// closed makes the end of rng inclusive: clients send the time of the latest entry.
func closed(rng model.TimeRange) model.TimeRange {
	return model.TimeRange{From: rng.From, To: rng.To + 1}
}

func (a *API) labels(w http.ResponseWriter, r *http.Request) error {
	return a.names(w, r, func(ctx context.Context, src *source, sel store.LogSelector) ([]string, error) {
		return src.index.LabelNames(ctx, src.name, sel)
	})
}

func (a *API) labelValues(w http.ResponseWriter, r *http.Request) error {
	return a.names(w, r, func(ctx context.Context, src *source, sel store.LogSelector) ([]string, error) {
		if name := r.PathValue("name"); name != tenantLabel {
			return src.index.LabelValues(ctx, src.name, name, sel)
		}
		one := &tenantUnion{tenants: src.tenants, reader: a.Reader, index: a.Index}
		return one.LabelValues(ctx, src.name, tenantLabel, sel)
	})
}

// names answers with a list of strings. Like Loki it leaves data out if there are none.
func (a *API) names(w http.ResponseWriter, r *http.Request, list func(context.Context, *source, store.LogSelector) ([]string, error)) error {
	var names []string
	st, err := a.lookup(r, false, false, func(ctx context.Context, src *source, sel store.LogSelector) (err error) {
		names, err = list(ctx, src, sel)
		return err
	})
	if err != nil {
		return err
	}
	e := newEncoder(w)
	e.raw(`{`)
	e.warnings(st.Warnings)
	e.raw(`"status":"success"`)
	for i, s := range names {
		if i == 0 {
			e.raw(`,"` + namesKey(r) + `":[`)
		} else {
			e.raw(`,`)
		}
		e.b = appendString(e.b, s)
		e.spill()
	}
	if len(names) > 0 {
		e.raw(`]`)
	}
	e.raw("}\n")
	return e.close()
}

// series answers /loki/api/v1/series: the streams that match any of several selectors.
func (a *API) series(w http.ResponseWriter, r *http.Request) error {
	src, err := a.source(r)
	if err != nil {
		return err
	}
	rng, err := a.timeRange(r)
	if err != nil {
		return err
	}
	rng = src.limits.see(rng, a.Now())
	groups := append(slices.Clone(r.Form["match[]"]), r.Form["match"]...)
	selectors, err := seriesSelectors(groups)
	if err != nil {
		return err
	}
	var streams []model.Labels
	st, err := a.do(r, src, strings.Join(groups, " or "), func(ctx context.Context, acct *store.Account) error {
		for _, ms := range selectors {
			found, err := src.index.Streams(ctx, src.name, store.LogSelector{Matchers: ms, Range: closed(rng), Account: acct})
			if err != nil {
				return err
			}
			for _, s := range found {
				streams = append(streams, s.Labels)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(streams, model.Labels.Compare)
	streams = slices.CompactFunc(streams, model.Labels.Equal)
	e := newEncoder(w)
	e.raw(`{`)
	e.warnings(st.Warnings)
	e.raw(`"status":"success","data":[`)
	for i, ls := range streams {
		if i > 0 {
			e.raw(`,`)
		}
		e.b = appendLabels(e.b, ls)
		e.spill()
	}
	e.raw("]}\n")
	return e.close()
}

func seriesSelectors(groups []string) ([][]*model.Matcher, error) {
	if len(groups) == 0 {
		return [][]*model.Matcher{nil}, nil
	}
	var out [][]*model.Matcher
	for _, g := range groups {
		ms, err := logql.ParseSelector(g, true)
		if err != nil {
			return nil, err
		}
		if len(ms) == 0 && len(groups) > 1 {
			return nil, api.Invalid("0 matchers in group: %s; {} selects every stream and cannot be combined with others", g)
		}
		out = append(out, ms)
	}
	return out, nil
}

// stats answers /loki/api/v1/index/stats.
func (a *API) stats(w http.ResponseWriter, r *http.Request) error {
	var sum struct {
		Streams int64 `json:"streams"`
		Chunks  int64 `json:"chunks"`
		Bytes   int64 `json:"bytes"`
		Entries int64 `json:"entries"`
	}
	_, err := a.lookup(r, true, true, func(ctx context.Context, src *source, sel store.LogSelector) error {
		streams, err := src.index.Streams(ctx, src.name, sel)
		for _, s := range streams {
			sum.Streams++
			sum.Chunks += s.Blocks
			sum.Bytes += s.Bytes
			sum.Entries += s.Entries
		}
		return err
	})
	if err != nil {
		return err
	}
	return writeJSON(w, &sum)
}

// volumeQuery is a request for volumes.
type volumeQuery struct {
	limit    int
	targets  []string // nil: the labels that the selector names
	byLabel  bool
	matchers []*model.Matcher
}

func volumeParams(r *http.Request) (volumeQuery, error) {
	var q volumeQuery
	var err error
	if q.limit, err = intParam(r, "limit", 100); err != nil {
		return q, err
	}
	if q.limit == 0 {
		q.limit = 100
	}
	switch s := r.FormValue("aggregateBy"); s {
	case "", "series":
	case "labels":
		q.byLabel = true
	default:
		return q, api.Invalid("invalid aggregation option %q: want series or labels", s)
	}
	if s := r.FormValue("targetLabels"); s != "" {
		q.targets = strings.Split(s, ",")
	}
	q.matchers, err = logql.ParseSelector(r.FormValue("query"), true)
	return q, err
}

// add adds the volume of a stream to sums.
func (q *volumeQuery) add(sums map[string]*volume, s *store.StreamStats) {
	if q.byLabel {
		for _, l := range s.Labels {
			if q.targets == nil || slices.Contains(q.targets, l.Name) {
				addVolume(sums, model.Labels{{Name: l.Name}}, s.Bytes)
			}
		}
		return
	}
	targets := q.targets
	if targets == nil {
		for _, m := range q.matchers {
			targets = append(targets, m.Name)
		}
	}
	ls := s.Labels
	if len(targets) > 0 {
		ls = slices.DeleteFunc(slices.Clone(ls), func(l model.Label) bool { return !slices.Contains(targets, l.Name) })
		if len(ls) == 0 {
			return
		}
	}
	addVolume(sums, ls, s.Bytes)
}

type volume struct {
	labels model.Labels
	bytes  int64
}

func addVolume(sums map[string]*volume, ls model.Labels, bytes int64) {
	key := ls.String()
	v := sums[key]
	if v == nil {
		v = &volume{labels: ls}
		sums[key] = v
	}
	v.bytes += bytes
}

// top returns the q.limit greatest of sums, greatest first.
func (q *volumeQuery) top(sums map[string]*volume) []*volume {
	out := make([]*volume, 0, len(sums))
	for _, v := range sums {
		if v.bytes > 0 {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b *volume) int {
		return cmp.Or(cmp.Compare(b.bytes, a.bytes), a.labels.Compare(b.labels))
	})
	return out[:min(len(out), q.limit)]
}

// volume answers /loki/api/v1/index/volume.
func (a *API) volume(w http.ResponseWriter, r *http.Request) error {
	q, err := volumeParams(r)
	if err != nil {
		return err
	}
	rng, err := a.timeRange(r)
	if err != nil {
		return err
	}
	sums := map[string]*volume{}
	st, err := a.lookup(r, true, true, func(ctx context.Context, src *source, sel store.LogSelector) error {
		if src.limits.NoVolume {
			return errNoVolume()
		}
		q.limit = min(q.limit, src.limits.VolumeMaxSeries)
		streams, err := src.index.Streams(ctx, src.name, sel)
		for i := range streams {
			q.add(sums, &streams[i])
		}
		return err
	})
	if err != nil {
		return err
	}
	res := &logql.Result{Type: logql.Vector}
	for _, v := range q.top(sums) {
		res.Series = append(res.Series, logql.Series{Labels: v.labels, Points: []logql.Point{{Time: rng.To, Value: float64(v.bytes)}}})
	}
	return writeResult(w, res, &st, nil)
}

// maxVolumePoints bounds the buckets of a volume_range, each of which is a look-up.
const maxVolumePoints = 1000

// volumeRange answers /loki/api/v1/index/volume_range.
func (a *API) volumeRange(w http.ResponseWriter, r *http.Request) error {
	q, err := volumeParams(r)
	if err != nil {
		return err
	}
	rng, err := a.timeRange(r)
	if err != nil {
		return err
	}
	limits := Limits{}.withDefaults()
	step, err := limits.step(r, rng)
	if err != nil {
		return err
	}
	if n := (rng.To - rng.From) / int64(step); n > maxVolumePoints {
		return api.Invalid("volume would have %d points, at most %d are allowed. Try increasing the value of the step parameter", n, maxVolumePoints)
	}
	points := map[string]*logql.Series{}
	totals := map[string]*volume{}
	st, err := a.lookup(r, true, true, func(ctx context.Context, src *source, sel store.LogSelector) error {
		if src.limits.NoVolume {
			return errNoVolume()
		}
		q.limit = min(q.limit, src.limits.VolumeMaxSeries)
		for from := floorTo(rng.From, int64(step)); from <= rng.To; from += int64(step) {
			sel.Range = model.TimeRange{From: max(from, rng.From), To: min(from+int64(step), rng.To+1)}
			streams, err := src.index.Streams(ctx, src.name, sel)
			if err != nil {
				return err
			}
			sums := map[string]*volume{}
			for i := range streams {
				q.add(sums, &streams[i])
			}
			for key, v := range sums {
				if points[key] == nil {
					points[key] = &logql.Series{Labels: v.labels}
				}
				at := from + int64(step) - int64(time.Millisecond)
				points[key].Points = append(points[key].Points, logql.Point{Time: at, Value: float64(v.bytes)})
				addVolume(totals, v.labels, v.bytes)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	res := &logql.Result{Type: logql.Matrix}
	for _, v := range q.top(totals) {
		res.Series = append(res.Series, *points[v.labels.String()])
	}
	slices.SortFunc(res.Series, func(a, b logql.Series) int { return a.Labels.Compare(b.Labels) })
	return writeResult(w, res, &st, nil)
}
