package otlp

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	collectorlogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/pharos-o11y/pharos/internal/ingest/logrules"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/nesting"
)

// The tests of this file hold the converters to the ones over pdata, of which
// reference_test.go and reference_logs_test.go keep the code.

// dumpMetrics writes all that is in a batch, bit by bit.
func dumpMetrics(c *converter) []string {
	var out []string
	for _, s := range c.batch.Series {
		var b strings.Builder
		fmt.Fprintf(&b, "%q start %d", s.Key, s.Start)
		for _, x := range s.Samples {
			fmt.Fprintf(&b, " (%d %x)", x.Time, math.Float64bits(x.Value))
		}
		for _, x := range s.Histograms {
			fmt.Fprintf(&b, " (%d %v %v)", x.Time, x.Int, x.Float)
			if x.Int != nil {
				fmt.Fprintf(&b, " sum %x", math.Float64bits(x.Int.Sum))
			}
		}
		for _, x := range s.Exemplars {
			fmt.Fprintf(&b, " (%d %x %q)", x.Time, math.Float64bits(x.Value), x.Labels)
		}
		out = append(out, b.String())
	}
	for _, m := range c.batch.Metadata {
		out = append(out, fmt.Sprintf("%q", m))
	}
	return append(out, fmt.Sprintf("refused %+v", c.refused.Refusals))
}

// pair is a converter and its reference, each with its own delta state.
type pair struct {
	fast *converter
	ref  refConverter
}

func newPair(opts Options) *pair {
	a, b := New(opts), New(opts)
	return &pair{&converter{opts: &a.opts, deltas: &a.deltas}, refConverter{&converter{opts: &b.opts, deltas: &b.deltas}}}
}

// convert converts body and md, which are the same, and returns what the batches hold.
func (p *pair) convert(body []byte, md pmetric.Metrics) (fast, ref []string, err error) {
	p.fast.reset("t", 0)
	p.ref.reset("t", 0)
	defer p.fast.release()
	defer p.ref.release()
	err = p.fast.convert(body)
	p.ref.convert(md)
	return dumpMetrics(p.fast), dumpMetrics(p.ref.converter), err
}

func TestMetricsMatchReference(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			p := newPair(Options{ScopeLabels: seed%2 == 1, MaxDeltaSeries: 40, Promote: []string{"service.name", "host.name"}})
			for range 40 { // deltas add up
				md := wildMetrics(r)
				body := metricsBody(t, md)
				if r.IntN(2) == 0 {
					body = encodeAgain(t, body, new(collectormetrics.ExportMetricsServiceRequest))
				}
				fast, ref, err := p.convert(body, md)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(ref, fast); diff != "" {
					t.Fatalf("(-reference +ours):\n%s", diff)
				}
			}
		})
	}
}

// encodeAgain encodes a message as SDKs do: protobuf's own encoder writes the fields in
// order, the Collector's the last one first.
func encodeAgain(t *testing.T, body []byte, msg proto.Message) []byte {
	t.Helper()
	if err := (proto.UnmarshalOptions{AllowPartial: true}).Unmarshal(body, msg); err != nil {
		if strings.Contains(err.Error(), "UTF-8") { // which the Collector does not mind
			return body
		}
		t.Fatal(err)
	}
	out, err := proto.Marshal(msg)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// wildMetrics makes metrics that are valid protobuf and not much more.
func wildMetrics(r *rand.Rand) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for range r.IntN(3) {
		rm := md.ResourceMetrics().AppendEmpty()
		wildAttrs(r, rm.Resource().Attributes())
		for range r.IntN(4) {
			sm := rm.ScopeMetrics().AppendEmpty()
			sm.SetSchemaUrl([]string{"", "https://schema"}[r.IntN(2)])
			sm.Scope().SetName([]string{"", "lib", scrapeScope}[r.IntN(3)])
			sm.Scope().SetVersion([]string{"", "1"}[r.IntN(2)])
			wildAttrs(r, sm.Scope().Attributes())
			for range r.IntN(8) {
				m := sm.Metrics().AppendEmpty()
				m.SetName([]string{"a.b", "c", "", "...", "x_total"}[r.IntN(5)])
				m.SetUnit([]string{"", "s", "By/s"}[r.IntN(3)])
				m.SetDescription([]string{"", "help \xff"}[r.IntN(2)])
				m.Metadata().PutStr("prometheus.type", "counter")
				wildData(r, m)
			}
		}
	}
	return md
}

