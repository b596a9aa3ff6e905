package metricstore

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// A record: version, generation, day of its metadata, then one byte block (compressed
// where that helps) of
//
//	definitions  count, each: ref, number of labels, names and values
//	samples      refs, samples per ref, times (integer columns), values one by one
//	histograms   count, each: ref, time, histogram
//	exemplars    count, each: ref, time, value, labels
//	metadata
const recordVersion = 1

// recordWriter encodes records, reusing its memory.
type recordWriter struct {
	refs, counts, times []int64
	body, rec           []byte
}

// encode encodes items and metadata. defs are the series to define.
func (w *recordWriter) encode(gen uint64, day part.Day, defs []definition, items []item, mds []store.MetricMetadata, z *codec.Zstd) []byte {
	b := w.body[:0]
	b = binary.AppendUvarint(b, uint64(len(defs)))
	for _, x := range defs {
		b = binary.AppendUvarint(b, uint64(x.ref))
		b = appendLabels(b, x.s.labels)
	}
	b = w.samples(b, items)
	b = appendHistograms(b, items)
	b = appendExemplars(b, items)
	b = appendMetadata(b, mds)
	w.body = b

	w.rec = append(w.rec[:0], recordVersion)
	w.rec = binary.AppendUvarint(w.rec, gen)
	w.rec = binary.AppendVarint(w.rec, int64(day))
	w.rec = z.Append(w.rec, b)
	return w.rec
}

func (w *recordWriter) samples(b []byte, items []item) []byte {
	w.refs, w.counts, w.times = w.refs[:0], w.counts[:0], w.times[:0]
	for i := range items {
		it := &items[i]
		if len(it.samples) == 0 {
			continue
		}
		w.refs = append(w.refs, int64(it.ref))
		w.counts = append(w.counts, int64(len(it.samples)))
		for _, x := range it.samples {
			w.times = append(w.times, x.Time)
		}
	}
	b = codec.AppendInts(b, w.refs)
	b = codec.AppendInts(b, w.counts)
	b = codec.AppendInts(b, w.times)
	for i := range items {
		for _, x := range items[i].samples {
			b = codec.AppendFloat(b, x.Value)
		}
	}
	return b
}

func appendHistograms(b []byte, items []item) []byte {
	n := 0
	for i := range items {
		n += len(items[i].hists)
	}
	b = binary.AppendUvarint(b, uint64(n))
	for i := range items {
		for _, h := range items[i].hists {
			b = binary.AppendUvarint(b, uint64(items[i].ref))
			b = binary.AppendVarint(b, h.Time)
			b = appendHistogram(b, h)
		}
	}
	return b
}

func appendExemplars(b []byte, items []item) []byte {
	n := 0
	for i := range items {
		n += len(items[i].exs)
	}
	b = binary.AppendUvarint(b, uint64(n))
	for i := range items {
		for _, e := range items[i].exs {
			b = binary.AppendUvarint(b, uint64(items[i].ref))
			b = binary.AppendVarint(b, e.Time)
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(e.Value))
			b = appendLabels(b, e.Labels)
		}
	}
	return b
}

func appendLabels(b []byte, ls model.Labels) []byte {
	b = binary.AppendUvarint(b, uint64(len(ls)))
	for _, l := range ls {
		b = codec.AppendBytes(b, l.Name)
		b = codec.AppendBytes(b, l.Value)
	}
	return b
}

// readLabels reads labels that share memory with the input.
func readLabels(r *codec.Reader, dst model.Labels) model.Labels {
	for range r.Count(r.Len() / 2) {
		dst = append(dst, model.Label{Name: string(r.Bytes()), Value: string(r.Bytes())})
	}
	return dst
}

// Covered returns the wal position up to which every metrics record is in parts: where
// replay begins.
func (s *Store) Covered() wal.Pos { return s.set.Covered() }

// Replay applies a record of the log that is not covered. Records come in the order of
// the log, before the first Append. What a damaged record took with it is logged and
// becomes a warning on queries, not an error.
func (s *Store) Replay(rec wal.Record) error {
	t := s.tenant(rec.Tenant)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := s.replay(t, rec.Data); err != nil {
		s.metrics.unresolved.Inc()
		s.opts.Logger.Error("metrics record in the write-ahead log is damaged", "tenant", string(rec.Tenant), "pos", uint64(rec.Pos), "err", err)
		s.lose(fmt.Sprintf("some samples in the write-ahead log could not be read back: %v", err))
	}
	return nil
}

func (s *Store) replay(t *tenant, data []byte) error {
	r := codec.NewReader(data)
	if v := r.Byte(); v != recordVersion {
		return fmt.Errorf("%w: record version %d, this program reads %d", store.ErrCorrupt, v, recordVersion)
	}
	gen, day := r.Uvarint(), part.Day(r.Varint())
	if r.Err() != nil {
		return r.Err()
	}
	body, _, _, err := s.z.Decode(nil, r.Rest())
	if err != nil {
		return err
	}
	if t.replay == nil || t.repGen != gen {
		t.replay, t.repGen = map[uint64]*series{}, gen
	}
	r = codec.NewReader(body)
	for range r.Count(r.Len()) {
		ref := r.Uvarint()
		ls := readLabels(r, nil)
		if r.Err() != nil {
			return r.Err()
		}
		x, _, err := t.create(ls, 0)
		if err != nil {
			return err
		}
		t.replay[ref] = x
	}
	missing := s.replayItems(t, r)
	for _, md := range readMetadata(r) {
		t.meta.add(&md, day, true)
	}
	if err := r.Err(); err != nil {
		return err
	}
	if missing > 0 {
		return fmt.Errorf("%w: the labels of %d series were in a damaged record", store.ErrCorrupt, missing)
	}
	return nil
}

// replayItems applies samples, histograms and exemplars. It returns how many items name
// series that are not known.
func (s *Store) replayItems(t *tenant, r *codec.Reader) (missing int) {
	refs, counts, times := r.Ints(nil), r.Ints(nil), r.Ints(nil)
	if len(counts) != len(refs) {
		r.Fail("%d refs with %d counts", len(refs), len(counts))
		return 0
	}
	var samples []store.Sample
	for i, ref := range refs {
		n := counts[i]
		if n < 0 || n > int64(len(times)) {
			r.Fail("series with %d of %d samples", n, len(times))
			return missing
		}
		samples = samples[:0]
		for _, at := range times[:n] {
			samples = append(samples, store.Sample{Time: at, Value: r.Float()})
		}
		times = times[n:]
		if r.Err() != nil {
			return missing
		}
		x := t.replay[uint64(ref)]
		if x == nil {
			missing++
			continue
		}
		s.apply(t, &item{s: x, samples: samples})
	}
	for range r.Count(r.Len()) {
		ref, at := r.Uvarint(), r.Varint()
		h := readHistogram(r)
		h.Time = at
		if r.Err() != nil || checkHistogram(h) != nil {
			r.Fail("histogram")
			return missing
		}
		if x := t.replay[ref]; x != nil {
			s.apply(t, &item{s: x, hists: []store.HistogramSample{h}})
		} else {
			missing++
		}
	}
	for range r.Count(r.Len()) {
		ref := r.Uvarint()
		e := store.Exemplar{Time: r.Varint(), Value: math.Float64frombits(r.Uint64()), Labels: readLabels(r, nil)}
		if r.Err() != nil {
			return missing
		}
		if x := t.replay[ref]; x != nil {
			s.apply(t, &item{s: x, exs: []store.Exemplar{e}})
		} else {
			missing++
		}
	}
	return missing
}
