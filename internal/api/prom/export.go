package prom

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
)

// The JSON lines of VictoriaMetrics: one object for each series,
//
//	{"metric":{"__name__":"up"},"values":[1,null],"timestamps":[1700000000000,1700000015000]}
//
// A stale marker is null, infinities and NaN are texts. What its format has no place for
// is a field of our own, which other readers skip: native histograms are "histograms", a
// list of Prometheus' protobuf message in base64.

// stream runs f, which writes an answer of any size through w, through the front door.
func (a *API) stream(r *http.Request, w http.ResponseWriter, contentType, what string, f func(ctx context.Context, tenant model.Tenant, acct *store.Account, w *bufio.Writer) error) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	timeout, err := durationParam(r, "timeout")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType)
	buf := bufio.NewWriterSize(w, flushAt)
	_, err = a.Door.Do(r.Context(), query.Request{Tenant: tenant, Language: "promql", Text: what, Timeout: timeout}, func(ctx context.Context, acct *store.Account) error {
		return f(ctx, tenant, acct, buf)
	})
	if err != nil {
		return err
	}
	return buf.Flush()
}

// eachSeries calls f with every series that one of sets matches, once.
func (a *API) eachSeries(ctx context.Context, tenant model.Tenant, acct *store.Account, sets [][]*model.Matcher, r model.TimeRange, f func(store.Series) error) error {
	for i, ms := range sets {
		sel := store.MetricSelector{Matchers: ms, Range: r, Account: acct}
		for x, err := range a.Reader.Select(ctx, tenant, sel) {
			if err != nil {
				return err
			}
			if slices.ContainsFunc(sets[:i], func(before []*model.Matcher) bool { return model.MatchesLabels(x.Labels(), before) }) {
				continue
			}
			if err := f(x); err != nil {
				return err
			}
		}
	}
	return nil
}

// required returns the selectors of match[], of which there must be one.
func (a *API) required(r *http.Request) ([][]*model.Matcher, error) {
	sets, err := a.matchers(r)
	if err == nil && len(sets) == 0 {
		err = api.Invalid("no match[] parameter provided")
	}
	return sets, err
}

