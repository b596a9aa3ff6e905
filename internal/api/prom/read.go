package prom

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/prometheus/prometheus/prompb"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/ingest"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
)

// read is Prometheus' remote read: another Prometheus, or a tool such as Thanos, reads raw
// samples. Answers are of the kind that every client takes, samples in one message; the
// budgets of a query bound them.
func (a *API) read(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	var in prompb.ReadRequest
	var body ingest.Body
	b, err := body.Read(r, "snappy", a.maxBody())
	if err != nil {
		return api.Invalid("read request: %w", err)
	}
	if err := in.Unmarshal(b); err != nil {
		return api.Invalid("read request: it is no prometheus.ReadRequest: %w", err)
	}
	if ts := in.AcceptedResponseTypes; len(ts) > 0 && !slices.Contains(ts, prompb.ReadRequest_SAMPLES) {
		return api.Invalid("read request: none of the accepted response types %v is supported; accept SAMPLES", ts)
	}
	var packed []byte
	_, err = a.Door.Do(r.Context(), query.Request{Tenant: tenant, Language: "promql", Text: "remote read"}, func(ctx context.Context, acct *store.Account) error {
		out := prompb.ReadResponse{Results: make([]*prompb.QueryResult, len(in.Queries))}
		for i, q := range in.Queries {
			res, err := a.readOne(ctx, tenant, q, acct)
			if err != nil {
				return err
			}
			out.Results[i] = res
		}
		raw, err := out.Marshal()
		if err != nil {
			return fmt.Errorf("encode remote read: %w", err)
		}
		packed = s2.EncodeSnappy(nil, raw)
		return nil
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	w.Header().Set("Content-Encoding", "snappy")
	_, err = w.Write(packed)
	return err
}

// The memory of a sample and of a series of an answer, both twice: as a struct and encoded.
const (
	readSampleBytes = 40
	readSeriesBytes = 600
)

// readOne answers one query of a remote read. Its times are inclusive.
func (a *API) readOne(ctx context.Context, tenant model.Tenant, q *prompb.Query, acct *store.Account) (*prompb.QueryResult, error) {
	sel := store.MetricSelector{
		Range:   model.TimeRange{From: q.StartTimestampMs, To: min(q.EndTimestampMs, math.MaxInt64-1) + 1},
		All:     len(q.Matchers) == 0,
		Account: acct,
	}
	for _, m := range q.Matchers {
		typ, ok := map[prompb.LabelMatcher_Type]model.MatchType{
			prompb.LabelMatcher_EQ: model.MatchEqual, prompb.LabelMatcher_NEQ: model.MatchNotEqual,
			prompb.LabelMatcher_RE: model.MatchRegexp, prompb.LabelMatcher_NRE: model.MatchNotRegexp,
		}[m.Type]
		if !ok {
			return nil, api.Invalid("read request: matcher type %d of label %s", m.Type, m.Name)
		}
		matcher, err := model.NewMatcher(typ, m.Name, m.Value)
		if err != nil {
			return nil, api.Invalid("read request: %w", err)
		}
		sel.Matchers = append(sel.Matchers, matcher)
	}
	out := &prompb.QueryResult{}
	var ts []int64
	var vs []float64
	var hs []store.HistogramSample
	for x, err := range a.Reader.Select(ctx, tenant, sel) {
		if err != nil {
			return nil, err
		}
		if ts, vs, err = x.Samples(ts[:0], vs[:0]); err != nil {
			return nil, err
		}
		if hs, err = x.Histograms(hs[:0]); err != nil {
			return nil, err
		}
		if err := acct.Hold(readSeriesBytes + int64(len(ts))*readSampleBytes + int64(len(hs))*readSeriesBytes); err != nil {
			return nil, err
		}
		series := &prompb.TimeSeries{Samples: make([]prompb.Sample, len(ts))}
		for _, l := range x.Labels() {
			series.Labels = append(series.Labels, prompb.Label{Name: l.Name, Value: l.Value})
		}
		for i, t := range ts {
			series.Samples[i] = prompb.Sample{Timestamp: t, Value: vs[i]}
		}
		for _, h := range hs {
			if h.Int != nil {
				series.Histograms = append(series.Histograms, prompb.FromIntHistogram(h.Time, h.Int))
			} else {
				series.Histograms = append(series.Histograms, prompb.FromFloatHistogram(h.Time, h.Float))
			}
		}
		out.Timeseries = append(out.Timeseries, series)
	}
	return out, nil
}
