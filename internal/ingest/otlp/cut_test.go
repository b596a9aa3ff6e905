package otlp

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store/spans"
)

type traceWriter func(*spans.Batch)

func (w traceWriter) Append(_ context.Context, _ model.Tenant, b *spans.Batch) error {
	w(b)
	return nil
}

// TestCut sends attributes around the limit on every owner, as two tenants.
func TestCut(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	ss := rs.ScopeSpans().AppendEmpty()
	s := ss.Spans().AppendEmpty()
	for _, m := range []pcommon.Map{rs.Resource().Attributes(), ss.Scope().Attributes(), s.Attributes(), s.Events().AppendEmpty().Attributes(), s.Links().AppendEmpty().Attributes()} {
		m.PutStr("fits", "1234567890")
		m.PutStr("k", "1234567890a")
		m.PutStr("character", "12345678é") // 8 and 2 bytes
		m.PutStr("characters", "123456789é")
		m.PutInt("longer key", 5)
		m.PutInt("longer key!", 6)
		m.PutEmptyBytes("bytes").FromRaw(make([]byte, 11))
		m.PutEmptySlice("list").AppendEmpty().SetStr("1234567890a")
	}
	var got []string
	reg := prometheus.NewRegistry()
	w := New(Options{
		MaxAttribute: func(tenant model.Tenant) int { return map[model.Tenant]int{"short": 10}[tenant] },
		Registerer:   reg,
		Traces: traceWriter(func(b *spans.Batch) {
			got = nil
			for i := range b.Attrs {
				a := &b.Attrs[i]
				got = append(got, a.Key+"="+b.Text(&a.Value))
			}
		}),
	})
	for tenant, want := range map[model.Tenant][]string{
		"short": {"fits=1234567890", "k=1234567890", "character=12345678é", "characters=123456789", "longer key=5", "longer key=6", "bytes=AAAAAAAAAAAAAAA=", `list=["1234567890a"]`},
		"long":  {"fits=1234567890", "k=1234567890a", "character=12345678é", "characters=123456789é", "longer key=5", "longer key!=6", "bytes=AAAAAAAAAAAAAAA=", `list=["1234567890a"]`},
	} {
		if _, err := w.WriteTraces(t.Context(), tenant, tracesBody(t, td)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Repeat(strings.Join(want, "\n")+"\n", 5), strings.Join(got, "\n")+"\n"); diff != "" {
			t.Errorf("as %s (-want +got):\n%s", tenant, diff)
		}
	}
	counts := map[string]float64{}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "pharos_ingest_attributes_cut_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			counts[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	if diff := cmp.Diff(map[string]float64{"resource": 3, "scope": 3, "span": 3, "event": 3, "link": 3}, counts); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}
