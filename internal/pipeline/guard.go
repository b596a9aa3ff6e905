package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/pharos-o11y/pharos/internal/nesting"
)

// The decoder of OTLP recurses, so a hostile request of a few megabytes could take all of
// the stack and with it the process. These guards stand before it on both protocols.

// guardHTTP refuses bodies that are nested too deep. It reads the body after the
// Collector has bounded its size and decompressed it.
func guardHTTP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var buf bytes.Buffer
		if r.ContentLength > 0 {
			buf.Grow(int(min(r.ContentLength, maxBody)) + bytes.MinRead)
		}
		if _, err := buf.ReadFrom(r.Body); err != nil {
			code := http.StatusBadRequest
			var tooLarge *http.MaxBytesError
			if errors.As(err, &tooLarge) {
				code = http.StatusRequestEntityTooLarge
			}
			http.Error(w, fmt.Sprintf("read body: %v", err), code)
			return
		}
		check := nesting.Proto
		if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media == "application/json" {
			check = nesting.JSON
		}
		if err := check(buf.Bytes()); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(&buf)
		next.ServeHTTP(w, r)
	})
}

// guardCodec is gRPC's codec for protobuf with the same check before decoding.
type guardCodec struct{ encoding.CodecV2 }

func newGuardCodec() guardCodec { return guardCodec{encoding.GetCodecV2("proto")} }

// Unmarshal implements encoding.CodecV2.
func (c guardCodec) Unmarshal(data mem.BufferSlice, v any) error {
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	if err := nesting.Proto(buf.ReadOnlyData()); err != nil {
		return err
	}
	return c.CodecV2.Unmarshal(mem.BufferSlice{buf}, v)
}