func (a *API) export(w http.ResponseWriter, r *http.Request) error {
	sets, err := a.required(r)
	if err != nil {
		return err
	}
	rng, err := window(r, time.UnixMilli(-maxTime), time.UnixMilli(maxTime))
	if err != nil {
		return err
	}
	most := math.MaxInt
	if s := r.FormValue("max_rows_per_line"); s != "" {
		if most, err = strconv.Atoi(s); err != nil || most < 1 {
			return api.Invalid("invalid parameter %q: %q is not a positive number", "max_rows_per_line", s)
		}
	}
	return a.stream(r, w, "application/stream+json", "export", func(ctx context.Context, tenant model.Tenant, acct *store.Account, buf *bufio.Writer) error {
		var ts []int64
		var vs []float64
		var hs []store.HistogramSample
		var line []byte
		return a.eachSeries(ctx, tenant, acct, sets, rng, func(x store.Series) error {
			var err error
			if ts, vs, err = x.Samples(ts[:0], vs[:0]); err != nil {
				return err
			}
			if hs, err = x.Histograms(hs[:0]); err != nil {
				return err
			}
			for from := 0; from < len(ts); from += min(most, len(ts)-from) {
				n := min(most, len(ts)-from)
				line = appendLine(line[:0], x.Labels(), ts[from:from+n], vs[from:from+n])
				if _, err := buf.Write(line); err != nil {
					return err
				}
			}
			for part := range slices.Chunk(hs, min(most, 1000)) {
				if line, err = appendHistogramLine(line[:0], x.Labels(), part); err != nil {
					return err
				}
				if _, err := buf.Write(line); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func appendLine(b []byte, ls model.Labels, ts []int64, vs []float64) []byte {
	b = appendLabelSet(append(b, `{"metric":`...), ls)
	b = append(b, `,"values":[`...)
	for i, v := range vs {
		if i > 0 {
			b = append(b, ',')
		}
		switch {
		case value.IsStaleNaN(v):
			b = append(b, "null"...)
		case v != v:
			b = append(b, `"NaN"`...)
		case math.IsInf(v, 1):
			b = append(b, `"Infinity"`...)
		case math.IsInf(v, -1):
			b = append(b, `"-Infinity"`...)
		default:
			b = strconv.AppendFloat(b, v, 'g', -1, 64)
		}
	}
	b = append(b, `],"timestamps":[`...)
	for i, t := range ts {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, t, 10)
	}
	return append(b, "]}\n"...)
}

func appendHistogramLine(b []byte, ls model.Labels, hs []store.HistogramSample) ([]byte, error) {
	b = appendLabelSet(append(b, `{"metric":`...), ls)
	b = append(b, `,"histograms":[`...)
	for i, h := range hs {
		if i > 0 {
			b = append(b, ',')
		}
		var p prompb.Histogram
		if h.Int != nil {
			p = prompb.FromIntHistogram(h.Time, h.Int)
		} else {
			p = prompb.FromFloatHistogram(h.Time, h.Float)
		}
		raw, err := p.Marshal()
		if err != nil {
			return b, fmt.Errorf("export histogram: %w", err)
		}
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, raw)
		b = append(b, '"')
	}
	return append(b, "]}\n"...), nil
}

// federate answers with the newest sample of every matching series in Prometheus' text
// format, for the scrape of another server.
func (a *API) federate(w http.ResponseWriter, r *http.Request) error {
	sets, err := a.required(r)
	if err != nil {
		return err
	}
	now := a.Now().UnixMilli()
	rng := model.TimeRange{From: now - federateWindow.Milliseconds(), To: now + 1}
	return a.stream(r, w, "text/plain; version=0.0.4; charset=utf-8", "federate", func(ctx context.Context, tenant model.Tenant, acct *store.Account, buf *bufio.Writer) error {
		var lines []federated
		hists := 0
		var ts []int64
		var vs []float64
		err := a.eachSeries(ctx, tenant, acct, sets, rng, func(x store.Series) error {
			var err error
			if ts, vs, err = x.Samples(ts[:0], vs[:0]); err != nil {
				return err
			}
			if n := len(ts) - 1; n >= 0 && !value.IsStaleNaN(vs[n]) {
				lines = append(lines, federated{x.Labels(), ts[n], vs[n]})
			} else if n < 0 {
				hists++
			}
			return acct.Hold(int64(64 + 32*len(x.Labels())))
		})
		if err != nil {
			return err
		}
		return writeFederated(buf, lines, hists)
	})
}

// federateWindow is how old a sample may be to be handed on: Prometheus' lookback.
const federateWindow = 5 * time.Minute

type federated struct {
	ls model.Labels
	t  int64
	v  float64
}

func writeFederated(buf *bufio.Writer, lines []federated, hists int) error {
	slices.SortStableFunc(lines, func(a, b federated) int {
		x, y := a.ls.Get(model.MetricName), b.ls.Get(model.MetricName)
		if x != y {
			if x < y {
				return -1
			}
			return 1
		}
		return a.ls.Compare(b.ls)
	})
	var b []byte
	family := ""
	for i, l := range lines {
		name := l.ls.Get(model.MetricName)
		if i == 0 || name != family {
			b = append(b, "# TYPE "...)
			b = append(appendName(b, name), " untyped\n"...)
			family = name
		}
		b = appendTextSeries(b, name, l.ls)
		b = append(b, ' ')
		b = appendText(b, l.v)
		b = append(b, ' ')
		b = strconv.AppendInt(b, l.t, 10)
		b = append(b, '\n')
		if _, err := buf.Write(b); err != nil {
			return err
		}
		b = b[:0]
	}
	if hists > 0 {
		_, err := fmt.Fprintf(buf, "# %d series of native histograms are left out: this text format has no form for them. Send them by remote write.\n", hists)
		return err
	}
	return nil
}

// isPlain reports whether name can stand in the text format without quotes.
func isPlain(name string, colon bool) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || colon && c == ':'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

func appendName(b []byte, name string) []byte {
	if isPlain(name, true) {
		return append(b, name...)
	}
	return appendQuoted(b, name)
}

func appendTextSeries(b []byte, name string, ls model.Labels) []byte {
	plain := isPlain(name, true)
	if plain {
		b = append(b, name...)
	}
	sep := byte('{')
	if !plain && name != "" {
		b = appendQuoted(append(b, sep), name)
		sep = ','
	}
	for _, l := range ls {
		if l.Name == model.MetricName {
			continue
		}
		b = append(b, sep)
		if isPlain(l.Name, false) {
			b = append(b, l.Name...)
		} else {
			b = appendQuoted(b, l.Name)
		}
		b = appendQuoted(append(b, '='), l.Value)
		sep = ','
	}
	if sep == ',' {
		b = append(b, '}')
	}
	return b
}

// appendQuoted writes a label value of the text format.
func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch s[i] {
		case '\\':
			b = append(b, `\\`...)
		case '"':
			b = append(b, `\"`...)
		case '\n':
			b = append(b, `\n`...)
		default:
			b = append(b, s[i])
		}
	}
	return append(b, '"')
}

func appendText(b []byte, v float64) []byte {
	switch {
	case v != v:
		return append(b, "NaN"...)
	case math.IsInf(v, 1):
		return append(b, "+Inf"...)
	case math.IsInf(v, -1):
		return append(b, "-Inf"...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// registerBulk adds the endpoints through which whole series leave and enter.
func (a *API) registerBulk(mux *http.ServeMux, prefix string, d api.Dialect) {
	for path, h := range map[string]api.Handler{"/api/v1/export": a.export, "/federate": a.federate} {
		mux.Handle("GET "+prefix+path, api.Compress(d.Handle(h)))
		mux.Handle("POST "+prefix+path, api.Compress(d.Handle(h)))
	}
	if a.Usage != nil {
		mux.Handle("GET "+prefix+"/api/v1/status/metric_names_stats", api.Compress(d.Handle(a.metricNamesStats)))
	}
	if a.Writer == nil {
		return
	}
	for path, h := range map[string]api.Handler{"/api/v1/import": a.importLines, "/api/v1/import/prometheus": a.importText} {
		mux.Handle("POST "+prefix+path, d.Handle(h))
		mux.Handle("PUT "+prefix+path, d.Handle(h))
	}
}

func (a *API) maxBody() int64 { return cmp.Or(a.MaxBody, 64<<20) }
