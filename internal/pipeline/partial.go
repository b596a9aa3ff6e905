package pipeline

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// OTLP has an answer for a request of which a part is refused: success, with the number
// refused and why. The Collector's receiver cannot give it, so an extension of ours wraps
// the receiver's servers: it puts a partial into the request's context, the exporter
// pharos notes refusals in it, and the extension writes them into the answer. A processor
// that detaches data from its request (batch, tail_sampling) leaves no context to note
// anything in; then a refusal is a permanent error that the processor logs.

// partial collects what was refused of one request.
type partial struct {
	mu      sync.Mutex
	signal  model.Signal
	refused int
	reasons []string
}

type partialKey struct{}

// notePartial notes err in the request's partial, and reports whether there is one. A
// request of which nothing was kept is not a partial success.
func notePartial(ctx context.Context, signal model.Signal, err *store.Refused) bool {
	p, ok := ctx.Value(partialKey{}).(*partial)
	if !ok || err.Kept == 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signal = signal
	p.refused += err.Count()
	p.reasons = append(p.reasons, err.Error())
	return true
}

// empty reports whether nothing was refused.
func (p *partial) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused == 0
}

// proto encodes an Export*ServiceResponse, whose three kinds look alike.
func (p *partial) proto() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(p.refused))
	b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), strings.Join(p.reasons, "; "))
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), b)
}

// json encodes the same in OTLP's JSON.
func (p *partial) json() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	count := map[model.Signal]string{model.Traces: "rejectedSpans", model.Metrics: "rejectedDataPoints", model.Logs: "rejectedLogRecords"}[p.signal]
	b, err := json.Marshal(map[string]any{"partialSuccess": map[string]string{
		count: strconv.Itoa(p.refused), "errorMessage": strings.Join(p.reasons, "; "),
	}})
	if err != nil {
		model.Bug("encode partial success: %v", err)
	}
	return b
}

// partialName is the type of the extension. It is added to configurations, not written
// in them.
const partialName = "pharos_partial_success"

func partialFactory() extension.Factory {
	return extension.NewFactory(component.MustNewType(partialName), func() component.Config { return new(struct{}) },
		func(context.Context, extension.Settings, component.Config) (extension.Extension, error) {
			return new(partialExtension), nil
		}, component.StabilityLevelStable)
}

type partialExtension struct {
	component.StartFunc
	component.ShutdownFunc
}

// GetGRPCServerOptions implements extensionmiddleware.GRPCServer.
func (*partialExtension) GetGRPCServerOptions(context.Context) ([]grpc.ServerOption, error) {
	return []grpc.ServerOption{grpc.ForceServerCodecV2(newGuardCodec()), grpc.ChainUnaryInterceptor(
		func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			p := new(partial)
			res, err := next(context.WithValue(ctx, partialKey{}, p), req)
			if msg, ok := res.(interface{ UnmarshalProto(b []byte) error }); ok && err == nil && !p.empty() {
				err = msg.UnmarshalProto(p.proto())
			}
			return res, err
		})}, nil
}

// GetHTTPHandler implements extensionmiddleware.HTTPServer.
func (*partialExtension) GetHTTPHandler(context.Context) (extensionmiddleware.WrapHTTPHandlerFunc, error) {
	return func(_ context.Context, next http.Handler) (http.Handler, error) {
		return guardHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p := new(partial)
			next.ServeHTTP(&partialWriter{ResponseWriter: w, partial: p}, r.WithContext(context.WithValue(r.Context(), partialKey{}, p)))
		})), nil
	}, nil
}

// partialWriter replaces the body of a success when something was refused.
type partialWriter struct {
	http.ResponseWriter
	partial  *partial
	replaced bool
}

// WriteHeader implements http.ResponseWriter.
func (w *partialWriter) WriteHeader(status int) {
	if status != http.StatusOK || w.partial.empty() {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.replaced = true
	body := w.partial.proto()
	if media, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type")); media == "application/json" {
		body = w.partial.json()
	}
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(status)
	_, _ = w.ResponseWriter.Write(body) // the client left; the data is stored all the same
}

// Write implements http.ResponseWriter.
func (w *partialWriter) Write(b []byte) (int, error) {
	if w.replaced {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

// answerPartly has the OTLP receivers of conf give partial successes.
func answerPartly(conf map[string]any) {
	receivers := section(conf, "receivers")
	used := false
	for _, id := range keys(receivers) {
		if typeOf(id) != "otlp" {
			continue
		}
		protocols := section(section(receivers, id), "protocols")
		for _, name := range keys(protocols) {
			if p := section(protocols, name); p != nil && (name == "grpc" || name == "http") {
				list, _ := p["middlewares"].([]any)
				p["middlewares"] = append([]any{map[string]any{"id": partialName}}, list...)
				used = true
			}
		}
	}
	if !used {
		return
	}
	subsection(conf, "extensions")[partialName] = map[string]any{}
	service := subsection(conf, "service")
	list, _ := service["extensions"].([]any)
	service["extensions"] = append([]any{partialName}, list...)
}
