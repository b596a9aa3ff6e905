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
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		switch num<<3 | int(typ) {
		case 1<<3 | int(wire.Bytes):
			m.name, err = r.String()
		case 2<<3 | int(wire.Bytes):
			m.help, err = r.String()
		case 3<<3 | int(wire.Bytes):
			m.unit, err = r.String()
		case fieldGauge<<3 | int(wire.Bytes), fieldSum<<3 | int(wire.Bytes), fieldHistogram<<3 | int(wire.Bytes),
			fieldExponential<<3 | int(wire.Bytes), fieldSummary<<3 | int(wire.Bytes):
			m.field = num
			m.data, err = r.Message()
		default:
			err = skip(&r, "Metric", num, typ, 1<<1|1<<2|1<<3|1<<fieldGauge|1<<fieldSum|1<<fieldHistogram|1<<fieldExponential|1<<fieldSummary)
		}
		if err != nil {
			return err
		}
	}
	return m.readData(m.data)
}

// readData reads what the data says of all points.
func (m *metric) readData(r wire.Reader) error {
	known := uint64(1 << 1)
	if m.temporal() {
		known |= 1 << 2
	}
	if m.field == fieldSum {
		known |= 1 << 3
	}
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		switch {
		case num == 1 && typ == wire.Bytes:
			m.points++
			err = r.Skip(typ)
		case num == 2 && typ == wire.Varint && known&(1<<2) != 0:
			var n uint64
			n, err = r.Uvarint()
			m.temporality = int32(n)
		case num == 3 && typ == wire.Varint && known&(1<<3) != 0:
			var n uint64
			n, err = r.Uvarint()
			m.monotonic = n != 0
		default:
			err = skip(&r, "metric data", num, typ, known)
		}
		if err != nil {
			return err
		}
	}
	return nil
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
func (c *converter) appendAttr(dst []byte, r *wire.Reader) ([]byte, error) {
	m, err := r.Message()
	if err != nil {
		return dst, err
	}
	if out, ok := appendPlain(dst, c.attrKind, m.Rest()); ok {
		return out, nil
	}
	var a attr
	if err := a.read(m, 0); err != nil {
		return dst, err
	}
	return appendAttr(dst, c.attrKind, &a), nil
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

// splitPlain returns the key of a KeyValue, its length before it, and its AnyValue, if
// they are all of it and both are short. Protobuf's own encoders write the key first, the
// Collector's writes it last.
func splitPlain(kv []byte) (name, v []byte, ok bool) {
	const key, val = 1<<3 | byte(wire.Bytes), 2<<3 | byte(wire.Bytes)
	if len(kv) < 4 || kv[1] >= 0x80 || len(kv) < 4+int(kv[1]) {
		return nil, nil, false
	}
	first, second := kv[:2+kv[1]], kv[2+kv[1]:]
	switch {
	case second[1] >= 0x80 || int(second[1]) != len(second)-2:
	case first[0] == key && second[0] == val:
		return first[1:], second[2:], true
	case first[0] == val && second[0] == key:
		return second[1:], first[2:], true
	}
	return nil, nil, false
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
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		switch num<<3 | int(typ) {
		case 2<<3 | int(wire.Fixed64):
			start, err = r.Fixed64()
		case 3<<3 | int(wire.Fixed64):
			ts, err = r.Fixed64()
		case 4<<3 | int(wire.Fixed64):
			v, err = r.Float64()
		case 5<<3 | int(wire.Bytes):
			if m.field == fieldGauge { // Prometheus' have no exemplars
				err = r.Skip(typ)
				break
			}
			var e store.Exemplar
			if e, err = c.exemplar(&r); err == nil {
				c.exemplars = append(c.exemplars, e)
			}
		case 6<<3 | int(wire.Fixed64):
			var n uint64
			n, err = r.Fixed64()
			v = float64(int64(n))
		case 7<<3 | int(wire.Bytes):
			c.keys, err = c.appendAttr(c.keys, &r)
		case 8<<3 | int(wire.Varint):
			flags, err = uint32Of(&r)
		default:
			err = skip(&r, "NumberDataPoint", num, typ, 0x1fc)
		}
		if err != nil {
			return err
		}
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

// uint32Of reads a uint32.
func uint32Of(r *wire.Reader) (uint32, error) {
	n, err := r.Uvarint()
	return uint32(n), err
}

// maxExemplarRunes is OpenMetrics' limit on the labels of an exemplar: past it, all but
// the ids are left out.
const maxExemplarRunes = 128

// exemplar reads an Exemplar. Its labels are in the arena.
func (c *converter) exemplar(r *wire.Reader) (store.Exemplar, error) {
	msg, err := r.Message()
	if err != nil {
		return store.Exemplar{}, err
	}
	var out store.Exemplar
	var trace, span []byte
	runes, attrs := 0, c.point.attrs[:0]
	for msg.More() {
		num, typ, err := msg.Field()
		if err != nil {
			return out, err
		}
		switch num<<3 | int(typ) {
		case 2<<3 | int(wire.Fixed64):
			var n uint64
			n, err = msg.Fixed64()
			out.Time = millis(n)
		case 3<<3 | int(wire.Fixed64):
			out.Value, err = msg.Float64()
		case 4<<3 | int(wire.Bytes):
			span, err = readID(&msg, len(model.SpanID{}))
		case 5<<3 | int(wire.Bytes):
			trace, err = readID(&msg, len(model.TraceID{}))
		case 6<<3 | int(wire.Fixed64):
			var n uint64
			n, err = msg.Fixed64()
			out.Value = float64(int64(n))
		case 7<<3 | int(wire.Bytes):
			var m wire.Reader
			if m, err = msg.Message(); err == nil {
				var a attr
				err = a.read(m, 0)
				a.text, a.kind = a.String(), kindString
				attrs = append(attrs, a)
				runes += utf8.RuneCountInString(a.key) + utf8.RuneCountInString(a.text)
			}
		default:
			err = skip(&msg, "Exemplar", num, typ, 0xfc)
		}
		if err != nil {
			return out, err
		}
	}
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
	return out, nil
}

// readID reads a trace or span id of a size. It returns none for one that is empty or all
// zero.
func readID(r *wire.Reader, size int) ([]byte, error) {
	b, err := r.Bytes()
	switch {
	case err != nil:
		return nil, err
	case len(b) != 0 && len(b) != size:
		return nil, r.Errorf("an id has %d bytes, want %d", len(b), size)
	case !slices.ContainsFunc(b, func(x byte) bool { return x != 0 }):
		return nil, nil
	}
	return b, nil
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