// wildAttrs adds attributes of every kind, some of them twice.
func wildAttrs(r *rand.Rand, attrs pcommon.Map) {
	if r.IntN(2) == 0 {
		return
	}
	names := []string{"service.name", "service.namespace", "service.instance.id", "host.name", "__name__", "a.b", "a_b", "", "url.scheme", "k\xff"}
	for range r.IntN(5) {
		name := names[r.IntN(len(names))]
		wildValue(r, attrs.PutEmpty(name), 0)
	}
}

func wildValue(r *rand.Rand, v pcommon.Value, depth int) {
	doubles := []float64{0, 1, -0.5, 1e21, 123456789e12, 1e-7, 5e-324, 1.5e300, math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1)}
	switch k := r.IntN(9); {
	case k == 1:
		v.SetInt([]int64{0, 200, -1, math.MaxInt64, math.MinInt64}[r.IntN(5)])
	case k == 2:
		v.SetBool(r.IntN(2) == 0)
	case k == 3:
		v.SetDouble(doubles[r.IntN(len(doubles))])
	case k == 4:
		v.SetEmptyBytes().FromRaw([]byte("bytes \xff\x00")[:r.IntN(8)])
	case k == 5 && depth < 4:
		s := v.SetEmptySlice()
		for range r.IntN(3) {
			wildValue(r, s.AppendEmpty(), depth+1)
		}
	case k == 6 && depth < 4:
		m := v.SetEmptyMap()
		for range r.IntN(3) {
			wildValue(r, m.PutEmpty([]string{"x", "y", "", "z.<>"}[r.IntN(4)]), depth+1)
		}
	case k == 7:
	default:
		v.SetStr([]string{"", "v", "two words", "\xff", "<html>&", "é\u2028"}[r.IntN(6)])
	}
}

// pointOf is what all kinds of data points have.
type pointOf interface {
	Attributes() pcommon.Map
	SetTimestamp(pcommon.Timestamp)
	SetStartTimestamp(pcommon.Timestamp)
	SetFlags(pmetric.DataPointFlags)
}

func wildPoint(r *rand.Rand, p pointOf) {
	wildAttrs(r, p.Attributes())
	p.SetTimestamp(pcommon.Timestamp(1_700_000_000_000_000_000 + r.Int64N(1e15)))
	if r.IntN(8) == 0 {
		p.SetTimestamp([]pcommon.Timestamp{0, math.MaxUint64, 1e9}[r.IntN(3)])
	}
	p.SetStartTimestamp(pcommon.Timestamp(max(r.Int64N(4)-2, 0) * 1e9))
	p.SetFlags(pmetric.DataPointFlags([]uint32{0, 0, 0, 1, 2, 3}[r.IntN(6)]))
}

func wildData(r *rand.Rand, m pmetric.Metric) {
	temporality := pmetric.AggregationTemporality(r.IntN(4))
	number := func(p pmetric.NumberDataPoint) {
		wildPoint(r, p)
		switch r.IntN(3) {
		case 0:
			p.SetIntValue(r.Int64() - r.Int64())
		case 1:
			p.SetDoubleValue([]float64{r.Float64(), math.NaN(), math.Inf(1)}[r.IntN(3)])
		}
		randomExemplars(r, p.Exemplars(), 5e9)
	}
	n := r.IntN(4)
	switch r.IntN(6) {
	case 0:
		g := m.SetEmptyGauge()
		for range n {
			number(g.DataPoints().AppendEmpty())
		}
	case 1:
		s := m.SetEmptySum()
		s.SetAggregationTemporality(temporality)
		s.SetIsMonotonic(r.IntN(2) == 0)
		for range n {
			number(s.DataPoints().AppendEmpty())
		}
	case 2:
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(temporality)
		for range n {
			p := h.DataPoints().AppendEmpty()
			wildPoint(r, p)
			p.ExplicitBounds().FromRaw([][]float64{{0.005, 1, 2.5, 1e6}, {0, math.Inf(1)}, {math.Copysign(0, -1), 1e300}, {math.NaN(), 1}}[r.IntN(4)][:r.IntN(3)])
			p.BucketCounts().FromRaw([]uint64{1, 0, 3, 4, 5}[:r.IntN(6)])
			p.SetCount(r.Uint64N(100))
			if r.IntN(2) == 0 {
				p.SetSum(r.Float64())
			}
			randomExemplars(r, p.Exemplars(), 5e9)
		}
	case 3:
		h := m.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(temporality)
		for range n {
			p := h.DataPoints().AppendEmpty()
			wildPoint(r, p)
			randomExponential(r, p)
			p.SetScale(int32(r.IntN(30) - 8))
			p.SetZeroThreshold(0.1)
			randomExemplars(r, p.Exemplars(), 5e9)
		}
	case 4:
		s := m.SetEmptySummary()
		for range n {
			p := s.DataPoints().AppendEmpty()
			wildPoint(r, p)
			p.SetSum(r.Float64())
			p.SetCount(r.Uint64N(100))
			for range r.IntN(3) {
				q := p.QuantileValues().AppendEmpty()
				q.SetQuantile(r.Float64())
				q.SetValue(r.Float64())
			}
		}
	}
}

