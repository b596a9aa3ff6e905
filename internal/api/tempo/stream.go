package tempo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/health"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/pharos-o11y/pharos/internal/api"
)

// The gRPC service tempopb.StreamingQuerier, which Grafana uses when "Streaming" is on in
// the data source, on the port of the HTTP API. It is the HTTP API in another frame: a
// request message becomes the parameters of the HTTP request that asks the same, and the
// protobuf answer of that becomes the end of the stream. So both answer alike, errors
// included. A query that takes a while sends its progress, and what it has found, before.

// packetSize bounds one message of a stream.
const packetSize = 1 << 20

// streamMethod is a method of the service.
type streamMethod struct {
	name    string
	handler api.Handler
	params  func(f fields) (q url.Values, tag string)
	lists   bool // a result is itself a list behind a name: it may be cut
}

func (a *API) streamMethods() []streamMethod {
	return []streamMethod{
		{"Search", a.search, searchParams, false},
		{"SearchTags", a.tagsV1, tagsParams, false},
		{"SearchTagsV2", a.tagsV2, tagsParams, true},
		{"SearchTagValues", a.valuesV1, valuesParams, false},
		{"SearchTagValuesV2", a.valuesV2, valuesParams, false},
		{"MetricsQueryRange", a.metricsRange, rangeQueryParams, false},
		{"MetricsQueryInstant", a.metricsInstant, instantQueryParams, false},
	}
}

// GRPC returns the handler of gRPC requests: HTTP/2 requests with the content type
// application/grpc.
func (a *API) GRPC() http.Handler {
	desc := grpc.ServiceDesc{ServiceName: "tempopb.StreamingQuerier", HandlerType: (*any)(nil), Metadata: "tempo.proto"}
	for _, m := range a.streamMethods() {
		desc.Streams = append(desc.Streams, grpc.StreamDesc{
			StreamName: m.name, ServerStreams: true,
			Handler: func(_ any, s grpc.ServerStream) error { return a.stream(m, s) },
		})
	}
	srv := grpc.NewServer(grpc.ForceServerCodec(rawCodec{}), grpc.StreamInterceptor(a.recoverStream))
	srv.RegisterService(&desc, a)
	healthgrpc.RegisterHealthServer(srv, health.NewServer())
	return srv
}

// recoverStream keeps a bug in one request from ending the process: these handlers run on
// goroutines of the gRPC server.
func (a *API) recoverStream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			a.Logger.ErrorContext(s.Context(), "gRPC request panicked", "method", info.FullMethod, "panic", fmt.Sprint(p))
			err = status.Error(codes.Internal, "internal error")
		}
	}()
	return handler(srv, s)
}

// stream answers one call.
func (a *API) stream(m streamMethod, s grpc.ServerStream) error {
	var in rawMessage
	if err := s.RecvMsg(&in); err != nil {
		return err
	}
	f, err := parseFields(in)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	q, tag := m.params(f)
	r, err := http.NewRequestWithContext(s.Context(), http.MethodGet, "/?"+q.Encode(), http.NoBody)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	r.SetPathValue("name", tag)
	r.Header.Set("Accept", "application/protobuf")
	if md, ok := metadata.FromIncomingContext(s.Context()); ok {
		for _, tenant := range md.Get(api.TenantHeader) {
			r.Header.Set(api.TenantHeader, tenant)
		}
	}
	answer := bufferedAnswer{header: http.Header{}, stream: s}
	if err := m.handler(&answer, r); err != nil {
		return a.streamError(s.Context(), m.name, err)
	}
	if hint := answer.header.Get(hintHeader); hint != "" {
		md := metadata.Pairs(strings.ToLower(hintHeader), hint)
		if answer.begun { // and with it the header is gone
			s.SetTrailer(md)
		} else if err := s.SetHeader(md); err != nil {
			return err
		}
	}
	return sendPackets(s, answer.body.Bytes(), m.lists)
}

