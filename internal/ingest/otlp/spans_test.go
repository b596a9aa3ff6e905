package otlp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/collector/pdata/xpdata/entity"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/nesting"
	"github.com/pharos-o11y/pharos/internal/store/spans"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// The tests of this file hold the decoder to pdata's, by way of the batch that storetest
// makes of pdata.

// wildSpans returns spans that use every field of OTLP.
func wildSpans(r *rand.Rand) ptrace.Traces {
	td := ptrace.NewTraces()
	id := func(b []byte) {
		for i := range b {
			b[i] = byte(r.IntN(3))
		}
	}
	text := func() string { return strings.Repeat("x", r.IntN(3)) }
	for range r.IntN(3) {
		rs := td.ResourceSpans().AppendEmpty()
		rs.SetSchemaUrl(text())
		wildAttrs(r, rs.Resource().Attributes())
		rs.Resource().SetDroppedAttributesCount(r.Uint32N(3))
		for range r.IntN(2) {
			e := entity.ResourceEntityRefs(rs.Resource()).AppendEmpty()
			e.SetType(text())
			e.SetSchemaUrl(text())
			e.IdKeys().Append(text(), "a")
			e.DescriptionKeys().Append("b")
		}
		for range r.IntN(3) {
			ss := rs.ScopeSpans().AppendEmpty()
			ss.SetSchemaUrl(text())
			ss.Scope().SetName(text())
			ss.Scope().SetVersion(text())
			ss.Scope().SetDroppedAttributesCount(r.Uint32N(3))
			wildAttrs(r, ss.Scope().Attributes())
			for range r.IntN(4) {
				s := ss.Spans().AppendEmpty()
				var trace pcommon.TraceID
				var own, parent pcommon.SpanID
				id(trace[:])
				id(own[:])
				id(parent[:])
				s.SetTraceID(trace)
				s.SetSpanID(own)
				s.SetParentSpanID(parent)
				s.SetName(text())
				s.TraceState().FromRaw(text())
				s.SetFlags(r.Uint32N(3))
				s.SetKind(ptrace.SpanKind(r.Int32()))
				s.Status().SetCode(ptrace.StatusCode(r.IntN(3)))
				s.Status().SetMessage(text())
				s.SetStartTimestamp(pcommon.Timestamp(r.Uint64()))
				s.SetEndTimestamp(pcommon.Timestamp(r.Uint64()))
				s.SetDroppedAttributesCount(r.Uint32N(3))
				s.SetDroppedEventsCount(r.Uint32N(3))
				s.SetDroppedLinksCount(r.Uint32())
				wildAttrs(r, s.Attributes())
				for range r.IntN(3) {
					e := s.Events().AppendEmpty()
					e.SetTimestamp(pcommon.Timestamp(r.Uint64()))
					e.SetName(text())
					e.SetDroppedAttributesCount(r.Uint32N(3))
					wildAttrs(r, e.Attributes())
				}
				for range r.IntN(3) {
					l := s.Links().AppendEmpty()
					l.SetTraceID(trace)
					l.SetSpanID(parent)
					l.TraceState().FromRaw(text())
					l.SetFlags(r.Uint32N(3))
					l.SetDroppedAttributesCount(r.Uint32N(3))
					wildAttrs(r, l.Attributes())
				}
			}
		}
	}
	return td
}

// diffSpans compares what we and pdata read. In bytes that are not as pdata writes them,
// sizes differ.
func diffSpans(td ptrace.Traces, got *spans.Batch, sizes bool) string {
	opts := cmp.Options{cmpopts.EquateEmpty()}
	if !sizes {
		opts = append(opts, cmpopts.IgnoreFields(spans.Span{}, "Size"))
	}
	return cmp.Diff(storetest.Spans(td), got, opts)
}

func TestSpansMatchReference(t *testing.T) {
	var b spans.Batch // used again
	for seed := range uint64(300) {
		td := wildSpans(rand.New(rand.NewPCG(seed, 7)))
		body := tracesBody(t, td)
		for i, body := range [][]byte{body, encodeAgain(t, body, new(collectortrace.ExportTraceServiceRequest))} {
			b.Reset()
			if err := AppendSpans(&b, body); err != nil {
				t.Fatal(err)
			}
			if diff := diffSpans(td, &b, i == 0); diff != "" {
				t.Fatalf("seed %d, encoding %d (-reference +ours):\n%s", seed, i, diff)
			}
		}
	}
}

