package prom

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// importBatch is the number of samples that are written at one time.
const importBatch = 20_000

// importer gathers what a body holds and writes it batch by batch. What the store refuses
// is counted; the rest is stored.
type importer struct {
	w       store.MetricWriter
	tenant  model.Tenant
	extra   model.Labels // of the parameters extra_label
	batch   store.MetricBatch
	held    int
	refused store.Refused
}

func (a *API) importer(r *http.Request) (*importer, error) {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return nil, err
	}
	im := &importer{w: a.Writer, tenant: tenant}
	for _, s := range r.URL.Query()["extra_label"] {
		name, v, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, api.Invalid("invalid parameter %q: %q is not name=value", "extra_label", s)
		}
		im.extra = append(im.extra, model.Label{Name: name, Value: v})
	}
	return im, nil
}

// body returns the uncompressed body of r.
func body(r *http.Request) (io.Reader, error) {
	switch e := r.Header.Get("Content-Encoding"); e {
	case "", "identity":
		return r.Body, nil
	case "gzip":
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, api.Invalid("read gzip body: %w", err)
		}
		return z, nil
	default:
		return nil, api.Invalid("Content-Encoding %q is not supported; send gzip or plain text", e)
	}
}

// add adds a series, which must not be changed afterwards.
func (im *importer) add(ctx context.Context, w store.SeriesWrite) error {
	for _, l := range im.extra {
		w.Labels = slices.DeleteFunc(w.Labels, func(x model.Label) bool { return x.Name == l.Name })
		w.Labels = append(w.Labels, l)
	}
	im.batch.Series = append(im.batch.Series, w)
	if im.held += len(w.Samples) + len(w.Histograms) + len(w.Exemplars); im.held >= importBatch {
		return im.flush(ctx)
	}
	return nil
}

func (im *importer) flush(ctx context.Context) error {
	if len(im.batch.Series)+len(im.batch.Metadata) == 0 {
		return nil
	}
	err := im.w.Append(ctx, im.tenant, &im.batch)
	im.batch, im.held = store.MetricBatch{}, 0
	var refused *store.Refused
	if errors.As(err, &refused) {
		im.refused.Kept += refused.Kept
		for _, x := range refused.Refusals {
			im.refused.Add(x.Reason, x.Count, func() string { return x.Sample })
		}
		return nil
	}
	return err
}

// finish writes the rest and answers.
func (im *importer) finish(ctx context.Context, w http.ResponseWriter) error {
	if err := im.flush(ctx); err != nil {
		return err
	}
	if err := im.refused.Err(); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// importLine is a line of export.
type importLine struct {
	Metric     map[string]string `json:"metric"`
	Values     []lineValue       `json:"values"`
	Timestamps []int64           `json:"timestamps"`
	Histograms []string          `json:"histograms"`
}

type lineValue float64

// UnmarshalJSON implements json.Unmarshaler.
func (v *lineValue) UnmarshalJSON(b []byte) error {
	text := string(bytes.Trim(b, `"`))
	switch strings.ToLower(text) {
	case "null":
		*v = lineValue(math.Float64frombits(value.StaleNaN))
		return nil
	case "nan":
		*v = lineValue(math.Float64frombits(value.NormalNaN))
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("value %s is not a number", b)
	}
	*v = lineValue(f)
	return nil
}

// importLines takes JSON lines, of any number; MaxBody bounds one of them.
func (a *API) importLines(w http.ResponseWriter, r *http.Request) error {
	im, err := a.importer(r)
	if err != nil {
		return err
	}
	in, err := body(r)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, flushAt), int(a.maxBody()))
	n := 0
	for lines.Scan() {
		n++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		s, err := parseLine(lines.Bytes())
		if err == nil {
			err = im.add(r.Context(), s)
		}
		if errors.Is(err, api.ErrInvalid) {
			return api.Invalid("line %d: %w; the %d samples before it are stored", n, err, im.stored(r.Context()))
		}
		if err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return api.Invalid("line %d: %w", n+1, err)
	}
	return im.finish(r.Context(), w)
}

// stored writes what was gathered before an error and returns how much is stored.
func (im *importer) stored(ctx context.Context) int {
	n := im.held
	if err := im.flush(ctx); err != nil {
		n = 0
	}
	return im.refused.Kept + n
}

