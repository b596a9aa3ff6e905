package pipeline

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Where a pipeline is nothing but a wire from an OTLP receiver to the exporter pharos, the
// Collector's decoding of a request and its garbage are most of what OTLP costs. There the
// request goes to the Sink as it was sent, before the receiver decodes it: the extension
// of otlp.go, which stands before each receiver, writes and answers as the receiver would.

// directReceiver is a receiver that is bypassed for some signals, both its protocols alike.
type directReceiver struct {
	writers map[model.Signal]*sinkExporter
	paths   map[string]model.Signal // of HTTP
}

// directReceivers finds the OTLP receivers of a configuration that may be bypassed.
func (p *Pipeline) directReceivers(cfg *otelcol.Config) map[component.ID]*directReceiver {
	out := map[component.ID]*directReceiver{}
	for id, rc := range cfg.Receivers {
		otlp, ok := rc.(*otlpreceiver.Config)
		if !ok {
			continue
		}
		d := &directReceiver{writers: map[model.Signal]*sinkExporter{}, paths: map[string]model.Signal{}}
		out[id] = d
		if meddled(otlp) {
			continue
		}
		for _, sig := range []model.Signal{model.Metrics, model.Logs, model.Traces} {
			if e := p.directWriter(cfg, id, sig); e != nil {
				d.writers[sig] = e
			}
		}
		if otlp.Protocols.HTTP.HasValue() {
			h := otlp.Protocols.HTTP.Get()
			d.paths[string(h.MetricsURLPath)] = model.Metrics
			d.paths[string(h.LogsURLPath)] = model.Logs
			d.paths[string(h.TracesURLPath)] = model.Traces
		}
	}
	return out
}

// meddled reports whether somebody else's middleware wants to see the requests.
func meddled(cfg *otlpreceiver.Config) bool {
	grpc, http := cfg.Protocols.GRPC, cfg.Protocols.HTTP
	return grpc.HasValue() && len(grpc.Get().Middlewares) > 1 || http.HasValue() && len(http.Get().ServerConfig.Middlewares) > 1
}

// directWriter returns the exporter pharos to which alone all that a receiver gets of a
// signal goes, through no processor; nil if it goes elsewhere, too.
func (p *Pipeline) directWriter(cfg *otelcol.Config, receiver component.ID, sig model.Signal) *sinkExporter {
	var found *sinkExporter
	for id, pl := range cfg.Service.Pipelines {
		if id.Signal().String() != sig.String() || !slices.Contains(pl.Receivers, receiver) {
			continue
		}
		if found != nil || len(pl.Processors) > 0 || len(pl.Exporters) != 1 {
			return nil
		}
		ec, ok := cfg.Exporters[pl.Exporters[0]].(*exporterConfig)
		if !ok {
			return nil
		}
		found = p.newExporter(ec)
	}
	return found
}

// bypass writes the requests of one protocol of a receiver.
type bypass struct {
	*directReceiver
	obs *receiverhelper.ObsReport
}

// write writes a request. Its error has a gRPC status, the one that the receiver gives it.
func (b *bypass) write(ctx context.Context, sig model.Signal, body []byte) error {
	ctx, end := b.observe(ctx, sig)
	items, err := b.writers[sig].consume(ctx, sig, func() ([]byte, error) { return body, nil })
	if !errors.Is(err, model.ErrMalformed) && items > 0 {
		end(items, err)
	}
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	switch {
	case ok:
	case consumererror.IsPermanent(err):
		st = status.New(codes.Internal, err.Error())
	default:
		st = status.New(codes.Unavailable, err.Error())
	}
	return st.Err()
}

// observe begins what the receiver counts of a request. Only requests that have items and
// could be read end it, as only those begin it in the receiver.
func (b *bypass) observe(ctx context.Context, sig model.Signal) (_ context.Context, end func(items int, err error)) {
	const format = "protobuf"
	switch sig {
	case model.Metrics:
		ctx = b.obs.StartMetricsOp(ctx)
		return ctx, func(items int, err error) { b.obs.EndMetricsOp(ctx, format, items, err) }
	case model.Logs:
		ctx = b.obs.StartLogsOp(ctx)
		return ctx, func(items int, err error) { b.obs.EndLogsOp(ctx, format, items, err) }
	default:
		ctx = b.obs.StartTracesOp(ctx)
		return ctx, func(items int, err error) { b.obs.EndTracesOp(ctx, format, items, err) }
	}
}

// answerHTTP writes the body of a request over HTTP and answers it.
func (b *bypass) answerHTTP(ctx context.Context, w http.ResponseWriter, sig model.Signal, media string, body []byte, p *partial) {
	var err error
	if media == mediaJSON {
		if body, err = protoOf(sig, body); err != nil {
			err = status.Error(codes.InvalidArgument, err.Error())
		}
	}
	if err == nil {
		err = b.write(ctx, sig, body)
	}
	code, answer := http.StatusOK, p.proto()
	switch {
	case err != nil:
		code, answer = failure(w.Header(), media, status.Convert(err))
	case media == mediaJSON:
		answer = p.json()
	}
	send(w, media, code, answer)
}

// send sends an answer.
func send(w http.ResponseWriter, media string, code int, answer []byte) {
	w.Header().Set("Content-Type", media)
	w.WriteHeader(code)
	_, _ = w.Write(answer) // the client left; what was stored is stored all the same
}

// protoOf returns a request in OTLP's JSON as protobuf.
func protoOf(sig model.Signal, text []byte) ([]byte, error) {
	var req interface {
		UnmarshalJSON(text []byte) error
		MarshalProto() ([]byte, error)
	}
	switch sig {
	case model.Metrics:
		req = pmetricotlp.NewExportRequest()
	case model.Logs:
		req = plogotlp.NewExportRequest()
	default:
		req = ptraceotlp.NewExportRequest()
	}
	if err := req.UnmarshalJSON(text); err != nil {
		return nil, err
	}
	return req.MarshalProto()
}

// failure returns the status and body of an answer that says what failed, and sets
// Retry-After where waiting helps.
func failure(h http.Header, media string, st *status.Status) (code int, body []byte) {
	code = httpStatus(st.Code())
	if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
		for _, d := range st.Details() {
			if info, ok := d.(*errdetails.RetryInfo); ok {
				h.Set("Retry-After", strconv.FormatInt(int64(info.GetRetryDelay().AsDuration()/time.Second), 10))
			}
		}
	}
	msg := st.Proto()
	msg.Message = strings.ToValidUTF8(msg.GetMessage(), "\ufffd")
	var err error
	if media == mediaJSON {
		body, err = protojson.Marshal(msg)
	} else {
		body, err = proto.Marshal(msg)
	}
	if err != nil {
		model.Bug("encode status: %v", err)
	}
	return code, body
}

// httpStatus is OTLP's table of what a code of gRPC is over HTTP.
func httpStatus(c codes.Code) int {
	switch c {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
		return http.StatusServiceUnavailable
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.InvalidArgument:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.Unimplemented:
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}
