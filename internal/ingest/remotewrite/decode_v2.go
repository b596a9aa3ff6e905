package remotewrite

import (
	"encoding/binary"
	"errors"
	"net/http"
	"strings"

	"github.com/pharos-o11y/pharos/internal/ingest"
	"github.com/pharos-o11y/pharos/internal/ingest/wire"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// v2 decodes an io.prometheus.write.v2.Request: first its string table, which may stand
// anywhere, then its series.
func (d *decoder) v2(body []byte) error {
	r := wire.NewReader(body)
	for r.More() {
		if s, n := plainField(r.Rest(), 0x22); n > 0 {
			d.symbols = append(d.symbols, s)
			r.Advance(n)
			continue
		}
		if _, n := plainField(r.Rest(), 0x2a); n > 0 {
			r.Advance(n)
			continue
		}
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		if num == 4 && typ == wire.Bytes {
			var s []byte
			s, err = r.Bytes()
			d.symbols = append(d.symbols, s)
		} else {
			err = r.Skip(typ)
		}
		if err != nil {
			return err
		}
	}
	d.pairs = append(d.pairs, make([]pair, len(d.symbols))...)
	d.metas = append(d.metas, make([]metaRefs, len(d.symbols))...)
	r = wire.NewReader(body)
	for r.More() {
		if done, err := d.plainSeriesV2(&r); err != nil {
			return err
		} else if done {
			continue
		}
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		switch num {
		case 4:
			err = r.Expect("Request", num, typ, wire.Bytes)
			if err == nil {
				err = r.Skip(typ)
			}
		case 5:
			err = d.message(&r, "Request", num, typ, d.seriesV2)
		case 1, 2, 3:
			err = r.Errorf("field %d of Request: it looks like a 1.0 message; its content type must not name %s", num, messageV2)
		default:
			err = r.Skip(typ)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// plainSeriesV2 decodes a TimeSeries of the usual form: labels, samples, metadata, in this
// order. It returns false, and has done nothing, when the next field is anything else.
func (d *decoder) plainSeriesV2(r *wire.Reader) (bool, error) {
	body, size := plainField(r.Rest(), 0x2a)
	labels, at := plainField(body, 0x0a)
	if at == 0 {
		return false, nil
	}
	d.seriesRefs = d.seriesRefs[:0]
	for len(labels) > 0 {
		v, n := binary.Uvarint(labels)
		if n <= 0 {
			return false, nil
		}
		d.seriesRefs = append(d.seriesRefs, uint32(v))
		labels = labels[n:]
	}
	had := len(d.samples)
	at += d.plainSamples(body[at:])
	var meta metaRefs
	if at < len(body) {
		m, n := plainField(body[at:], 0x2a)
		var err error
		if meta, err = readMetaRefs(wire.NewReader(m)); n == 0 || at+n < len(body) || err != nil {
			d.samples = d.samples[:had]
			return false, nil //nolint:nilerr // it is found again, with its place
		}
	}
	key := len(d.keys)
	metric, err := d.appendKey(r)
	if err != nil {
		return false, err
	}
	r.Advance(size)
	n := len(d.samples)
	d.batch.Series = append(d.batch.Series, store.SeriesWrite{Key: d.keys[key:len(d.keys):len(d.keys)], Samples: d.samples[had:n:n]})
	d.counts.samples += n - had
	return true, d.addMeta(r, meta, metric)
}

// seriesV2 decodes a version 2.0 TimeSeries.
func (d *decoder) seriesV2(r wire.Reader) error {
	m := d.mark()
	var meta metaRefs
	key := len(d.keys)
	d.seriesRefs = d.seriesRefs[:0]
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		if num >= 2 && num <= 5 {
			if err := r.Expect("TimeSeries", num, typ, wire.Bytes); err != nil {
				return err
			}
		}
		switch num {
		case 1:
			d.seriesRefs, err = appendRefs(d.seriesRefs, &r, typ)
		case 2:
			err = d.sample(&r)
		case 3:
			err = d.histogram(&r)
		case 4:
			err = d.exemplar(&r, true)
		case 5:
			var mr wire.Reader
			if mr, err = r.Message(); err == nil {
				meta, err = readMetaRefs(mr)
			}
		default:
			err = r.Skip(typ)
		}
		if err != nil {
			return err
		}
	}
	metric, err := d.appendKey(&r)
	if err != nil {
		return err
	}
	d.add(m, d.keys[key:len(d.keys):len(d.keys)])
	return d.addMeta(&r, meta, metric)
}

// appendRefs appends the numbers of a repeated uint32 field, packed or not.
func appendRefs(dst []uint32, r *wire.Reader, typ wire.Type) ([]uint32, error) {
	if typ == wire.Varint {
		v, err := r.Uvarint()
		return append(dst, uint32(v)), err
	}
	if err := r.Expect("labels_refs", 1, typ, wire.Bytes); err != nil {
		return dst, err
	}
	m, err := r.Message()
	for err == nil && m.More() {
		var v uint64
		v, err = m.Uvarint()
		dst = append(dst, uint32(v))
	}
	return dst, err
}

var errSymbol = errors.New("no such symbol")

// maxExpanded bounds what the symbols of a request stand for: a reference of one byte to
// a symbol of a megabyte is a megabyte in a key.
const maxExpanded = 512 << 20

func (d *decoder) symbol(i uint32) ([]byte, error) {
	if uint64(i) >= uint64(len(d.symbols)) {
		return nil, errSymbol
	}
	s := d.symbols[i]
	if d.expanded += len(s); d.expanded > maxExpanded {
		return nil, errExpanded()
	}
	return s, nil
}

func errExpanded() error {
	return ingest.Errorf(http.StatusRequestEntityTooLarge, "the symbols of the request stand for more than %d bytes; send smaller batches", maxExpanded)
}

// pair is a label in the encoding of version 1.0, which series of a request share.
type pair struct {
	name     uint32 // symbol
	from, to uint32 // in decoder.pairBytes; nothing if equal
	metric   bool   // it is the metric name
}

// maxPair is the size of labels that are kept as pairs.
const maxPair = 512

// appendKey appends the label pairs that d.seriesRefs names to the key of the series, in the
// encoding of version 1.0. It returns the symbol of the metric name, 0 if there is none.
func (d *decoder) appendKey(r *wire.Reader) (metric uint32, err error) {
	refs := d.seriesRefs
	if len(refs)%2 != 0 {
		return 0, r.Errorf("a series has %d label references, an odd number", len(refs))
	}
	for i := 0; i < len(refs); i += 2 {
		name, value := refs[i], refs[i+1]
		if uint64(value) < uint64(len(d.pairs)) {
			if p := &d.pairs[value]; p.name == name && p.from < p.to {
				if d.expanded += int(p.to - p.from); d.expanded > maxExpanded {
					return 0, errExpanded()
				}
				d.keys = append(d.keys, d.pairBytes[p.from:p.to]...)
				if p.metric {
					metric = value
				}
				continue
			}
		}
		isName, err := d.appendPair(r, name, value)
		if err != nil {
			return 0, err
		}
		if isName {
			metric = value
		}
	}
	return metric, nil
}

// appendPair appends one label to the keys and remembers its encoding. It reports whether
// it is the metric name.
func (d *decoder) appendPair(r *wire.Reader, name, value uint32) (metric bool, err error) {
	n, err := d.symbol(name)
	if err != nil && !errors.Is(err, errSymbol) {
		return false, err
	}
	if err != nil {
		return false, r.Errorf("a label name refers to symbol %d of %d", name, len(d.symbols))
	}
	v, err := d.symbol(value)
	if err != nil && !errors.Is(err, errSymbol) {
		return false, err
	}
	if err != nil {
		return false, r.Errorf("a label value refers to symbol %d of %d", value, len(d.symbols))
	}
	from := len(d.keys)
	d.keys = appendLabel(d.keys, n, v)
	metric = string(n) == model.MetricName
	if one := d.keys[from:]; len(one) <= maxPair {
		at := uint32(len(d.pairBytes))
		d.pairBytes = append(d.pairBytes, one...)
		d.pairs[value] = pair{name: name, from: at, to: at + uint32(len(one)), metric: metric}
	}
	return metric, nil
}

// appendLabel appends a labels field of a version 1.0 TimeSeries.
func appendLabel(dst, name, value []byte) []byte {
	inner := len(name) + len(value) + uvarintLen(len(name)) + uvarintLen(len(value)) + 2
	dst = append(dst, 0x0a)
	dst = binary.AppendUvarint(dst, uint64(inner))
	dst = append(dst, 0x0a)
	dst = binary.AppendUvarint(dst, uint64(len(name)))
	dst = append(dst, name...)
	dst = append(dst, 0x12)
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	return append(dst, value...)
}

func uvarintLen(n int) int {
	l := 1
	for ; n >= 0x80; n >>= 7 {
		l++
	}
	return l
}

// metaRefs is the metadata of a version 2.0 series: type and symbol numbers.
type metaRefs struct {
	typ        uint64
	help, unit uint32
	name       string // metric family
}

func readMetaRefs(r wire.Reader) (m metaRefs, err error) {
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return m, err
		}
		if num != 1 && num != 3 && num != 4 {
			if err := r.Skip(typ); err != nil {
				return m, err
			}
			continue
		}
		if err := r.Expect("Metadata", num, typ, wire.Varint); err != nil {
			return m, err
		}
		v, err := r.Uvarint()
		if err != nil {
			return m, err
		}
		switch num {
		case 1:
			m.typ = v
		case 3:
			m.help = uint32(v)
		case 4:
			m.unit = uint32(v)
		}
	}
	return m, nil
}

// addMeta adds the metadata of the series of a metric to the batch. Senders repeat it with
// every series.
func (d *decoder) addMeta(r *wire.Reader, m metaRefs, metric uint32) error {
	if m == (metaRefs{}) || uint64(metric) < uint64(len(d.metas)) && d.metas[metric] == m {
		return nil
	}
	help, err1 := d.symbol(m.help)
	unit, err2 := d.symbol(m.unit)
	if d.expanded > maxExpanded {
		return errExpanded()
	}
	if (m.help != 0 || m.unit != 0) && (err1 != nil || err2 != nil) {
		return r.Errorf("metadata refers to symbol %d or %d of %d", m.help, m.unit, len(d.symbols))
	}
	if metric == 0 {
		return nil // it has no name
	}
	d.metas[metric] = m
	m.name = family(wire.AsString(d.symbols[metric]), m.typ)
	if m == d.lastMeta || m.name == "" {
		return nil
	}
	d.lastMeta = m
	d.batch.Metadata = append(d.batch.Metadata, store.MetricMetadata{
		Metric: m.name, Type: typeName(m.typ), Help: wire.AsString(help), Unit: wire.AsString(unit),
	})
	return nil
}

// family strips what the series of a histogram or summary add to the family's name.
func family(metric string, typ uint64) string {
	switch typeName(typ) {
	case "histogram", "gaugehistogram":
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			if f, ok := strings.CutSuffix(metric, suffix); ok {
				return f
			}
		}
	case "summary":
		for _, suffix := range []string{"_count", "_sum"} {
			if f, ok := strings.CutSuffix(metric, suffix); ok {
				return f
			}
		}
	}
	return metric
}

// typeName returns the contract's word for a MetricType, whose numbers are the same in
// both versions.
func typeName(typ uint64) string {
	names := [...]string{"unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"}
	if typ >= uint64(len(names)) {
		return names[0]
	}
	return names[typ]
}

// metadata decodes a version 1.0 MetricMetadata.
func (d *decoder) metadata(r wire.Reader) error {
	var m store.MetricMetadata
	var kind uint64
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		switch {
		case num == 1 && typ == wire.Varint:
			kind, err = r.Uvarint()
		case num == 2 && typ == wire.Bytes:
			m.Metric, err = r.String()
		case num == 4 && typ == wire.Bytes:
			m.Help, err = r.String()
		case num == 5 && typ == wire.Bytes:
			m.Unit, err = r.String()
		case num == 1 || num == 2 || num == 4 || num == 5:
			err = r.Errorf("field %d of MetricMetadata has wire type %d", num, typ)
		default:
			err = r.Skip(typ)
		}
		if err != nil {
			return err
		}
	}
	if m.Type = typeName(kind); m.Metric != "" {
		d.batch.Metadata = append(d.batch.Metadata, m)
	}
	return nil
}
