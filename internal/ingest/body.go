package ingest

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// DefaultMaxBytes bounds a request body after decompression.
const DefaultMaxBytes = 64 << 20

// keepBuffer is the largest buffer that a [Body] keeps for the next request.
const keepBuffer = 4 << 20

// maxSnappyRatio bounds what a snappy block can expand to: its best instruction makes 64
// bytes from 3. A length header that promises more lies, and is refused before anything
// is allocated for it.
const maxSnappyRatio = 22

// Body reads and decompresses request bodies into memory it keeps. Get one from a
// [BodyPool]; the bytes it returned are invalid once it is put back.
type Body struct {
	raw, out []byte
	inflated bool // what Read returned is in out
}

// BodyPool is a pool of Bodies. The zero value is ready.
type BodyPool struct{ pool sync.Pool }

// Get returns a Body.
func (p *BodyPool) Get() *Body {
	if b, ok := p.pool.Get().(*Body); ok {
		return b
	}
	return new(Body)
}

// Put takes b back, dropping memory that an unusually large request left.
func (p *BodyPool) Put(b *Body) {
	if cap(b.raw) > keepBuffer {
		b.raw = nil
	}
	if cap(b.out) > keepBuffer {
		b.out = nil
	}
	p.pool.Put(b)
}

// Read reads the body of r and undoes encoding, which is one of "", "identity",
// "snappy" (a block), "gzip", "deflate" (raw), "zstd" and "lz4" (a frame). Neither the body nor what it
// decompresses to may exceed limit bytes: [http.StatusRequestEntityTooLarge]. Errors are
// [*Error].
func (b *Body) Read(r *http.Request, encoding string, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	b.inflated = false
	var err error
	b.raw, err = readAll(b.raw[:0], http.MaxBytesReader(nil, r.Body, limit), r.ContentLength)
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge(limit)
	case err != nil:
		return nil, Errorf(http.StatusBadRequest, "read request body: %w", err)
	}
	switch strings.ToLower(encoding) {
	case "", "identity":
		return b.raw, nil
	case "snappy":
		return b.Snappy(limit)
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(b.raw))
		if err != nil {
			return nil, Errorf(http.StatusBadRequest, "decompress gzip body: %w", err)
		}
		return b.inflate("gzip", z, limit)
	case "deflate":
		return b.inflate("deflate", flate.NewReader(bytes.NewReader(b.raw)), limit)
	case "zstd":
		z, err := zstd.NewReader(bytes.NewReader(b.raw), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(limit)+1))
		if err != nil {
			return nil, Errorf(http.StatusBadRequest, "decompress zstd body: %w", err)
		}
		defer z.Close()
		return b.inflate("zstd", z, limit)
	case "lz4":
		return b.inflate("lz4", lz4.NewReader(bytes.NewReader(b.raw)), limit)
	}
	return nil, Errorf(http.StatusUnsupportedMediaType, "Content-Encoding %q is not supported; use snappy, gzip, deflate, zstd or lz4", encoding)
}

// Snappy decompresses what Read returned, a snappy block, once more: Loki's protobuf is
// one whatever the Content-Encoding. Errors are [*Error].
func (b *Body) Snappy(limit int64) ([]byte, error) {
	if b.inflated {
		b.raw, b.out, b.inflated = b.out, b.raw, false
	}
	n, err := s2.DecodedLen(b.raw)
	switch {
	case err != nil:
		return nil, Errorf(http.StatusBadRequest, "decompress snappy body: %w (is the body a snappy block, not a frame?)", err)
	case int64(n) > limit:
		return nil, tooLarge(limit)
	case n > maxSnappyRatio*len(b.raw):
		return nil, Errorf(http.StatusBadRequest, "decompress snappy body: its header promises %d bytes, which %d bytes cannot hold", n, len(b.raw))
	}
	out, err := s2.Decode(b.out[:cap(b.out)], b.raw)
	if err != nil {
		return nil, Errorf(http.StatusBadRequest, "decompress snappy body: %w", err)
	}
	if cap(out) > cap(b.out) {
		b.out = out
	}
	return out, nil
}

func (b *Body) inflate(name string, z io.Reader, limit int64) ([]byte, error) {
	var err error
	b.out, err = readAll(b.out[:0], io.LimitReader(z, limit+1), -1)
	switch {
	case int64(len(b.out)) > limit, errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, tooLarge(limit)
	case err != nil:
		return nil, Errorf(http.StatusBadRequest, "decompress %s body: %w", name, err)
	}
	b.inflated = true
	return b.out, nil
}

func tooLarge(limit int64) error {
	return Errorf(http.StatusRequestEntityTooLarge, "request body exceeds %d bytes; send smaller batches or raise the limit", limit)
}

// readAll is io.ReadAll into dst. A known size is trusted only up to a megabyte: the
// client has not sent it yet.
func readAll(dst []byte, r io.Reader, size int64) ([]byte, error) {
	if want := int(min(size, 1<<20)) + 1; want > cap(dst) {
		dst = make([]byte, 0, want)
	}
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}
