// Package lokipush serves Loki's push API: /loki/api/v1/push (snappy protobuf and JSON),
// the older /api/prom/push, and OpenTelemetry logs at /otlp/v1/logs.
//
// All three decode into a [logrules.Builder], which applies Loki's rules, and differ only
// in that: protobuf.go walks the bytes with lines pointing into the body, json.go and the
// OTLP handler go through a parser. A request is answered 204 when everything in it is
// stored, and 400 naming reasons and counts when a part was refused; the rest is stored.
package lokipush

import (
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fastjson"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/pharos-o11y/pharos/internal/ingest"
	"github.com/pharos-o11y/pharos/internal/ingest/logrules"
	"github.com/pharos-o11y/pharos/internal/ingest/otlp"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/nesting"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Options configures the handlers. The zero value is ready to use.
type Options struct {
	Rules      func(model.Tenant) *logrules.Rules // of a tenant; nil means the defaults for all
	Blocked    func(model.Tenant) int             // status of what is refused because it is blocked for a time; nil means 260
	Tenant     ingest.TenantFunc                  // nil means ingest.DefaultTenant
	Refused    ingest.RefusedFunc                 // counts what is refused for its labels; may be nil
	MaxBytes   int64                              // limit of a decompressed body; 0 means ingest.DefaultMaxBytes
	Registerer prometheus.Registerer              // nil counts nowhere
	Now        func() time.Time                   // nil means time.Now; tests replace it
}

// Server holds the handlers of the push API. They are safe for concurrent use.
type Server struct {
	writer  store.LogWriter
	opts    Options
	metrics *ingest.Metrics
	streams streamCaches

	bodies   ingest.BodyPool
	decoders sync.Pool // of *decoder
}

// decoder is the memory that a request is decoded into. Lines of a JSON push lie in that
// of its parser.
type decoder struct {
	logrules.Builder
	json fastjson.Parser
	text []byte // of a stream's labels
}

// maxParsed is the largest JSON body whose parser is kept for the next request: values take
// many times the memory of their text.
const maxParsed = 1 << 20

// New returns a Server that writes to w.
func New(w store.LogWriter, opts Options) *Server {
	if opts.Tenant == nil {
		opts.Tenant = ingest.DefaultTenant
	}
	if opts.Rules == nil {
		opts.Rules = func(model.Tenant) *logrules.Rules { return nil }
	}
	if opts.Blocked == nil {
		opts.Blocked = func(model.Tenant) int { return StatusBlocked }
	}
	if opts.MaxBytes == 0 {
		opts.MaxBytes = ingest.DefaultMaxBytes
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Server{
		writer: w, opts: opts, metrics: ingest.NewMetrics(opts.Registerer, "loki_push"),
	}
}

// decode reads the entries of a body into d. It returns an error that names the place
// when the body is not what it says; single bad entries are d's to refuse.
type decode func(s *Server, r *http.Request, body *ingest.Body, d *decoder) (size int, err error)

// Push returns the handler of /loki/api/v1/push and /api/prom/push.
func (s *Server) Push() http.Handler {
	return s.handler(decodePush, func(w http.ResponseWriter, err error) { ingest.Fail(w, err) })
}

// OTLP returns the handler of /otlp/v1/logs. Its errors are google.rpc.Status messages.
func (s *Server) OTLP() http.Handler { return s.handler(decodeOTLP, otlp.Fail) }

func (s *Server) handler(f decode, fail func(http.ResponseWriter, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := s.bodies.Get()
		defer s.bodies.Put(body)
		d, ok := s.decoders.Get().(*decoder)
		if !ok {
			d = &decoder{}
		}
		defer s.decoders.Put(d)
		size, err := s.push(r, f, body, d)
		status := ingest.Status(err)
		s.metrics.Count(model.Logs.String(), status, size, d.Kept(), err)
		if size > maxParsed {
			d.json = fastjson.Parser{}
		}
		if err != nil && status != http.StatusOK { // which a tenant may have for what is blocked
			fail(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func (s *Server) push(r *http.Request, f decode, body *ingest.Body, d *decoder) (size int, err error) {
	tenant, err := s.opts.Tenant(r)
	d.Reset(s.opts.Now(), s.opts.Rules(tenant))
	if r.Method != http.MethodPost {
		return 0, ingest.Errorf(http.StatusMethodNotAllowed, "push takes POST, not %s", r.Method)
	}
	if err != nil {
		return 0, err
	}
	if size, err = f(s, r, body, d); err != nil {
		return size, err
	}
	batch := d.Batch()
	if len(batch.Streams) > 0 {
		err = s.writer.Append(r.Context(), tenant, batch)
	}
	err = s.opts.Refused.Finish(model.Logs, tenant, &d.Refused, d.Kept(), err)
	if blocked(err) {
		err = ingest.Errorf(s.opts.Blocked(tenant), "%w", err)
	}
	return size, err
}

// StatusBlocked is Loki's answer to what is blocked for a time: clients take it for success
// and do not send it again.
const StatusBlocked = 260

// blocked reports whether err is of entries that are blocked for a time, and of no others.
func blocked(err error) bool {
	var refused *store.Refused
	return errors.As(err, &refused) && !slices.ContainsFunc(refused.Refusals, func(r store.Refusal) bool {
		return !strings.HasPrefix(r.Reason, ingest.ReasonBlocked)
	})
}

// decodePush reads Loki's own formats: JSON if the content type says so, else protobuf.
func decodePush(s *Server, r *http.Request, body *ingest.Body, d *decoder) (int, error) {
	contentType := r.Header.Get("Content-Type")
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return 0, ingest.Errorf(http.StatusBadRequest, "Content-Type %q is not valid; send application/json or application/x-protobuf", contentType)
	}
	encoding := strings.ToLower(r.Header.Get("Content-Encoding"))
	switch encoding {
	case "", "identity", "snappy", "gzip", "deflate":
	default:
		return 0, ingest.Errorf(http.StatusBadRequest, "Content-Encoding %q is not supported; use snappy, gzip or deflate", encoding)
	}
	isJSON := media == "application/json"
	if encoding == "snappy" && !isJSON {
		encoding = "" // the block below is what it means
	}
	raw, err := body.Read(r, encoding, s.opts.MaxBytes)
	if err != nil {
		return 0, err
	}
	if isJSON {
		return len(raw), s.decodeJSON(raw, d)
	}
	if raw, err = body.Snappy(s.opts.MaxBytes); err != nil {
		return 0, err
	}
	err = s.decodeProto(raw, &d.Builder)
	if errors.Is(err, model.ErrMalformed) {
		err = ingest.Errorf(http.StatusBadRequest, "decode PushRequest: %w", err)
	}
	return len(raw), err
}

// decodeOTLP reads an OTLP ExportLogsServiceRequest.
func decodeOTLP(s *Server, r *http.Request, body *ingest.Body, d *decoder) (int, error) {
	contentType := r.Header.Get("Content-Type")
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/json" && media != "application/x-protobuf" {
		return 0, ingest.Errorf(http.StatusUnsupportedMediaType, "Content-Type %q is not supported; send application/x-protobuf or application/json", contentType)
	}
	raw, err := body.Read(r, r.Header.Get("Content-Encoding"), s.opts.MaxBytes)
	if err != nil {
		return 0, err
	}
	size := len(raw)
	if media == "application/json" {
		if raw, err = protoOf(raw); err != nil {
			return size, ingest.Errorf(http.StatusBadRequest, "decode ExportLogsServiceRequest: %w", err)
		}
	}
	resources, err := otlp.AppendLogs(&d.Builder, raw)
	switch {
	case errors.Is(err, model.ErrMalformed):
		return size, ingest.Errorf(http.StatusBadRequest, "%w", err)
	case err == nil && resources == 0:
		return size, errNoStreams()
	}
	return size, err
}

// protoOf returns an ExportLogsServiceRequest in JSON as protobuf.
func protoOf(text []byte) ([]byte, error) {
	if err := nesting.JSON(text); err != nil {
		return nil, err
	}
	req := plogotlp.NewExportRequest()
	if err := req.UnmarshalJSON(text); err != nil {
		return nil, err
	}
	return req.MarshalProto()
}

func errNoStreams() error {
	return ingest.Errorf(http.StatusUnprocessableEntity, "error at least one valid stream is required for ingestion")
}

// streamCaches has two caches for each set of rules in use.
type streamCaches struct {
	mu     sync.RWMutex
	caches map[cached]*streamCache // guarded by mu
}

// cached says what a cache knows: the same text can mean one thing in JSON and another to Loki.
type cached struct {
	rules *logrules.Rules
	json  bool
}

// maxStreamCaches bounds the sets of rules: every reload of the configuration makes new ones.
const maxStreamCaches = 200

// of returns the cache of rules for label sets in JSON, or as Loki writes them.
func (cs *streamCaches) of(rules *logrules.Rules, json bool) *streamCache {
	key := cached{rules, json}
	cs.mu.RLock()
	c := cs.caches[key]
	cs.mu.RUnlock()
	if c != nil {
		return c
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c = cs.caches[key]; c != nil {
		return c
	}
	if len(cs.caches) >= maxStreamCaches || cs.caches == nil {
		cs.caches = map[cached]*streamCache{}
	}
	c = &streamCache{rules: rules}
	cs.caches[key] = c
	return c
}

// streamCache maps the text of labels to what the rules make of them: agents send the
// same streams again and again. It has two generations: texts go to the young one, and
// when that is full it becomes the old one. So what is asked for stays.
type streamCache struct {
	rules *logrules.Rules

	mu    sync.RWMutex
	young map[string]*logrules.Stream // guarded by mu
	old   map[string]*logrules.Stream // guarded by mu
	text  int                         // guarded by mu; bytes of texts in young
}

// Bounds of the cache: the bytes of texts in a generation, enough for 100,000 short ones,
// and of a text; longer ones it does not keep.
const (
	maxCachedTexts = 8 << 20
	maxCachedText  = 4 << 10
)

// get returns the stream whose labels are written as text, which may be part of a body and
// which parse reads.
func (c *streamCache) get(text string, parse func(text string) (model.Labels, error)) (*logrules.Stream, error) {
	c.mu.RLock()
	s, aged := c.young[text], false
	if s == nil {
		s = c.old[text]
		aged = s != nil
	}
	c.mu.RUnlock()
	if s != nil && !aged {
		return s, nil
	}
	text = strings.Clone(text)
	if !aged {
		ls, err := parse(text)
		if err != nil {
			return nil, err
		}
		if s, err = c.rules.NewStream(ls); err != nil {
			return nil, err
		}
	}
	if len(text) <= maxCachedText {
		c.put(text, s)
	}
	return s, nil
}

func (c *streamCache) put(text string, s *logrules.Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.text += len(text); c.young == nil || c.text > maxCachedTexts {
		c.young, c.old, c.text = make(map[string]*logrules.Stream), c.young, len(text)
	}
	c.young[text] = s
}