// sendPackets sends a message in as many as it takes.
func sendPackets(s grpc.ServerStream, message []byte, lists bool) error {
	packets, err := splitMessage(message, packetSize, lists)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	for _, p := range packets {
		if err := s.SendMsg(&p); err != nil {
			return err
		}
	}
	return nil
}

// streamError turns an error into a gRPC status with the text that HTTP clients get.
func (a *API) streamError(ctx context.Context, method string, err error) error {
	code := codes.Internal
	if ctx.Err() != nil { // the client left, or its time is over
		return status.FromContextError(ctx.Err()).Err()
	}
	switch busy(api.Status(err), err) {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		code = codes.InvalidArgument
	case http.StatusUnauthorized:
		code = codes.Unauthenticated
	case http.StatusNotFound:
		code = codes.NotFound
	case http.StatusTooManyRequests:
		code = codes.ResourceExhausted
	case http.StatusNotImplemented:
		code = codes.Unimplemented
	case http.StatusServiceUnavailable:
		code = codes.Unavailable
	case http.StatusGatewayTimeout:
		code = codes.DeadlineExceeded
	case http.StatusInternalServerError:
		a.Logger.ErrorContext(ctx, "gRPC request failed", "method", method, "err", err)
	default:
		if errors.Is(err, context.Canceled) {
			code = codes.Canceled
		}
	}
	return status.Error(code, err.Error())
}

// bufferedAnswer takes the answer of a handler.
type bufferedAnswer struct {
	header http.Header
	body   bytes.Buffer
	stream grpc.ServerStream
	begun  bool // a message was sent
}

// takeProgress implements [progressTaker].
func (b *bufferedAnswer) takeProgress(message []byte) error {
	b.begun = true
	return sendPackets(b.stream, message, false)
}

// Header implements [http.ResponseWriter].
func (b *bufferedAnswer) Header() http.Header { return b.header }

// Write implements [http.ResponseWriter].
func (b *bufferedAnswer) Write(p []byte) (int, error) { return b.body.Write(p) }

// WriteHeader implements [http.ResponseWriter]; the handlers send errors another way.
func (b *bufferedAnswer) WriteHeader(int) {}

// splitMessage cuts a message into messages of at most limit bytes, each with some of its
// fields: as the long ones are repeated, together they say the same. A field longer than
// limit is a message of its own; if it is one of lists, it becomes several with the same name,
// which is the first field in it. There is always one message.
func splitMessage(b []byte, limit int, lists bool) ([]rawMessage, error) {
	var out []rawMessage
	from := 0
	for at := 0; at < len(b); {
		num, typ, n := protowire.ConsumeField(b[at:])
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		if at > from && at+n-from > limit {
			out = append(out, b[from:at])
			from = at
		}
		if lists && n > limit && typ == protowire.BytesType {
			cut, err := splitList(num, b[at:at+n], limit)
			if err != nil {
				return nil, err
			}
			out = append(out, cut...)
			from = at + n
		}
		at += n
	}
	if from < len(b) || len(out) == 0 {
		out = append(out, b[from:])
	}
	return out, nil
}

// splitList cuts one field of a list into several.
func splitList(num protowire.Number, field []byte, limit int) ([]rawMessage, error) {
	_, _, n := protowire.ConsumeTag(field)
	list, _ := protowire.ConsumeBytes(field[n:])
	_, _, n = protowire.ConsumeField(list)
	if n < 0 {
		return nil, protowire.ParseError(n)
	}
	const frame = 12 // tag and length
	parts, err := splitMessage(list[n:], max(1, limit-n-frame), false)
	if err != nil {
		return nil, err
	}
	for i, p := range parts {
		parts[i] = protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), slices.Concat(list[:n], p))
	}
	return parts, nil
}

// rawMessage is an encoded message.
type rawMessage []byte

// rawCodec passes encoded messages through.
type rawCodec struct{}

