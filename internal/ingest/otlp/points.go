package otlp

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/prometheus/otlptranslator"

	"github.com/pharos-o11y/pharos/internal/ingest/wire"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Fields of Metric that hold its data, which say what kind of metric it is.
const (
	fieldGauge       = 5
	fieldSum         = 7
	fieldHistogram   = 9
	fieldExponential = 10
	fieldSummary     = 11
)

// metric is a Metric whose data points are yet to be read.
type metric struct {
	name, unit, help string
	field            int // the kind of data; 0 is none
	data             wire.Reader
	points           int // how many data has
	temporality      int32
	monotonic        bool
}

// read reads a Metric.
func (m *metric) read(r wire.Reader) error {
	f := wire.Walk(r, "Metric")
	for f.Next() {
		switch f.Num {
		case 1:
			m.name = f.String()
		case 2:
			m.help = f.String()
		case 3:
			m.unit = f.String()
		case fieldGauge, fieldSum, fieldHistogram, fieldExponential, fieldSummary:
			m.field, m.data = f.Num, f.Message()
		}
	}
	if err := f.Err(); err != nil {
		return err
	}
	return m.readData(m.data)
}

// readData reads what the data says of all points.
func (m *metric) readData(r wire.Reader) error {
	f := wire.Walk(r, "metric data")
	for f.Next() {
		switch {
		case f.Num == 1:
			m.points++
		case f.Num == 2 && m.temporal():
			m.temporality = int32(f.Uvarint())
		case f.Num == 3 && m.field == fieldSum:
			m.monotonic = f.Uvarint() != 0
		}
	}
	return f.Err()
}

// temporal reports whether the kind of metric has a temporality.
func (m *metric) temporal() bool {
	return m.field == fieldSum || m.field == fieldHistogram || m.field == fieldExponential
}

// OpenTelemetry's numbers of temporalities, where a metric has one.
const (
	temporalityUnspecified = 0
	temporalityDelta       = 1
)

// isDelta tells delta from cumulative temporality.
func (m *metric) isDelta() (bool, error) {
	if m.temporal() && m.temporality == temporalityUnspecified {
		return false, fmt.Errorf("metric %q: aggregation temporality is unspecified; it must be cumulative or delta", m.name)
	}
	return m.temporal() && m.temporality == temporalityDelta, nil
}

// kind returns the metric's type for the naming rules and for metadata.
func (m *metric) kind() (otlptranslator.MetricType, string) {
	switch m.field {
	case fieldGauge:
		return otlptranslator.MetricTypeGauge, "gauge"
	case fieldSum:
		if m.monotonic {
			return otlptranslator.MetricTypeMonotonicCounter, "counter"
		}
		return otlptranslator.MetricTypeNonMonotonicCounter, "gauge"
	case fieldHistogram:
		return otlptranslator.MetricTypeHistogram, "histogram"
	case fieldExponential:
		return otlptranslator.MetricTypeExponentialHistogram, "histogram"
	case fieldSummary:
		return otlptranslator.MetricTypeSummary, "summary"
	}
	return otlptranslator.MetricTypeUnknown, "unknown"
}

// metric adds a Metric.
func (c *converter) metric(r wire.Reader) error {
	var m metric
	if err := m.read(r); err != nil {
		return err
	}
	c.items += m.points
	known, badName := c.translate(&m)
	delta, badKind := m.isDelta()
	switch {
	case badName != nil:
		c.refused.Add(reasonName, m.points, badName.Error)
	case badKind != nil:
		c.refused.Add(reasonTemporality, m.points, badKind.Error)
	case m.points > 0:
		_, typ := m.kind()
		c.batch.Metadata = append(c.batch.Metadata, store.MetricMetadata{Metric: known.name, Type: typ, Unit: known.unit, Help: m.help})
		c.prefix = appendName(append(c.prefix[:0], c.resource...), known.name, "")
		return each(m.data, "metric data", 1, func(r wire.Reader) error { return c.dataPoint(&m, known.name, r, delta) })
	}
	return nil
}

