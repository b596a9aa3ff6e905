package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/nesting"
)

// An extension of ours stands before each OTLP receiver, on both protocols:
//
//   - it refuses requests that are nested too deep: the Collector's decoder recurses, so a
//     hostile request of a few megabytes could take all of the stack and with it the
//     process;
//   - it gives the answers of partial.go;
//   - it writes what need not go through the Collector at all, see direct.go.

// otlpName is the type of the extension. It is added to configurations, not written in
// them; each has the name of its receiver.
const otlpName = "pharos_otlp"

// extendReceivers puts the extension before the OTLP receivers of conf.
func extendReceivers(conf map[string]any) {
	receivers := section(conf, "receivers")
	var added []any
	for _, id := range keys(receivers) {
		if typeOf(id) != "otlp" {
			continue
		}
		ext := otlpName
		if _, name, ok := strings.Cut(id, "/"); ok {
			ext += "/" + strings.TrimSpace(name)
		}
		used := false
		protocols := section(section(receivers, id), "protocols")
		for _, name := range keys(protocols) {
			if p := section(protocols, name); p != nil && (name == "grpc" || name == "http") {
				list, _ := p["middlewares"].([]any)
				p["middlewares"] = append([]any{map[string]any{"id": ext}}, list...)
				used = true
			}
		}
		if used {
			subsection(conf, "extensions")[ext] = map[string]any{}
			added = append(added, ext)
		}
	}
	if len(added) > 0 {
		service := subsection(conf, "service")
		list, _ := service["extensions"].([]any)
		service["extensions"] = append(added, list...)
	}
}

// otlpFactory makes the extensions. direct is the receivers that may be bypassed, known
// once the configuration is decoded.
func otlpFactory(direct func(component.ID) *directReceiver) extension.Factory {
	return extension.NewFactory(component.MustNewType(otlpName), func() component.Config { return new(struct{}) },
		func(_ context.Context, set extension.Settings, _ component.Config) (extension.Extension, error) {
			id := component.NewIDWithName(otlpreceiver.NewFactory().Type(), set.ID.Name())
			return &otlpExtension{direct: direct(id), receiver: receiver.Settings{ID: id, TelemetrySettings: set.TelemetrySettings, BuildInfo: set.BuildInfo}}, nil
		}, component.StabilityLevelStable)
}

// otlpExtension stands before one receiver.
type otlpExtension struct {
	component.StartFunc
	component.ShutdownFunc

	direct   *directReceiver
	receiver receiver.Settings
	bodies   sync.Pool // *bytes.Buffer
}

// bypass returns what writes requests of a protocol.
func (e *otlpExtension) bypass(transport string) (*bypass, error) {
	obs, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: e.receiver.ID, Transport: transport, ReceiverCreateSettings: e.receiver,
	})
	if err != nil {
		return nil, fmt.Errorf("count what receiver %s gets: %w", e.receiver.ID, err)
	}
	return &bypass{e.direct, obs}, nil
}

// The encodings of OTLP/HTTP.
const (
	mediaProto = "application/x-protobuf"
	mediaJSON  = "application/json"
)

// GetHTTPHandler implements extensionmiddleware.HTTPServer.
func (e *otlpExtension) GetHTTPHandler(context.Context) (extensionmiddleware.WrapHTTPHandlerFunc, error) {
	b, err := e.bypass("http")
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, next http.Handler) (http.Handler, error) {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.serveHTTP(b, w, r, next) }), nil
	}, nil
}

