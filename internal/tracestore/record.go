package tracestore

import (
	"encoding/binary"
	"fmt"

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

// appendRecord appends the record of g to dst.
func appendRecord(dst []byte, g *group) ([]byte, error) {
	var body []byte
	e := encoder{put: func(block []byte) (part.Ref, error) {
		ref := part.Ref{Off: uint64(len(body)), Len: uint32(len(block))}
		body = append(body, block...)
		return ref, nil
	}}
	header, err := e.group(g)
	if err != nil {
		return dst, fmt.Errorf("encode spans: %w", err)
	}
	raw := binary.AppendUvarint(make([]byte, 0, len(body)+len(header)+8), uint64(len(header)))
	raw = append(append(raw, header...), body...)
	dst = append(dst, recordVersion)
	at := len(dst)
	dst = append(dst, make([]byte, s2.MaxEncodedLen(len(raw)))...)
	return dst[:at+len(s2.Encode(dst[at:], raw))], nil
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