// dataPoint adds a data point of m.
func (c *converter) dataPoint(m *metric, name string, r wire.Reader, delta bool) error {
	c.start = 0
	p := &c.point
	switch m.field {
	case fieldGauge, fieldSum:
		return c.number(m, name, r, delta)
	case fieldHistogram:
		if err := c.readHistogram(p, r); err != nil {
			return err
		}
		c.seen(p.start, p.ts, true)
		c.histogram(name, p, delta)
	case fieldExponential:
		if err := c.readExponential(p, r); err != nil {
			return err
		}
		c.seen(p.start, p.ts, true)
		c.exponential(name, p, delta)
	case fieldSummary:
		if err := c.readSummary(p, r); err != nil {
			return err
		}
		c.seen(p.start, p.ts, true)
		c.summary(name, p)
	}
	return nil
}

// seen notes the time of a data point, and when what it counts began if it counts up.
func (c *converter) seen(start, ts uint64, counts bool) {
	c.first, c.last = min(c.first, ts), max(c.last, ts)
	if counts {
		c.start = millis(start)
	}
}

// appendAttr reads a KeyValue of a data point and appends its record to dst.
func (c *converter) appendAttr(dst []byte, f *wire.Fields) []byte {
	kv := f.Bytes()
	if out, ok := appendPlain(dst, c.attrKind, kv); ok {
		return out
	}
	var a attr
	f.Check(a.read(f.Inner(kv), 0))
	return appendAttr(dst, c.attrKind, &a)
}

// appendPlain does for a KeyValue as nearly all are what the rest of appendAttr does for
// any: a short key, and a short string or a number that is not negative. A name and its
// length are written in a record as they are in the message.
func appendPlain(dst []byte, kind byte, kv []byte) ([]byte, bool) {
	name, v, ok := splitPlain(kv)
	if !ok || len(v) < 2 || string(name[1:]) == model.MetricName {
		return dst, false
	}
	switch {
	case v[0] == 1<<3|byte(wire.Bytes) && int(v[1]) == len(v)-2: // under 0x80, as len(v) is
		dst = append(append(dst, kind), name...)
		return append(dst, v[1:]...), true
	case v[0] == 3<<3|byte(wire.Varint):
		n, size := binary.Uvarint(v[1:])
		if size != len(v)-1 || n > math.MaxInt64 {
			return dst, false
		}
		dst = append(append(append(dst, kind), name...), 0)
		end := len(dst)
		dst = strconv.AppendUint(dst, n, 10)
		dst[end-1] = byte(len(dst) - end)
		return dst, true
	}
	return dst, false
}

// number adds a NumberDataPoint, of a gauge or a sum. It is what most data points are: its
// key is written while it is read.
func (c *converter) number(m *metric, name string, r wire.Reader, delta bool) error {
	if !c.room(c.prefix) {
		return nil
	}
	key, exemplars := len(c.keys), len(c.exemplars)
	c.keys = append(c.keys, c.prefix...)
	var start, ts uint64
	var flags uint32
	var v float64
	f := wire.Walk(r, "NumberDataPoint")
	for f.Next() {
		switch f.Num {
		case 2:
			start = f.Fixed64()
		case 3:
			ts = f.Fixed64()
		case 4:
			v = f.Float64()
		case 5:
			if m.field != fieldGauge { // Prometheus' have no exemplars
				c.exemplars = c.appendExemplar(c.exemplars, &f)
			}
		case 6:
			v = float64(int64(f.Fixed64()))
		case 7:
			c.keys = c.appendAttr(c.keys, &f)
		case 8:
			flags = uint32(f.Uvarint())
		}
	}
	if err := f.Err(); err != nil {
		return err
	}
	c.seen(start, ts, m.monotonic)
	if delta && flags&flagNoValue == 0 {
		sum, err := c.deltaSum(key, start, ts, v)
		if err != nil {
			c.refuseDelta(name, err)
			c.keys, c.exemplars = c.keys[:key], c.exemplars[:exemplars]
			return nil
		}
		v = sum
	}
	c.sample(key, millis(ts), stale(flags, v), exemplars)
	return nil
}