// serveHTTP answers a request, or passes it on to the receiver. The Collector has bounded
// the size of the body and decompresses it.
func (e *otlpExtension) serveHTTP(b *bypass, w http.ResponseWriter, r *http.Request, next http.Handler) {
	buf, ok := e.bodies.Get().(*bytes.Buffer)
	if !ok {
		buf = new(bytes.Buffer)
	}
	defer func() {
		if buf.Cap() <= keepBody {
			buf.Reset()
			e.bodies.Put(buf)
		}
	}()
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	known := media == mediaProto || media == mediaJSON
	if err := readBody(buf, r, media); err != nil {
		if !known {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		code, answer := failure(w.Header(), media, status.New(codes.InvalidArgument, err.Error()))
		send(w, media, code, answer)
		return
	}
	p := new(partial)
	ctx := context.WithValue(r.Context(), partialKey{}, p)
	sig, ok := b.paths[r.URL.Path]
	if ok && b.writers[sig] != nil && r.Method == http.MethodPost && known {
		b.answerHTTP(ctx, w, sig, media, buf.Bytes(), p)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(buf.Bytes()))
	next.ServeHTTP(&partialWriter{ResponseWriter: w, partial: p}, r.WithContext(ctx))
}

// keepBody is the largest buffer that is kept for the next request.
const keepBody = 4 << 20

// readBody reads a body and refuses what is too long or nested too deep.
func readBody(buf *bytes.Buffer, r *http.Request, media string) error {
	if r.ContentLength > 0 {
		buf.Grow(int(min(r.ContentLength, maxBody)) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(r.Body); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	check := nesting.Proto
	if media == mediaJSON {
		check = nesting.JSON
	}
	return check(buf.Bytes())
}

// GetGRPCServerOptions implements extensionmiddleware.GRPCServer.
func (e *otlpExtension) GetGRPCServerOptions(context.Context) ([]grpc.ServerOption, error) {
	b, err := e.bypass("grpc")
	if err != nil {
		return nil, err
	}
	c := newCodec(b)
	opts := []grpc.ServerOption{grpc.ForceServerCodecV2(c), grpc.ChainUnaryInterceptor(b.answerGRPC)}
	if len(b.writers) > 0 {
		opts = append(opts, grpc.UnaryInterceptor(c.hold)) // before all that are chained
	}
	return opts, nil
}

// codec is gRPC's codec for protobuf. It refuses what is nested too deep, and leaves
// encoded what is to be written so: the message that the Collector's handler made stays
// empty, and the codec holds its bytes until the interceptor hold comes for them. Nothing
// but gRPC itself stands between the two, so nothing is left behind.
type codec struct {
	encoding.CodecV2
	bypass *bypass
	pool   mem.BufferPool

	mu   sync.Mutex
	held map[any]held // guarded by mu; by the empty message
}

// held is a request that was not decoded.
type held struct {
	signal model.Signal
	body   mem.Buffer
}

type heldKey struct{}

func newCodec(b *bypass) *codec {
	return &codec{
		CodecV2: encoding.GetCodecV2("proto"), bypass: b, held: map[any]held{},
		pool: mem.NewTieredBufferPool(4<<10, 32<<10, 128<<10, 512<<10, 1<<20, keepBody),
	}
}

// signalOf tells which signal a request of the Collector's is of, by the name of its type.
func signalOf(v any) (model.Signal, bool) {
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer {
		return 0, false
	}
	switch t.Elem().Name() {
	case "ExportMetricsServiceRequest":
		return model.Metrics, true
	case "ExportLogsServiceRequest":
		return model.Logs, true
	case "ExportTraceServiceRequest":
		return model.Traces, true
	}
	return 0, false
}

// Unmarshal implements encoding.CodecV2.
func (c *codec) Unmarshal(data mem.BufferSlice, v any) error {
	buf := data.MaterializeToBuffer(c.pool)
	if err := nesting.Proto(buf.ReadOnlyData()); err != nil {
		buf.Free()
		return err
	}
	if sig, ok := signalOf(v); ok && c.bypass.writers[sig] != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.held[v] = held{sig, buf}
		return nil
	}
	defer buf.Free()
	return c.CodecV2.Unmarshal(mem.BufferSlice{buf}, v)
}

// hold is an interceptor that keeps the bytes of an empty message until it is answered.
func (c *codec) hold(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	c.mu.Lock()
	h, ok := c.held[req]
	delete(c.held, req)
	c.mu.Unlock()
	if !ok {
		return next(ctx, req)
	}
	defer h.body.Free()
	return next(context.WithValue(ctx, heldKey{}, h), req)
}

// encoded is an answer that needs no encoding.
type encoded []byte

// Marshal implements encoding.CodecV2.
func (c *codec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(encoded); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	return c.CodecV2.Marshal(v)
}

// answerGRPC is the interceptor that answers a request, or passes it on to the receiver.
func (b *bypass) answerGRPC(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	p := new(partial)
	ctx = context.WithValue(ctx, partialKey{}, p)
	if h, ok := ctx.Value(heldKey{}).(held); ok {
		if err := b.write(ctx, h.signal, h.body.ReadOnlyData()); err != nil {
			return nil, err
		}
		return encoded(p.proto()), nil
	}
	res, err := next(ctx, req)
	if msg, ok := res.(interface{ UnmarshalProto(b []byte) error }); ok && err == nil && !p.empty() {
		err = msg.UnmarshalProto(p.proto())
	}
	return res, err
}