var _ encoding.Codec = rawCodec{}

// Marshal implements [encoding.Codec].
func (rawCodec) Marshal(v any) ([]byte, error) {
	switch v := v.(type) {
	case *rawMessage:
		return *v, nil
	case proto.Message: // of the health service
		return proto.Marshal(v)
	}
	return nil, fmt.Errorf("encode %T: not a message", v)
}

// Unmarshal implements [encoding.Codec].
func (rawCodec) Unmarshal(data []byte, v any) error {
	switch v := v.(type) {
	case *rawMessage:
		*v = slices.Clone(data)
		return nil
	case proto.Message:
		return proto.Unmarshal(data, v)
	}
	return fmt.Errorf("decode %T: not a message", v)
}

// Name implements [encoding.Codec].
func (rawCodec) Name() string { return "proto" }

// fields is a decoded message: the last value of each field, and all those of repeated
// ones.
type fields map[protowire.Number][]fieldValue

type fieldValue struct {
	n uint64
	b []byte
}

func parseFields(b []byte) (fields, error) {
	f := fields{}
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, fmt.Errorf("decode request: %w", protowire.ParseError(n))
		}
		b = b[n:]
		var v fieldValue
		switch typ {
		case protowire.VarintType:
			v.n, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			v.b, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return nil, fmt.Errorf("decode request: %w", protowire.ParseError(n))
		}
		f[num] = append(f[num], v)
		b = b[n:]
	}
	return f, nil
}

func (f fields) text(num protowire.Number) string {
	if v := f[num]; len(v) > 0 {
		return string(v[len(v)-1].b)
	}
	return ""
}

func (f fields) number(num protowire.Number) uint64 {
	if v := f[num]; len(v) > 0 {
		return v[len(v)-1].n
	}
	return 0
}

// set makes parameters of fields; a zero field is absent.
func (f fields) set(q url.Values, names map[protowire.Number]string) url.Values {
	for num, name := range names {
		if s := f.text(num); s != "" {
			q.Set(name, s)
		} else if n := f.number(num); n != 0 {
			q.Set(name, strconv.FormatUint(n, 10))
		}
	}
	return q
}

func searchParams(f fields) (url.Values, string) {
	q := f.set(url.Values{}, map[protowire.Number]string{4: "limit", 5: "start", 6: "end", 8: "q", 9: "spss"})
	for num, name := range map[protowire.Number]string{2: "minDuration", 3: "maxDuration"} {
		if n := f.number(num); n != 0 {
			q.Set(name, (time.Duration(n) * time.Millisecond).String())
		}
	}
	var tags []string
	for _, entry := range f[1] {
		if kv, err := parseFields(entry.b); err == nil {
			tags = append(tags, kv.text(1)+"="+strconv.Quote(kv.text(2)))
		}
	}
	if len(tags) > 0 {
		slices.Sort(tags)
		q.Set("tags", strings.Join(tags, " "))
	}
	return q, ""
}

func tagsParams(f fields) (url.Values, string) {
	return f.set(url.Values{}, map[protowire.Number]string{1: "scope", 2: "q", 3: "start", 4: "end", 5: "limit"}), ""
}

func valuesParams(f fields) (url.Values, string) {
	return f.set(url.Values{}, map[protowire.Number]string{2: "q", 4: "start", 5: "end", 6: "limit"}), f.text(1)
}

func instantQueryParams(f fields) (url.Values, string) {
	return f.set(url.Values{}, map[protowire.Number]string{1: "q", 2: "start", 3: "end"}), ""
}

func rangeQueryParams(f fields) (url.Values, string) {
	q, _ := instantQueryParams(f)
	if step := f.number(4); step != 0 {
		q.Set("step", strconv.FormatUint(step, 10)+"ns")
	}
	return f.set(q, map[protowire.Number]string{16: "exemplars", 17: "maxSeries"}), ""
}