// theirs reports whether an error of ours is about what pdata lets pass: groups, numbers of
// more than 64 bits.
func theirs(err error) bool {
	for _, part := range []string{"wire type 3", "wire type 4", "field number", "longer than 64 bits"} {
		if strings.Contains(err.Error(), part) {
			return true
		}
	}
	return false
}

// FuzzMetrics demands of any bytes what the reference makes of them.
func FuzzMetrics(f *testing.F) {
	for seed := range uint64(12) {
		md := pmetric.NewMetrics()
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", "s")
		m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
		m.SetName("a.b")
		wildData(rand.New(rand.NewPCG(seed, 3)), m)
		f.Add(metricsBody(f, md))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if nesting.Proto(body) != nil {
			t.Skip()
		}
		req := pmetricotlp.NewExportRequest()
		wantErr := req.UnmarshalProto(body)
		if wantErr != nil {
			req = pmetricotlp.NewExportRequest()
		}
		fast, ref, err := newPair(Options{ScopeLabels: true}).convert(body, req.Metrics())
		switch {
		case err != nil && !errors.Is(err, model.ErrMalformed):
			t.Errorf("error %v is not about malformed bytes", err)
		case err != nil && wantErr == nil && !theirs(err):
			t.Errorf("error %v, but pdata reads it", err)
		case err == nil && wantErr == nil:
			if diff := cmp.Diff(ref, fast); diff != "" {
				t.Errorf("(-reference +ours):\n%s", diff)
			}
		}
	})
}

// dumpLogs writes all that is in a batch.
func dumpLogs(b *logrules.Builder) []string {
	var out []string
	for _, s := range b.Batch().Streams {
		out = append(out, fmt.Sprintf("%q", s.Labels))
		for _, e := range s.Entries {
			out = append(out, fmt.Sprintf("%d %q %q", e.Time, e.Line, e.Meta.Labels()))
		}
	}
	return append(out, fmt.Sprintf("received %d, refused %+v", b.Received(), b.Refused.Refusals))
}

func TestLogsMatchReference(t *testing.T) {
	for seed := range uint64(300) {
		ld := wildLogs(rand.New(rand.NewPCG(seed, 4)))
		var fast, ref logrules.Builder
		var rules *logrules.Rules
		if seed%3 == 0 {
			rules = &logrules.Rules{Services: logrules.ServiceLabels(), Levels: logrules.LevelFields(), SeverityLabel: true}
		}
		fast.Reset(time.Unix(1, 0), rules)
		ref.Reset(time.Unix(1, 0), rules)
		body := logsBody(t, ld)
		if seed%2 == 0 {
			body = encodeAgain(t, body, new(collectorlogs.ExportLogsServiceRequest))
		}
		n, err := AppendLogs(&fast, body)
		if err != nil || n != ld.ResourceLogs().Len() {
			t.Fatalf("%d resources, error %v", n, err)
		}
		refLogs(&ref, ld)
		if diff := cmp.Diff(dumpLogs(&ref), dumpLogs(&fast)); diff != "" {
			t.Fatalf("seed %d (-reference +ours):\n%s", seed, diff)
		}
	}
}

