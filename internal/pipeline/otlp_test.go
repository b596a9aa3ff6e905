package pipeline

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"

	"github.com/pharos-o11y/pharos/internal/model"
)

// deepLogs is an ExportLogsServiceRequest whose body nests arrays that deep.
func deepLogs(levels int) []byte {
	fields := []byte{1, 2, 2, 5} // resource_logs, scope_logs, log_records, body
	for range levels {
		fields = append(fields, 5, 1) // array_value, values
	}
	var headers [][]byte
	total := 0
	for _, num := range slices.Backward(fields) {
		h := binary.AppendUvarint([]byte{num<<3 | 2}, uint64(total))
		headers = append(headers, h)
		total += len(h)
	}
	slices.Reverse(headers)
	return slices.Concat(headers...)
}

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(mem.BufferSlice, any) error { return nil }

func (rawCodec) Name() string { return "proto" }

// TestDeepNestingIsRefused sends what would take the stack of a recursive decoder.
func TestDeepNestingIsRefused(t *testing.T) {
	r := start(t, "")
	deep := deepLogs(200_000)
	if code, body := r.post(t, "/v1/logs", deep, "Content-Type", "application/x-protobuf"); code != http.StatusBadRequest || !strings.Contains(body, "nested too deep") {
		t.Errorf("protobuf: %d %q", code, body)
	}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write(deep)
	_ = w.Close()
	if code, body := r.post(t, "/v1/logs", zipped.Bytes(), "Content-Type", "application/x-protobuf", "Content-Encoding", "gzip"); code != http.StatusBadRequest || !strings.Contains(body, "nested too deep") {
		t.Errorf("gzip: %d %q", code, body)
	}
	text := strings.Repeat(`{"a":[`, 100_000)
	if code, body := r.post(t, "/v1/logs", []byte(text), "Content-Type", "application/json"); code != http.StatusBadRequest || !strings.Contains(body, "nested too deep") {
		t.Errorf("JSON: %d %q", code, body)
	}
	conn, err := grpc.NewClient(r.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var res []byte
	err = conn.Invoke(t.Context(), "/opentelemetry.proto.collector.logs.v1.LogsService/Export", &deep, &res)
	if err == nil || !strings.Contains(err.Error(), "nested too deep") {
		t.Errorf("gRPC: %v", err)
	}
	flat := deepLogs(10)
	if err := conn.Invoke(t.Context(), "/opentelemetry.proto.collector.logs.v1.LogsService/Export", &flat, &res); err != nil {
		t.Errorf("gRPC, a few levels: %v", err)
	}
}

// brokenSink panics, as a bug in a conversion would.
type brokenSink struct{ Sink }

func (brokenSink) WriteLogs(context.Context, model.Tenant, []byte) (int, error) {
	panic("out of range")
}

func TestPanicIsOneRequestsError(t *testing.T) {
	e := &sinkExporter{
		sink: brokenSink{}, logger: slog.New(slog.DiscardHandler),
		tenant: func(context.Context, string) (model.Tenant, error) { return "t1", nil },
	}
	err := e.ConsumeLogs(t.Context(), plog.NewLogs())
	if !errors.Is(err, errBug) || !consumererror.IsPermanent(err) {
		t.Errorf("error %v, want a permanent one about a bug", err)
	}
}
