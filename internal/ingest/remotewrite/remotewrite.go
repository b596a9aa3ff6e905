// Package remotewrite serves Prometheus remote write, versions 1.0 and 2.0, at
// /api/v1/write.
//
// A request is decoded in one pass over its bytes into a pooled [store.MetricBatch]:
//
//	body -> snappy -> batch (keys point into the body) -> MetricWriter.Append -> 204
//
// The key of a series is the protobuf encoding of its labels as version 1.0 sends them.
// Version 1.0 thus needs no copy at all; for 2.0, which numbers its strings per request,
// the key is assembled from them. Labels are parsed by decodeKey, which the store calls
// only for a key it has not seen. Everything about labels is therefore checked there and
// in the store, not here: a known series has passed already.
//
// Both versions accept a part of a request: what the store refuses is a 400 that names
// reasons and counts, and the rest is stored. Start timestamps of 2.0 go to the
// store.
package remotewrite

import (
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pharos-o11y/pharos/internal/ingest"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Options configures a handler. The zero value is ready to use.
type Options struct {
	Tenant     ingest.TenantFunc     // nil means ingest.DefaultTenant
	MaxBytes   int64                 // limit of a decompressed body; 0 means ingest.DefaultMaxBytes
	Refused    ingest.RefusedFunc    // counts what is refused before it comes to the store; may be nil
	Registerer prometheus.Registerer // nil counts nowhere
}

// Message types, as the proto parameter of the content type names them.
const (
	mediaType = "application/x-protobuf"
	messageV1 = "prometheus.WriteRequest"
	messageV2 = "io.prometheus.write.v2.Request"
)

type handler struct {
	writer  store.MetricWriter
	opts    Options
	metrics *ingest.Metrics

	bodies   ingest.BodyPool
	decoders sync.Pool
}

// New returns the handler of /api/v1/write.
func New(w store.MetricWriter, opts Options) http.Handler {
	if opts.Tenant == nil {
		opts.Tenant = ingest.DefaultTenant
	}
	if opts.MaxBytes == 0 {
		opts.MaxBytes = ingest.DefaultMaxBytes
	}
	return &handler{writer: w, opts: opts, metrics: ingest.NewMetrics(opts.Registerer, "remote_write")}
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := h.bodies.Get()
	defer h.bodies.Put(body)
	d, ok := h.decoders.Get().(*decoder)
	if !ok {
		d = new(decoder)
	}
	defer h.decoders.Put(d)

	v2, size, err := h.write(r, body, d)
	status := ingest.Status(err)
	if v2 {
		d.written(err).set(w.Header())
	}
	if err == nil {
		w.WriteHeader(status)
	} else {
		ingest.Fail(w, err)
	}
	h.metrics.Count(model.Metrics.String(), status, size, d.counts.total(), err)
}

// write decodes and stores one request. It returns the size of the body.
func (h *handler) write(r *http.Request, body *ingest.Body, d *decoder) (v2 bool, size int, err error) {
	d.reset()
	if r.Method != http.MethodPost {
		return false, 0, ingest.Errorf(http.StatusMethodNotAllowed, "remote write takes POST, not %s", r.Method)
	}
	if v2, err = version(r.Header.Get("Content-Type")); err != nil {
		return false, 0, err
	}
	encoding := r.Header.Get("Content-Encoding")
	switch strings.ToLower(encoding) {
	case "":
		encoding = "snappy" // both specifications demand it, some senders do not say so
	case "snappy", "zstd", "identity":
	default:
		return v2, 0, ingest.Errorf(http.StatusUnsupportedMediaType, "Content-Encoding %q is not supported; remote write uses snappy", encoding)
	}
	tenant, err := h.opts.Tenant(r)
	if err != nil {
		return v2, 0, err
	}
	b, err := body.Read(r, encoding, h.opts.MaxBytes)
	if err != nil {
		return v2, 0, err
	}
	if v2 {
		err = d.v2(b)
	} else {
		err = d.v1(b)
	}
	var own *ingest.Error
	switch {
	case errors.As(err, &own):
		return v2, len(b), err
	case err != nil:
		return v2, len(b), &ingest.Error{Status: http.StatusBadRequest, Err: err}
	}
	d.batch.Decode = decodeKey
	err = h.writer.Append(r.Context(), tenant, &d.batch)
	return v2, len(b), h.opts.Refused.Finish(model.Metrics, tenant, &d.refused, d.counts.total(), err)
}

// version tells the two protocol versions apart by content type.
func version(contentType string) (v2 bool, err error) {
	if contentType == "" {
		return false, nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != mediaType {
		return false, ingest.Errorf(http.StatusUnsupportedMediaType, "Content-Type %q is not supported; remote write uses %s", contentType, mediaType)
	}
	switch params["proto"] {
	case "", messageV1:
		return false, nil
	case messageV2:
		return true, nil
	}
	return false, ingest.Errorf(http.StatusUnsupportedMediaType, "protobuf message %q is not supported; send %s or %s", params["proto"], messageV1, messageV2)
}

// counts is how many items of each kind a request holds.
type counts struct{ samples, histograms, exemplars int }

func (c counts) total() int { return c.samples + c.histograms + c.exemplars }

// set writes the response headers of version 2.0.
func (c counts) set(h http.Header) {
	h.Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(c.samples))
	h.Set("X-Prometheus-Remote-Write-Histograms-Written", strconv.Itoa(c.histograms))
	h.Set("X-Prometheus-Remote-Write-Exemplars-Written", strconv.Itoa(c.exemplars))
}

// written says how many items of each kind are stored after err. A store does not count
// its refusals by kind; they are taken from the samples first, so that a sender never
// reads of more written than there is.
func (d *decoder) written(err error) counts {
	c := d.counts
	if err == nil {
		return c
	}
	var refused *store.Refused
	if !errors.As(err, &refused) {
		return counts{}
	}
	n := c.total() - min(refused.Kept, c.total())
	for _, kind := range []*int{&c.samples, &c.histograms, &c.exemplars} {
		took := min(n, *kind)
		*kind -= took
		n -= took
	}
	return c
}