func wildLogs(r *rand.Rand) plog.Logs {
	ld := plog.NewLogs()
	for range r.IntN(3) {
		rl := ld.ResourceLogs().AppendEmpty()
		wildAttrs(r, rl.Resource().Attributes())
		for range r.IntN(3) {
			sl := rl.ScopeLogs().AppendEmpty()
			sl.Scope().SetName([]string{"", "lib"}[r.IntN(2)])
			sl.Scope().SetVersion([]string{"", "1"}[r.IntN(2)])
			sl.Scope().SetDroppedAttributesCount(uint32(r.IntN(2)))
			wildAttrs(r, sl.Scope().Attributes())
			for range r.IntN(5) {
				lr := sl.LogRecords().AppendEmpty()
				lr.SetTimestamp(pcommon.Timestamp(r.IntN(2) * 1e9))
				lr.SetObservedTimestamp(pcommon.Timestamp(r.IntN(2) * 2e9))
				lr.SetSeverityNumber(plog.SeverityNumber(r.IntN(30) - 3))
				lr.SetSeverityText([]string{"", "warning", "odd"}[r.IntN(3)])
				lr.SetTraceID([16]byte{3: byte(r.IntN(2))})
				lr.SetSpanID([8]byte{3: byte(r.IntN(2))})
				lr.SetFlags(plog.LogRecordFlags(r.IntN(2)))
				lr.SetDroppedAttributesCount(uint32(r.IntN(2)))
				lr.SetEventName([]string{"", "event"}[r.IntN(2)])
				wildAttrs(r, lr.Attributes())
				wildValue(r, lr.Body(), 0)
			}
		}
	}
	return ld
}

// FuzzLogs demands of any bytes what the reference makes of them.
func FuzzLogs(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(logsBody(f, wildLogs(rand.New(rand.NewPCG(seed, 5)))))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if nesting.Proto(body) != nil {
			t.Skip()
		}
		req := plogotlp.NewExportRequest()
		wantErr := req.UnmarshalProto(body)
		var fast, ref logrules.Builder
		fast.Reset(time.Unix(1, 0), nil)
		ref.Reset(time.Unix(1, 0), nil)
		_, err := AppendLogs(&fast, body)
		switch {
		case err != nil && !errors.Is(err, model.ErrMalformed):
			t.Errorf("error %v is not about malformed bytes", err)
		case err != nil && wantErr == nil && !theirs(err):
			t.Errorf("error %v, but pdata reads it", err)
		case err == nil && wantErr == nil:
			refLogs(&ref, req.Logs())
			if diff := cmp.Diff(dumpLogs(&ref), dumpLogs(&fast)); diff != "" {
				t.Errorf("(-reference +ours):\n%s", diff)
			}
		}
	})
}

// TestMalformedStoresNothing cuts requests off at every byte. What is no longer a message
// is refused whole, with the place, and leaves no trace in the delta state.
func TestMalformedStoresNothing(t *testing.T) {
	md := deltaSum(10, 20, 5)
	randomMetrics(rand.New(rand.NewPCG(7, 7))).ResourceMetrics().MoveAndAppendTo(md.ResourceMetrics())
	whole := metricsBody(t, md)
	var ends []int // where one resource ends
	for n := 0; n < len(whole); {
		ends = append(ends, n)
		_, _, size := protowire.ConsumeField(whole[n:])
		n += size
	}
	var got recorder
	for n := range whole {
		w := New(Options{Metrics: &got})
		got.lines = nil
		_, err := w.WriteMetrics(t.Context(), "t", whole[:n])
		if err == nil && slices.Contains(ends, n) {
			continue
		}
		if !errors.Is(err, model.ErrMalformed) || !strings.Contains(err.Error(), "at byte ") || !strings.Contains(err.Error(), "ExportMetricsServiceRequest") {
			t.Errorf("%d of %d bytes: error %v", n, len(whole), err)
		}
		if len(got.lines) > 0 || len(w.deltas.series) > 0 {
			t.Errorf("%d of %d bytes: stored %q, %d delta series", n, len(whole), got.lines, len(w.deltas.series))
		}
	}
	logs := logsBody(t, wildLogs(rand.New(rand.NewPCG(8, 7))))
	if _, err := New(Options{Logs: refusing{t}}).WriteLogs(t.Context(), "t", logs[:len(logs)-1]); !errors.Is(err, model.ErrMalformed) || !strings.Contains(err.Error(), "at byte ") {
		t.Errorf("logs: error %v", err)
	}
}