// maxExemplarRunes is OpenMetrics' limit on the labels of an exemplar: past it, all but
// the ids are left out.
const maxExemplarRunes = 128

// appendExemplar reads an Exemplar and appends it to dst. Its labels are in the arena.
func (c *converter) appendExemplar(dst []store.Exemplar, from *wire.Fields) []store.Exemplar {
	var out store.Exemplar
	var trace, span []byte
	runes, attrs := 0, c.point.attrs[:0]
	f := wire.Walk(from.Message(), "Exemplar")
	for f.Next() {
		switch f.Num {
		case 2:
			out.Time = millis(f.Fixed64())
		case 3:
			out.Value = f.Float64()
		case 4:
			span = readID(&f, len(model.SpanID{}))
		case 5:
			trace = readID(&f, len(model.TraceID{}))
		case 6:
			out.Value = float64(int64(f.Fixed64()))
		case 7:
			var a attr
			f.Check(a.read(f.Message(), 0))
			a.text, a.kind = a.String(), kindString
			attrs = append(attrs, a)
			runes += utf8.RuneCountInString(a.key) + utf8.RuneCountInString(a.text)
		}
	}
	from.Check(f.Err())
	c.point.attrs = attrs
	first := len(c.labels)
	if len(trace) > 0 {
		c.labels = append(c.labels, model.Label{Name: "trace_id", Value: hex.EncodeToString(trace)})
		runes += len("trace_id") + 2*len(trace)
	}
	if len(span) > 0 {
		c.labels = append(c.labels, model.Label{Name: "span_id", Value: hex.EncodeToString(span)})
		runes += len("span_id") + 2*len(span)
	}
	if runes <= maxExemplarRunes {
		for i := range attrs {
			c.labels = append(c.labels, model.Label{Name: attrs[i].key, Value: attrs[i].text})
		}
	}
	out.Labels = model.NewLabels(c.labels[first:len(c.labels):len(c.labels)]...)
	return append(dst, out)
}

// readID reads a trace or span id of a size. It returns none for one that is empty or all
// zero.
func readID(f *wire.Fields, size int) []byte {
	b := f.Bytes()
	switch {
	case len(b) != 0 && len(b) != size:
		f.Check(badID(f, b, size))
		return nil
	case !slices.ContainsFunc(b, func(x byte) bool { return x != 0 }):
		return nil
	}
	return b
}

// badID returns the error of an id that should have another size.
func badID(f *wire.Fields, id []byte, size int) error {
	return f.Errorf("an id has %d bytes, want %d", len(id), size)
}

// refuseDelta counts a data point that could not be added up.
func (c *converter) refuseDelta(name string, err error) {
	reason := reasonDeltaOrder
	if errors.Is(err, errDeltaFull) {
		reason = store.ReasonSeriesLimit
	}
	c.refused.Add(reason, 1, func() string { return fmt.Sprintf("metric %s: %v", name, err) })
}

// deltaSum returns what a series of delta temporality has added up to with v.
func (c *converter) deltaSum(key int, start, ts uint64, v float64) (float64, error) {
	s, err := c.add(key, start, ts, func(old *deltaState) (*deltaState, error) {
		sum := v
		if old != nil {
			sum += old.value
		}
		return &deltaState{value: sum}, nil
	})
	if err != nil {
		return 0, err
	}
	return s.value, nil
}

// add adds a delta to the state of the series whose key begins at key.
func (c *converter) add(key int, start, ts uint64, plus func(old *deltaState) (*deltaState, error)) (*deltaState, error) {
	c.text = append(append(append(c.text[:0], c.tenant...), 0), c.keys[key:]...)
	s, u, err := c.deltas.add(c.text, int64(start), int64(ts), c.now, plus)
	if u.key != "" {
		c.undo = append(c.undo, u)
	}
	if err == nil && c.start != 0 {
		c.start = s.start / 1_000_000 // of what was added up
	}
	return s, err
}

// rollback takes back what this batch added to the delta state.
func (c *converter) rollback() {
	for _, u := range slices.Backward(c.undo) {
		c.deltas.undo(u)
	}
}
