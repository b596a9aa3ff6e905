package pipeline

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// OTLP has an answer for a request of which a part is refused: success, with the number
// refused and why. The Collector's receiver cannot give it, so the extension of otlp.go
// does: it puts a partial into the request's context, the exporter pharos notes refusals in
// it, and the extension writes them into the answer. A processor
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
	p.reasons = append(p.reasons, strings.ToValidUTF8(err.Error(), "\ufffd"))
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
	if p.refused == 0 {
		return nil
	}
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(p.refused))
	b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), strings.Join(p.reasons, "; "))
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), b)
}

// json encodes the same in OTLP's JSON.
func (p *partial) json() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused == 0 {
		return []byte(`{"partialSuccess":{}}`)
	}
	count := map[model.Signal]string{model.Traces: "rejectedSpans", model.Metrics: "rejectedDataPoints", model.Logs: "rejectedLogRecords"}[p.signal]
	b, err := json.Marshal(map[string]any{"partialSuccess": map[string]string{
		count: strconv.Itoa(p.refused), "errorMessage": strings.Join(p.reasons, "; "),
	}})
	if err != nil {
		model.Bug("encode partial success: %v", err)
	}
	return b
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
	if media, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type")); media == mediaJSON {
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
