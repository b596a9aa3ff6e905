// Package otlp turns OpenTelemetry's protobuf into store batches, from the bytes as they
// were sent: nothing is decoded that the batch does not need, and its strings share the
// memory of the request. Conversion is pure: no clock beyond the one it is given, no
// network, no Collector.
//
//	ExportMetricsServiceRequest --Prometheus' translation--> store.MetricBatch
//	ExportLogsServiceRequest    --Loki's mapping-----------> store.LogBatch
//	ExportTraceServiceRequest   --as it is-----------------> the trace store
//
// [Writer] does that and the Append; the Collector's pharos exporter and the OTLP
// endpoints call it. metrics.go holds resources, scopes and the batch, points.go metrics
// and their data points, histograms.go the kinds of points that are more than a number,
// key.go the keys that let a known series pass without building its labels, delta.go the
// state that adds up delta temporality, logs.go the mapping of log records, spans.go
// spans, value.go attributes.
//
// What is no such message is a [model.ErrMalformed] that names the byte, and nothing of
// it is stored. The tests hold all of this to converters over the Collector's pdata, which
// they keep.
package otlp

import (
	"encoding/binary"
	"net/http"

	"github.com/pharos-o11y/pharos/internal/ingest"
)

// gRPC codes used in google.rpc.Status.
const (
	codeInvalidArgument   = 3
	codeResourceExhausted = 8
	codeUnavailable       = 14
)

// Fail answers an OTLP/HTTP request with a google.rpc.Status message. An error that
// waiting may cure never becomes a 400 or 500, which OTLP clients do not retry.
func Fail(w http.ResponseWriter, err error) {
	status, code := ingest.Status(err), uint64(codeInvalidArgument)
	switch {
	case status == http.StatusTooManyRequests:
		code = codeResourceExhausted
	case status >= http.StatusInternalServerError:
		status, code = http.StatusServiceUnavailable, codeUnavailable
	}
	ingest.SetRetryAfter(w, status)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.WriteHeader(status)
	msg := []byte{0x08}
	msg = binary.AppendUvarint(msg, code)
	msg = append(msg, 0x12)
	msg = binary.AppendUvarint(msg, uint64(len(err.Error())))
	_, _ = w.Write(append(msg, err.Error()...)) // the client left; nothing is to be done
}
