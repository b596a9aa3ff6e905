package tracestore

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/s2"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/store"
)

// recordVersion is the first byte of a record in the write-ahead log. A group follows,
// compressed with s2 as a whole: the length of its header, the header, the sections.
const recordVersion = 1

// maxRecordBytes bounds what a record may decompress to.
const maxRecordBytes = 1 << 30

// recorder makes records, in memory that is used again.
type recorder struct {
	e    encoder
	body []byte // sections
	raw  []byte // the record before compression
	out  []byte // records
}

func newRecorder() *recorder {
	r := &recorder{}
	r.e.put = func(block []byte) (part.Ref, error) {
		ref := part.Ref{Off: uint64(len(r.body)), Len: uint32(len(block))}
		r.body = append(r.body, block...)
		return ref, nil
	}
	return r
}

// maxRecorder is how big records may have been for their memory to be used again.
const maxRecorder = 4 << 20

// release gives r to the pool. Its records are not valid any more.
func (r *recorder) release(pool *sync.Pool) {
	if cap(r.body)+cap(r.raw)+cap(r.out) <= maxRecorder {
		pool.Put(r)
	}
}

// records returns the record of each group, valid until r is released.
func (r *recorder) records(groups []*group) ([][]byte, error) {
	r.out = r.out[:0]
	ends := make([]int, len(groups))
	for i, g := range groups {
		if err := r.add(g); err != nil {
			return nil, err
		}
		ends[i] = len(r.out)
	}
	records, from := make([][]byte, len(groups)), 0
	for i, end := range ends {
		records[i] = r.out[from:end:end]
		from = end
	}
	return records, nil
}

// add appends the record of g to r.out.
func (r *recorder) add(g *group) error {
	r.body = r.body[:0]
	header, err := r.e.group(g)
	if err != nil {
		return fmt.Errorf("encode spans: %w", err)
	}
	r.raw = binary.AppendUvarint(r.raw[:0], uint64(len(header)))
	r.raw = append(append(r.raw, header...), r.body...)
	r.out = append(r.out, recordVersion)
	at, most := len(r.out), s2.MaxEncodedLen(len(r.raw))
	r.out = slices.Grow(r.out, most)[:at+most]
	r.out = r.out[:at+len(s2.Encode(r.out[at:], r.raw))]
	return nil
}

// parseRecord returns the group of a record, complete.
func parseRecord(data []byte) (*group, error) {
	if len(data) < 2 || data[0] != recordVersion {
		return nil, fmt.Errorf("read span record: %w: unknown version", store.ErrCorrupt)
	}
	if n, err := s2.DecodedLen(data[1:]); err != nil || n > maxRecordBytes {
		return nil, fmt.Errorf("read span record: %w: length", store.ErrCorrupt)
	}
	raw, err := s2.Decode(nil, data[1:])
	if err != nil {
		return nil, fmt.Errorf("read span record: %w: %w", store.ErrCorrupt, err)
	}
	r := codec.NewReader(raw)
	header := r.Bytes()
	body := r.Rest()
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("read span record: %w", err)
	}
	g, err := openGroup(header, func(ref part.Ref, _ []byte) ([]byte, error) {
		if ref.Off > uint64(len(body)) || uint64(ref.Len) > uint64(len(body))-ref.Off {
			return nil, fmt.Errorf("%w: section %d+%d of %d bytes", store.ErrCorrupt, ref.Off, ref.Len, len(body))
		}
		return body[ref.Off : ref.Off+uint64(ref.Len)], nil
	}, nil, &scratch{})
	if err == nil {
		err = g.needAll()
	}
	if err != nil {
		return nil, fmt.Errorf("read span record: %w", err)
	}
	if g.len() == 0 {
		return nil, fmt.Errorf("read span record: %w: no spans", store.ErrCorrupt)
	}
	g.complete()
	return g, nil
}
