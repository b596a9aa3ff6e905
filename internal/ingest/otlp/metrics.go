package otlp

import (
	"math"
	"strings"
	"time"

	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/model/value"

	"github.com/pharos-o11y/pharos/internal/ingest/wire"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Reasons of this package why data points are refused, beside those of the store.
const (
	reasonTemporality = "invalid_temporality"
	reasonName        = "invalid_metric_name"
	reasonHistogram   = "invalid_native_histogram"
	reasonDeltaOrder  = "delta_out_of_order"
)

// converter turns an ExportMetricsServiceRequest into a batch. It is pooled: arenas and
// the cache of names are kept. Slices of a batch are cut from arenas; one that grows
// leaves earlier slices valid on its old memory. Strings share the memory of the request.
type converter struct {
	opts    *Options
	batch   store.MetricBatch
	refused store.Refused
	start   int64 // of the data point, Unix milliseconds, 0 for none or what does not count up
	items   int   // data points in the request
	points  int   // samples, histograms and exemplars in the batch
	over    bool  // the keys would take more than maxKeys

	keys      []byte
	samples   []store.Sample
	histos    []store.HistogramSample
	exemplars []store.Exemplar
	labels    []model.Label

	names map[metricID]translated

	tenant model.Tenant
	deltas *deltas
	now    int64  // Unix nanoseconds
	undo   []undo // what to take back from deltas if the batch is not stored

	attrs       []attr // of the resource
	first, last uint64 // timestamps of the resource's data points; first > last if it has none
	info        bool   // the resource has metrics that were not scraped

	scopeAttrs []attr
	resource   []byte // records of the resource and scope that hold for all points
	prefix     []byte // resource, and the record of the metric's name
	scraped    bool   // the scope is the Prometheus receiver's: names are Prometheus' already
	attrKind   byte   // of records of data point attributes

	scratch []byte
	text    []byte // scratch for quantiles and the keys of deltas
	point   point  // scratch for the data point at hand
	les     les
}

type metricID struct {
	name, unit string
	kind       otlptranslator.MetricType
}

// translated is a metric's name and unit in Prometheus' words.
type translated struct{ name, unit string }

// maxNames bounds the cache of translated names.
const maxNames = 10_000

// reset empties c for the next batch.
func (c *converter) reset(tenant model.Tenant, now int64) {
	c.batch.Decode = decodeKey
	c.tenant, c.now = tenant, now
	if c.names == nil || len(c.names) > maxNames {
		c.names = make(map[metricID]translated)
	}
}

// release lets go of the request, whose memory may be used again, and of more memory than
// most need.
func (c *converter) release() {
	clear(c.batch.Metadata)
	c.batch.Reset()
	c.refused, c.items, c.points, c.over = store.Refused{}, 0, 0, false
	p := &c.point
	if max(cap(c.keys), cap(c.les.recs), cap(p.key), 8*max(cap(p.counts), cap(p.positive.counts), cap(p.negative.counts)),
		32*max(cap(c.labels), cap(c.attrs), cap(c.scopeAttrs), cap(p.attrs), cap(p.exemplars))) > keepMemory {
		*c = converter{opts: c.opts, deltas: c.deltas, names: c.names}
		return
	}
	clear(c.exemplars)
	clear(c.histos)
	clear(c.labels)
	clear(c.undo)
	clear(c.attrs)
	clear(c.scopeAttrs)
	p.release()
	c.keys, c.samples, c.histos = c.keys[:0], c.samples[:0], c.histos[:0]
	c.exemplars, c.labels, c.undo = c.exemplars[:0], c.labels[:0], c.undo[:0]
}

// keepMemory is how big the biggest arenas of a converter may be for the next batch.
const keepMemory = 8 << 20

// convert adds everything in the request to the batch. An error is a
// [model.ErrMalformed]: the batch must not be written then.
func (c *converter) convert(body []byte) error {
	return each(wire.NewReader(body), "ExportMetricsServiceRequest", 1, c.resourceMetrics)
}

// resourceMetrics adds a ResourceMetrics.
func (c *converter) resourceMetrics(r wire.Reader) error {
	c.first, c.last, c.info, c.attrs = math.MaxUint64, 0, false, c.attrs[:0]
	scopes, err := c.readResource(r)
	if err == nil {
		err = each(r, "ResourceMetrics", scopes, c.scopeMetrics)
	}
	if err == nil && c.first <= c.last {
		c.targetInfo()
	}
	return err
}

// Fields of ResourceMetrics and ResourceLogs in which the scopes are, today and in the
// first versions of OTLP.
const (
	fieldScopes    = 2
	fieldOldScopes = 1000
)

// readResource reads the attributes of a ResourceMetrics, and says in which field its
// scopes are.
func (c *converter) readResource(r wire.Reader) (scopes int, err error) {
	scopes = fieldOldScopes
	f := wire.Walk(r, "ResourceMetrics")
	for f.Next() {
		switch f.Num {
		case 1:
			c.attrs, err = readAttrs(f.Message(), "Resource", 1, c.attrs)
			f.Check(err)
		case fieldScopes:
			scopes = fieldScopes
		}
	}
	return scopes, f.Err()
}

// readAttrs appends the attributes in field num of a message.
func readAttrs(r wire.Reader, message string, num int, dst []attr) ([]attr, error) {
	err := each(r, message, num, func(r wire.Reader) error {
		dst = append(dst, attr{})
		return dst[len(dst)-1].read(r, 0)
	})
	return dst, err
}

// find returns the first attribute of a name.
func find(attrs []attr, name string) *attr {
	for i := range attrs {
		if attrs[i].key == name {
			return &attrs[i]
		}
	}
	return nil
}

// scope is an InstrumentationScope. Its attributes are kept elsewhere.
type scope struct {
	name, version string
	dropped       uint32 // attributes
}

// read reads a scope, and appends its attributes to attrs.
func (s *scope) read(r wire.Reader, attrs []attr) ([]attr, error) {
	f := wire.Walk(r, "InstrumentationScope")
	for f.Next() {
		switch f.Num {
		case 1:
			s.name = f.String()
		case 2:
			s.version = f.String()
		case 3:
			attrs = append(attrs, attr{})
			f.Check(attrs[len(attrs)-1].read(f.Message(), 0))
		case 4:
			s.dropped = uint32(f.Uvarint())
		}
	}
	return attrs, f.Err()
}

// scopeMetrics adds a ScopeMetrics.
func (c *converter) scopeMetrics(r wire.Reader) error {
	var s scope
	schema := ""
	c.scopeAttrs = c.scopeAttrs[:0]
	f := wire.Walk(r, "ScopeMetrics")
	for f.Next() {
		switch f.Num {
		case 1:
			var err error
			c.scopeAttrs, err = s.read(f.Message(), c.scopeAttrs)
			f.Check(err)
		case 3:
			schema = f.String()
		}
	}
	if err := f.Err(); err != nil {
		return err
	}
	c.setResource(&s, schema)
	c.info = c.info || !c.scraped
	return each(r, "ScopeMetrics", 2, c.metric)
}

// setResource prepares the records that hold for every data point: promoted attributes,
// job and instance, and the scope's if asked for.
func (c *converter) setResource(s *scope, schema string) {
	dst := append(c.resource[:0], keyPrefix)
	promote := c.opts.Promote
	c.scraped, c.attrKind = s.name == scrapeScope, recAttr
	if c.scraped {
		promote, c.attrKind = nil, recPromoted
	}
	for _, name := range promote {
		if a := find(c.attrs, name); a != nil {
			namer := labelNamer()
			if label, err := namer.Build(name); err == nil {
				dst = appendRec(dst, recPromoted, label, a.String())
			}
		}
	}
	dst = appendTarget(dst, c.attrs)
	if c.opts.ScopeLabels && !c.scraped && s.name != "" {
		for i := range c.scopeAttrs {
			namer := labelNamer()
			if label, err := namer.Build("otel_scope_" + c.scopeAttrs[i].key); err == nil {
				dst = appendRec(dst, recFinal, label, c.scopeAttrs[i].String())
			}
		}
		dst = appendRec(dst, recFinal, "otel_scope_name", s.name)
		dst = appendRec(dst, recFinal, "otel_scope_version", s.version)
		dst = appendRec(dst, recFinal, "otel_scope_schema_url", schema)
	}
	c.resource = dst
}

// scrapeScope is the scope of what the Collector's Prometheus receiver scraped. Its
// names and labels are Prometheus' own and stay as they are.
const scrapeScope = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/prometheusreceiver"

// Resource attributes that identify a target.
const (
	serviceName      = "service.name"
	serviceNamespace = "service.namespace"
	serviceInstance  = "service.instance.id"
)

// appendTarget appends job and instance as far as the resource has them.
func appendTarget(dst []byte, attrs []attr) []byte {
	if a := find(attrs, serviceName); a != nil {
		job := a.String()
		if ns := find(attrs, serviceNamespace); ns != nil {
			job = ns.String() + "/" + job
		}
		if job != "" {
			dst = appendRec(dst, recFinal, "job", job)
		}
	}
	if a := find(attrs, serviceInstance); a != nil && a.String() != "" {
		dst = appendRec(dst, recFinal, "instance", a.String())
	}
	return dst
}

// targetInfo adds target_info, which carries the attributes that are not labels of every
// series: a sample every interval from first to last and one at last.
func (c *converter) targetInfo() {
	const interval, most = int64(150 * time.Second), 100
	c.start = 0
	key := len(c.keys)
	c.keys = append(c.keys, keyPrefix)
	target := appendTarget(c.scratch[:0], c.attrs)
	c.scratch = target
	more := false
	for i := range c.attrs {
		a := &c.attrs[i]
		switch a.key {
		case serviceName, serviceNamespace, serviceInstance, model.MetricName:
		case "server.address", "server.port", "url.scheme":
			more = more || c.info // the Prometheus receiver adds these to every target
			c.keys = appendAttr(c.keys, recAttr, a)
		default:
			more = true
			c.keys = appendAttr(c.keys, recAttr, a)
		}
	}
	if !more || len(target) == 0 {
		c.keys = c.keys[:key]
		return
	}
	c.keys = appendName(append(c.keys, target...), "target_info", "")
	from := len(c.samples)
	first, last := int64(c.first), int64(c.last)
	for t := max(first, last-most*interval); t < last; t += interval {
		c.samples = append(c.samples, store.Sample{Time: t / 1e6, Value: 1})
		if t > math.MaxInt64-interval {
			break
		}
	}
	c.samples = append(c.samples, store.Sample{Time: millis(c.last), Value: 1})
	c.series(key, from, len(c.histos), len(c.exemplars))
	c.batch.Metadata = append(c.batch.Metadata, store.MetricMetadata{Metric: "target_info", Type: "gauge", Help: "Target metadata"})
}

func millis(nanos uint64) int64 { return int64(nanos) / 1_000_000 }

// series adds the series whose key and data were appended to the arenas since the marks.
func (c *converter) series(key, samples, histos, exemplars int) {
	w := store.SeriesWrite{Key: c.keys[key:len(c.keys):len(c.keys)], Start: c.start}
	w.Samples = c.samples[samples:len(c.samples):len(c.samples)]
	w.Histograms = c.histos[histos:len(c.histos):len(c.histos)]
	w.Exemplars = c.exemplars[exemplars:len(c.exemplars):len(c.exemplars)]
	c.batch.Series = append(c.batch.Series, w)
	c.points += len(w.Samples) + len(w.Histograms) + len(w.Exemplars)
}

// sample adds a series of one sample.
func (c *converter) sample(key int, ts int64, v float64, exemplars int) {
	c.samples = append(c.samples, store.Sample{Time: ts, Value: v})
	c.series(key, len(c.samples)-1, len(c.histos), exemplars)
}

// translate returns the name and unit of m.
func (c *converter) translate(m *metric) (translated, error) {
	if c.scraped {
		return translated{m.name, m.unit}, nil
	}
	k, _ := m.kind()
	if t, ok := c.names[metricID{m.name, m.unit, k}]; ok {
		return t, nil
	}
	id := metricID{strings.Clone(m.name), strings.Clone(m.unit), k}
	namer, units := otlptranslator.MetricNamer{WithMetricSuffixes: true}, otlptranslator.UnitNamer{}
	name, err := namer.Build(otlptranslator.Metric{Name: id.name, Unit: id.unit, Type: k})
	if err != nil {
		return translated{}, err
	}
	c.names[id] = translated{name, units.Build(id.unit)}
	return c.names[id], nil
}

// maxKeys bounds the keys of a batch: what a resource or a data point says once is in the
// key of each of its series.
const maxKeys = 512 << 20

// room reports whether a key with the records of shared fits in. Without room the batch
// as a whole is refused.
func (c *converter) room(shared []byte) bool {
	c.over = c.over || len(c.keys)+len(shared) > maxKeys
	return !c.over
}

// flagNoValue is the data point flag that nothing was recorded: the series is stale.
const flagNoValue = 1

// stale returns v, or the marker of stale series where flags say so.
func stale(flags uint32, v float64) float64 {
	if flags&flagNoValue != 0 {
		return math.Float64frombits(value.StaleNaN)
	}
	return v
}
