package remotewrite

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/histogram"

	"github.com/pharos-o11y/pharos/internal/ingest/wire"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// decoder turns one request into a batch. All slices of a batch are cut from arenas that
// are kept between requests; an arena that grows leaves earlier slices valid, on its old
// memory.
type decoder struct {
	batch   store.MetricBatch
	counts  counts
	refused store.Refused

	samples    []store.Sample
	histograms []store.HistogramSample
	exemplars  []store.Exemplar
	labels     model.Labels
	keys       []byte

	symbols    [][]byte   // version 2.0: the string table
	seriesRefs []uint32   // scratch, for the labels of a series
	refs       []uint32   // scratch, for those of an exemplar
	start      int64      // start timestamp of the series being read, 0 for none
	pairs      []pair     // version 2.0: by symbol, the label that has it as its value
	pairBytes  []byte     // their encodings
	metas      []metaRefs // version 2.0: by symbol, the metadata of the metric that it names
	lastMeta   metaRefs   // version 2.0: the metadata emitted last
	expanded   int        // version 2.0: bytes that references to symbols stand for
}

// keepArena is the largest number of elements of an arena that is kept.
const keepArena = 1 << 17

func (d *decoder) reset() {
	d.batch.Reset()
	d.counts, d.refused = counts{}, store.Refused{}
	d.samples, d.keys = keepPlain(d.samples), keepBytes(d.keys)
	d.pairs, d.metas, d.pairBytes = d.pairs[:0], d.metas[:0], keepBytes(d.pairBytes)
	d.histograms, d.exemplars = keep(d.histograms), keep(d.exemplars)
	d.labels, d.symbols = keep(d.labels), keep(d.symbols)
	d.lastMeta, d.expanded = metaRefs{}, 0
}

// keep empties an arena, dropping references and unusually large memory.
func keep[T any](s []T) []T {
	if cap(s) > keepArena {
		return nil
	}
	clear(s)
	return s[:0]
}

// keepPlain is keep for elements without pointers.
func keepPlain[T any](s []T) []T {
	if cap(s) > keepArena {
		return nil
	}
	return s[:0]
}

// keepBytes is keep for bytes: the keys of a request of version 2.0.
func keepBytes(s []byte) []byte {
	if cap(s) > 8*keepArena {
		return nil
	}
	return s[:0]
}

