package main

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/klauspost/compress/snappy"
)

// writeRequest is a remote-write message that is being filled, in version 1.0 or 2.0.
type writeRequest struct {
	v2      bool
	n       int    // samples
	series  []byte // encoded
	symbols []byte // encoded, version 2.0
	refs    map[string]uint32
	packed  []byte
	one     []byte
	body    []byte
}

// add adds a series of one sample. Its labels are the encoded Label fields of version 1.0.
func (w *writeRequest) add(labels []byte, v float64, ms int64) {
	w.n++
	if !w.v2 {
		w.series = appendSeries(w.series, labels, v, ms)
		return
	}
	if len(w.refs) == 0 {
		w.refs = map[string]uint32{}
		w.symbol(nil)
	}
	var buf [64]byte
	refs := buf[:0]
	for len(labels) > 0 {
		size, n := binary.Uvarint(labels[1:])
		label := labels[1+n : 1+n+int(size)]
		labels = labels[1+n+int(size):]
		for len(label) > 0 { // name, value
			size, n := binary.Uvarint(label[1:])
			refs = binary.AppendUvarint(refs, uint64(w.symbol(label[1+n:1+n+int(size)])))
			label = label[1+n+int(size):]
		}
	}
	one := append(w.one[:0], 1<<3|2)
	one = binary.AppendUvarint(one, uint64(len(refs)))
	one = append(one, refs...)
	var sample [24]byte
	p := append(sample[:0], 1<<3|1)
	p = binary.LittleEndian.AppendUint64(p, math.Float64bits(v))
	p = append(p, 2<<3)
	p = binary.AppendUvarint(p, uint64(ms))
	one = append(one, 2<<3|2, byte(len(p)))
	one = append(one, p...)
	one = append(one, 5<<3|2, 2, 1<<3, 2) // metadata: a gauge, as Prometheus sends with each series
	w.one = one
	w.series = append(w.series, 5<<3|2)
	w.series = binary.AppendUvarint(w.series, uint64(len(one)))
	w.series = append(w.series, one...)
}

// symbol returns the number of a string in the table of the request.
func (w *writeRequest) symbol(s []byte) uint32 {
	if ref, ok := w.refs[string(s)]; ok {
		return ref
	}
	ref := uint32(len(w.refs))
	w.refs[string(s)] = ref
	w.symbols = append(w.symbols, 4<<3|2)
	w.symbols = binary.AppendUvarint(w.symbols, uint64(len(s)))
	w.symbols = append(w.symbols, s...)
	return ref
}

// post sends the request, empties it and returns its size before compression.
func (w *writeRequest) post(ctx context.Context, url string) (int, error) {
	contentType, version := "application/x-protobuf", "0.1.0"
	if w.v2 {
		contentType, version = contentType+";proto=io.prometheus.write.v2.Request", "2.0.0"
	}
	w.body = append(append(w.body[:0], w.symbols...), w.series...)
	w.packed = snappy.Encode(w.packed[:cap(w.packed)], w.body)
	w.n, w.series, w.symbols = 0, w.series[:0], w.symbols[:0]
	clear(w.refs)
	return len(w.body), post(ctx, url, w.packed, contentType, map[string]string{
		"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": version,
	})
}