// TestOddSpans reads what encoders are free to write: fields out of order, twice, unknown
// ones, and the scopes of the first versions of OTLP.
func TestOddSpans(t *testing.T) {
	field := func(num protowire.Number, body ...[]byte) []byte {
		b := protowire.AppendTag(nil, num, protowire.BytesType)
		return protowire.AppendBytes(b, []byte(strings.Join(texts(body), "")))
	}
	attr := func(num protowire.Number, key string) []byte {
		return field(num, field(1, []byte(key)), field(2, field(1, []byte("v"))))
	}
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 77, protowire.VarintType), 5)
	span := func() []byte {
		return field(2, field(13, attr(4, "l")), attr(9, "a"), unknown, field(11, attr(3, "e1")), attr(9, "b"),
			field(11, attr(3, "e2")), field(15, field(2, []byte("m"))), field(1, make([]byte, 16)), field(1), field(5, []byte("n")), field(5, []byte("name")))
	}
	for name, body := range map[string][]byte{
		"order":      field(1, field(2, span(), field(1, field(1, []byte("late")))), field(1, attr(1, "r")), field(1, attr(1, "r2"))),
		"old scopes": field(1, field(1000, span())),
		"both":       field(1, field(1000, span()), field(2)),
	} {
		td, err := readSpans(body)
		if err != nil {
			t.Fatal(err)
		}
		var b spans.Batch
		if err := AppendSpans(&b, body); err != nil {
			t.Fatal(err)
		}
		if diff := diffSpans(td, &b, false); diff != "" {
			t.Errorf("%s (-reference +ours):\n%s", name, diff)
		}
	}
}

// readSpans reads a request as the Collector's receiver does.
func readSpans(body []byte) (ptrace.Traces, error) {
	req := ptraceotlp.NewExportRequest()
	err := req.UnmarshalProto(body)
	return req.Traces(), err
}

func texts(bs [][]byte) []string {
	out := make([]string, len(bs))
	for i, b := range bs {
		out[i] = string(b)
	}
	return out
}

func TestMalformedSpans(t *testing.T) {
	for body, want := range map[string]string{
		"\x0a\x05\x12":                         "byte 2: a field of 5 bytes is cut off",
		"\x0a\x06\x12\x04\x12\x02\x0a\x05":     "byte 8: a field of 5 bytes is cut off",
		"\x0a\x08\x12\x06\x12\x04\x0a\x02ab":   "byte 10: an id has 2 bytes, want 16",
		"\x0a\x06\x12\x04\x12\x02\x28\x01":     "byte 7: field 5 of Span has wire type 0",
		"\x0a\x04\x12\x02\x12\x80":             "byte 5: it is cut off inside a varint",
		"no protobuf at all, but a short text": "protobuf at byte",
	} {
		err := AppendSpans(&spans.Batch{}, []byte(body))
		if !errors.Is(err, model.ErrMalformed) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%q: error %v, want %s", body, err, want)
		}
	}
}

// FuzzSpans reads anything, as pdata does.
func FuzzSpans(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(tracesBody(f, wildSpans(rand.New(rand.NewPCG(seed, 5)))))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if nesting.Proto(body) != nil {
			t.Skip()
		}
		td, wantErr := readSpans(body)
		var b spans.Batch
		err := AppendSpans(&b, body)
		switch {
		case err != nil && !errors.Is(err, model.ErrMalformed):
			t.Errorf("error %v is not about malformed bytes", err)
		case err != nil && wantErr == nil && !theirs(err):
			t.Errorf("error %v, but pdata reads it", err)
		case err == nil && wantErr == nil:
			if diff := diffSpans(td, &b, false); diff != "" {
				t.Errorf("(-reference +ours):\n%s", diff)
			}
			storetest.TracesOf(&b)
		}
	})
}

// BenchmarkSpans reads requests of 1,000 spans with 20 attributes each.
func BenchmarkSpans(b *testing.B) {
	td := ptrace.NewTraces()
	list := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := range 1000 {
		s := list.AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1, byte(i)})
		s.SetSpanID(pcommon.SpanID{1, byte(i), byte(i >> 8)})
		s.SetName("GET /api/v1/things/{id}")
		for j := range 20 {
			s.Attributes().PutStr(fmt.Sprintf("http.request.attr_%02d", j), "some value of it")
		}
	}
	body := tracesBody(b, td)
	var batch spans.Batch
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		if err := AppendSpans(&batch, body); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/span")
}
