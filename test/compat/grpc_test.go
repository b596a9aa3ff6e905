package compat

import (
	"encoding/hex"
	"io"
	"net/http"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configcompression"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"

	"github.com/pharos-o11y/pharos/test/harness"
)

// unknownEncoding is a compressor that clients have and servers have not.
type unknownEncoding struct{}

func (unknownEncoding) Name() string                                 { return "br" }
func (unknownEncoding) Decompress(r io.Reader) (io.Reader, error)    { return r, nil }
func (unknownEncoding) Compress(w io.Writer) (io.WriteCloser, error) { return nopCloser{w}, nil }

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// TestGRPCEncodings sends spans over gRPC in every compression that the Collector's client
// knows (specification of traces, E2), and in one that servers do not (E4).
func TestGRPCEncodings(t *testing.T) {
	if testing.Short() {
		t.Skip("black-box test: not run with -short")
	}
	s := harness.Start(t, harness.Options{})
	encoding.RegisterCompressor(unknownEncoding{})
	dial := func(with configcompression.Type) ptraceotlp.GRPCClient {
		conf := configgrpc.ClientConfig{Endpoint: s.GRPC, Compression: with, TLS: configtls.ClientConfig{Insecure: true}}
		conn, err := conf.ToClientConn(t.Context(), nil, componenttest.NewNopTelemetrySettings())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return ptraceotlp.NewGRPCClient(conn)
	}
	for _, with := range []configcompression.Type{"none", configcompression.TypeGzip, configcompression.TypeSnappy, configcompression.TypeZstd} {
		part := relayPart{service: "in-" + string(with), at: time.Now()}
		if _, err := dial(with).Export(t.Context(), part.spans()); err != nil {
			t.Errorf("%s: %v", with, err)
			continue
		}
		id := part.traceID()
		if a, err := s.Do(t, http.MethodGet, "/api/traces/"+hex.EncodeToString(id[:]), nil, nil); err != nil || a.Code != http.StatusOK {
			t.Errorf("%s: the trace is not found: %s, %v", with, a, err)
		}
	}
	_, err := dial("none").Export(t.Context(), relayPart{service: "unknown"}.spans(), grpc.UseCompressor("br"))
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("br: %v, want Unimplemented", err)
	}
}