func parseLine(b []byte) (store.SeriesWrite, error) {
	var l importLine
	if err := json.Unmarshal(b, &l); err != nil {
		return store.SeriesWrite{}, api.Invalid("not a line of export: %w", err)
	}
	if len(l.Values) != len(l.Timestamps) {
		return store.SeriesWrite{}, api.Invalid("%d values and %d timestamps", len(l.Values), len(l.Timestamps))
	}
	s := store.SeriesWrite{Labels: model.LabelsFromMap(l.Metric), Samples: make([]store.Sample, len(l.Values))}
	for i, v := range l.Values {
		s.Samples[i] = store.Sample{Time: l.Timestamps[i], Value: float64(v)}
	}
	for _, text := range l.Histograms {
		raw, err := base64.StdEncoding.DecodeString(text)
		var p prompb.Histogram
		if err == nil {
			err = p.Unmarshal(raw)
		}
		if err != nil {
			return s, api.Invalid("histogram: %w", err)
		}
		h := store.HistogramSample{Time: p.Timestamp}
		if p.IsFloatHistogram() {
			h.Float = p.ToFloatHistogram()
		} else {
			h.Int = p.ToIntHistogram()
		}
		s.Histograms = append(s.Histograms, h)
	}
	return s, nil
}

// importText takes Prometheus' text format or OpenMetrics, by Content-Type. Samples
// without a time are of the parameter timestamp, Unix milliseconds, or of now.
func (a *API) importText(w http.ResponseWriter, r *http.Request) error {
	im, err := a.importer(r)
	if err != nil {
		return err
	}
	at := a.Now().UnixMilli()
	if s := r.URL.Query().Get("timestamp"); s != "" {
		if at, err = strconv.ParseInt(s, 10, 64); err != nil {
			return api.Invalid("invalid parameter %q: %q is not a number of milliseconds", "timestamp", s)
		}
	}
	in, err := body(r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(in, a.maxBody()+1))
	if err != nil {
		return api.Invalid("read body: %w", err)
	}
	if int64(len(text)) > a.maxBody() {
		return api.Invalid("the body has more than %d bytes; send less at one time", a.maxBody())
	}
	if err := im.text(r.Context(), text, r.Header.Get("Content-Type"), at); err != nil {
		return err
	}
	return im.finish(r.Context(), w)
}

func (im *importer) text(ctx context.Context, text []byte, contentType string, at int64) error {
	if !strings.HasPrefix(contentType, "application/openmetrics-text") {
		contentType = "text/plain"
	}
	if contentType == "text/plain" && len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	p, err := textparse.New(text, contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return api.Invalid("Content-Type %q: %w", contentType, err)
	}
	md := map[string]*store.MetricMetadata{}
	of := func(name []byte) *store.MetricMetadata {
		m := md[string(name)]
		if m == nil {
			m = &store.MetricMetadata{Metric: string(name)}
			md[m.Metric] = m
		}
		return m
	}
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return api.Invalid("parse text: %w", err)
		}
		switch entry {
		case textparse.EntryType:
			name, typ := p.Type()
			of(name).Type = string(typ)
		case textparse.EntryHelp:
			name, help := p.Help()
			of(name).Help = string(help)
		case textparse.EntryUnit:
			name, unit := p.Unit()
			of(name).Unit = string(unit)
		case textparse.EntrySeries:
			if err := im.add(ctx, textSeries(p, at)); err != nil {
				return err
			}
		case textparse.EntryHistogram, textparse.EntryComment, textparse.EntryInvalid:
		}
	}
	for _, m := range md {
		im.batch.Metadata = append(im.batch.Metadata, *m)
	}
	return nil
}

// textSeries returns the sample that p stands at.
func textSeries(p textparse.Parser, at int64) store.SeriesWrite {
	_, t, v := p.Series()
	if t != nil {
		at = *t
	}
	var ls labels.Labels
	p.Labels(&ls)
	s := store.SeriesWrite{Labels: fromPrometheus(ls), Samples: []store.Sample{{Time: at, Value: v}}}
	for {
		var e exemplar.Exemplar
		if !p.Exemplar(&e) {
			return s
		}
		if !e.HasTs {
			e.Ts = at
		}
		s.Exemplars = append(s.Exemplars, store.Exemplar{Time: e.Ts, Value: e.Value, Labels: fromPrometheus(e.Labels)})
	}
}

func fromPrometheus(ls labels.Labels) model.Labels {
	out := make(model.Labels, 0, ls.Len())
	ls.Range(func(l labels.Label) {
		out = append(out, model.Label{Name: strings.Clone(l.Name), Value: strings.Clone(l.Value)})
	})
	return out
}