// v1 decodes a prometheus.WriteRequest.
func (d *decoder) v1(body []byte) error {
	r := wire.NewReader(body)
	for r.More() {
		if d.plainSeries(&r) {
			continue
		}
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		switch num {
		case 1:
			err = d.message(&r, "WriteRequest", num, typ, d.series)
		case 3:
			err = d.message(&r, "WriteRequest", num, typ, d.metadata)
		default:
			err = r.Skip(typ)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// message reads field num, a message, with f.
func (d *decoder) message(r *wire.Reader, kind string, num int, typ wire.Type, f func(wire.Reader) error) error {
	if err := r.Expect(kind, num, typ, wire.Bytes); err != nil {
		return err
	}
	m, err := r.Message()
	if err != nil {
		return err
	}
	return f(m)
}

// marks remembers where the arenas stood when a series began.
type marks struct{ samples, histograms, exemplars int }

func (d *decoder) mark() marks {
	d.start = 0
	return marks{len(d.samples), len(d.histograms), len(d.exemplars)}
}

// add appends the series that began at m to the batch.
func (d *decoder) add(m marks, key []byte) {
	w := store.SeriesWrite{Key: key, Start: d.start}
	w.Samples = d.samples[m.samples:len(d.samples):len(d.samples)]
	w.Histograms = d.histograms[m.histograms:len(d.histograms):len(d.histograms)]
	w.Exemplars = d.exemplars[m.exemplars:len(d.exemplars):len(d.exemplars)]
	d.batch.Series = append(d.batch.Series, w)
	d.counts.samples += len(w.Samples)
	d.counts.histograms += len(w.Histograms)
	d.counts.exemplars += len(w.Exemplars)
}

// plainSeries decodes a TimeSeries of the form that is nearly all of the traffic: short
// label fields, then samples, each with a value and a time in this order. It returns
// false, and has done nothing, when the next field is anything else; series reads all.
func (d *decoder) plainSeries(r *wire.Reader) bool {
	b := r.Rest()
	body, size := plainField(b, 0x0a)
	if size == 0 {
		return false
	}
	at := 0
	for at < len(body) && body[at] == 0x0a {
		_, n := plainField(body[at:], 0x0a)
		if n == 0 {
			return false
		}
		at += n
	}
	key, had := body[:at:at], len(d.samples)
	at += d.plainSamples(body[at:])
	if at < len(body) || len(key) == 0 {
		d.samples = d.samples[:had]
		return false
	}
	r.Advance(size)
	n := len(d.samples)
	d.batch.Series = append(d.batch.Series, store.SeriesWrite{Key: key, Samples: d.samples[had:n:n]})
	d.counts.samples += n - had
	return true
}

// plainSamples decodes the samples of the usual form that b begins with and returns their
// size. They are fields of the same number in either version.
func (d *decoder) plainSamples(b []byte) (size int) {
	for size < len(b) {
		msg, n := plainField(b[size:], 0x12)
		if n == 0 {
			break
		}
		var s store.Sample
		if len(msg) > 9 && msg[0] == 0x09 { // a value of 0 is left out
			s.Value = math.Float64frombits(binary.LittleEndian.Uint64(msg[1:]))
			msg = msg[9:]
		}
		if len(msg) == 0 || msg[0] != 0x10 {
			break
		}
		t, m := binary.Uvarint(msg[1:])
		if m != len(msg)-1 {
			break
		}
		s.Time = int64(t)
		d.samples = append(d.samples, s)
		size += n
	}
	return size
}

// plainField returns the content of the length-delimited field at the start of b and the
// size of the whole, 0 if its tag is not tag, it is 16 KiB or longer, or it is cut off.
func plainField(b []byte, tag byte) (content []byte, size int) {
	if len(b) < 2 || b[0] != tag {
		return nil, 0
	}
	n, head := int(b[1]), 2
	if n >= 0x80 {
		if len(b) < 3 || b[2] >= 0x80 {
			return nil, 0
		}
		n, head = n&0x7f|int(b[2])<<7, 3
	}
	if n > len(b)-head {
		return nil, 0
	}
	return b[head : head+n], head + n
}

// series decodes a version 1.0 TimeSeries. Its key is the run of its label fields as
// they stand in the body; senders write them together, and if one does not they are
// gathered.
func (d *decoder) series(r wire.Reader) error {
	m := d.mark()
	from, to, gathered := -1, -1, -1
	for r.More() {
		at := r.Pos()
		num, typ, err := r.Field()
		if err != nil {
			return err
		}
		if num >= 1 && num <= 4 {
			if err := r.Expect("TimeSeries", num, typ, wire.Bytes); err != nil {
				return err
			}
		}
		switch num {
		case 1:
			if _, err = r.Bytes(); err != nil {
				return err
			}
			switch {
			case from < 0:
				from, to = at, r.Pos()
			case to == at && gathered < 0:
				to = r.Pos()
			default:
				if gathered < 0 {
					gathered = len(d.keys)
					d.keys = append(d.keys, r.Range(from, to)...)
				}
				d.keys = append(d.keys, r.Range(at, r.Pos())...)
			}
		case 2:
			err = d.sample(&r)
		case 3:
			err = d.exemplar(&r, false)
		case 4:
			err = d.histogram(&r)
		default:
			err = r.Skip(typ)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case gathered >= 0:
		d.add(m, d.keys[gathered:len(d.keys):len(d.keys)])
	case from >= 0:
		d.add(m, r.Range(from, to))
	default:
		d.add(m, nil)
	}
	return nil
}

// sample decodes a Sample of either version.
func (d *decoder) sample(r *wire.Reader) error {
	m, err := r.Message()
	if err != nil {
		return err
	}
	var s store.Sample
	for m.More() {
		num, typ, err := m.Field()
		if err != nil {
			return err
		}
		switch {
		case num == 1 && typ == wire.Fixed64:
			s.Value, err = m.Float64()
		case num == 2 && typ == wire.Varint:
			s.Time, err = m.Int64()
		case num == 3 && typ == wire.Varint:
			err = d.started(&m)
		case num <= 2:
			err = m.Errorf("field %d of Sample has wire type %d", num, typ)
		default:
			err = m.Skip(typ)
		}
		if err != nil {
			return err
		}
	}
	d.samples = append(d.samples, s)
	return nil
}

// started reads a start timestamp. That of the first sample of a series counts.
func (d *decoder) started(r *wire.Reader) error {
	start, err := r.Int64()
	if d.start == 0 {
		d.start = start
	}
	return err
}

// exemplar decodes an Exemplar of either version: they differ in how labels are written.
func (d *decoder) exemplar(r *wire.Reader, v2 bool) error {
	m, err := r.Message()
	if err != nil {
		return err
	}
	var e store.Exemplar
	first := len(d.labels)
	d.refs = d.refs[:0]
	for m.More() {
		num, typ, err := m.Field()
		if err != nil {
			return err
		}
		switch {
		case num == 1 && v2:
			d.refs, err = appendRefs(d.refs, &m, typ)
		case num == 1 && typ == wire.Bytes:
			var l model.Label
			if l, err = label(&m); err == nil {
				d.labels = append(d.labels, l)
			}
		case num == 2 && typ == wire.Fixed64:
			e.Value, err = m.Float64()
		case num == 3 && typ == wire.Varint:
			e.Time, err = m.Int64()
		case num <= 3:
			err = m.Errorf("field %d of Exemplar has wire type %d", num, typ)
		default:
			err = m.Skip(typ)
		}
		if err != nil {
			return err
		}
	}
	for i := 0; i+1 < len(d.refs); i += 2 {
		name, err1 := d.symbol(d.refs[i])
		value, err2 := d.symbol(d.refs[i+1])
		if d.expanded > maxExpanded {
			return errExpanded()
		}
		if err1 != nil || err2 != nil {
			return m.Errorf("an exemplar's label refers to symbol %d or %d of %d", d.refs[i], d.refs[i+1], len(d.symbols))
		}
		d.labels = append(d.labels, model.Label{Name: wire.AsString(name), Value: wire.AsString(value)})
	}
	e.Labels = model.NewLabels(d.labels[first:len(d.labels):len(d.labels)]...)
	d.exemplars = append(d.exemplars, e)
	return nil
}

// label decodes a Label.
func label(r *wire.Reader) (l model.Label, err error) {
	m, err := r.Message()
	if err != nil {
		return l, err
	}
	for m.More() {
		num, typ, err := m.Field()
		if err != nil {
			return l, err
		}
		switch {
		case num == 1 && typ == wire.Bytes:
			l.Name, err = m.String()
		case num == 2 && typ == wire.Bytes:
			l.Value, err = m.String()
		case num <= 2:
			err = m.Errorf("field %d of Label has wire type %d", num, typ)
		default:
			err = m.Skip(typ)
		}
		if err != nil {
			return l, err
		}
	}
	return l, nil
}

// decodeKey is the Decode of every batch of this package. It refuses what is not UTF-8,
// has an empty name, or names a label twice; the store checks the rest.
func decodeKey(key []byte, dst model.Labels) (model.Labels, error) {
	first := len(dst)
	r := wire.NewReader(key)
	for r.More() {
		num, typ, err := r.Field()
		if err != nil {
			return dst, err
		}
		if num != 1 || typ != wire.Bytes {
			return dst, r.Errorf("field %d of a series' labels", num)
		}
		l, err := label(&r)
		switch {
		case err != nil:
			return dst, err
		case l.Name == "":
			return dst, fmt.Errorf("a label with value %q has no name", l.Value)
		case !utf8.ValidString(l.Name):
			return dst, fmt.Errorf("label name %q is not valid UTF-8", l.Name)
		case !utf8.ValidString(l.Value):
			return dst, fmt.Errorf("value %q of label %s is not valid UTF-8", l.Value, l.Name)
		}
		dst = append(dst, l)
	}
	if dup := duplicate(dst[first:]); dup != "" {
		return dst, fmt.Errorf("label %s occurs twice", dup)
	}
	if ls := dst[first:]; ls.Get(model.MetricName) == "" {
		return dst, fmt.Errorf("series %s has no metric name: label %s is missing", ls, model.MetricName)
	}
	return dst, nil
}

// duplicate returns a name that occurs twice in ls, sorting it if it is not sorted.
func duplicate(ls model.Labels) string {
	byName := func(a, b model.Label) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return 0
	}
	if !slices.IsSortedFunc(ls, byName) {
		slices.SortFunc(ls, byName)
	}
	for i := 1; i < len(ls); i++ {
		if ls[i].Name == ls[i-1].Name {
			return ls[i].Name
		}
	}
	return ""
}

// keepHistogram brings a histogram to a resolution that the query engine knows, and checks it.
// A broken one is refused alone.
func (d *decoder) keepHistogram(h store.HistogramSample) {
	var err error
	switch {
	case h.Int != nil:
		if histogram.IsExponentialSchemaReserved(h.Int.Schema) && h.Int.Schema > histogram.ExponentialSchemaMax {
			err = h.Int.ReduceResolution(histogram.ExponentialSchemaMax)
		}
		if err == nil {
			err = h.Int.Validate()
		}
	default:
		if histogram.IsExponentialSchemaReserved(h.Float.Schema) && h.Float.Schema > histogram.ExponentialSchemaMax {
			err = h.Float.ReduceResolution(histogram.ExponentialSchemaMax)
		}
		if err == nil {
			err = h.Float.Validate()
		}
	}
	if err != nil {
		d.refused.Add(reasonInvalidHistogram, 1, func() string {
			return fmt.Sprintf("native histogram at %d ms: %v", h.Time, err)
		})
		return
	}
	d.histograms = append(d.histograms, h)
}

// reasonInvalidHistogram is why a native histogram is refused: its buckets contradict
// each other.
const reasonInvalidHistogram = "invalid_native_histogram"
