package tracestore

import (
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"
	xentity "go.opentelemetry.io/collector/pdata/xpdata/entity"

	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestOwnersAsPdataWritesThem holds the messages of resources and scopes to pdata's: they
// are compared as bytes, with those of parts written before, too.
func TestOwnersAsPdataWritesThem(t *testing.T) {
	td := ptrace.NewTraces()
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	rs := td.ResourceSpans().AppendEmpty()
	rs.SetSchemaUrl("https://schema")
	rs.Resource().SetDroppedAttributesCount(300)
	m := rs.Resource().Attributes()
	m.PutStr("service.name", "shop")
	m.PutStr("", "")
	m.PutInt("int", -7)
	m.PutDouble("double", 1.5)
	m.PutBool("yes", true)
	m.PutBool("no", false)
	m.PutEmpty("none")
	m.PutEmptyBytes("bytes").FromRaw([]byte{0, 1, 255})
	list := m.PutEmptySlice("list")
	list.AppendEmpty().SetStr("a text that makes the list longer than a length of one byte can tell, which is 127 bytes; and it goes on a little to get there")
	list.AppendEmpty().SetEmptyMap().PutInt("x", 1)
	list.AppendEmpty()
	m.PutEmptySlice("empty list")
	m.PutEmptyMap("empty map")
	e := xentity.ResourceEntityRefs(rs.Resource()).AppendEmpty()
	e.SetType("service")
	e.SetSchemaUrl("s")
	e.IdKeys().Append("service.name", "")
	e.DescriptionKeys().Append("int")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.SetSchemaUrl("https://scope")
	ss.Scope().SetName("lib")
	ss.Scope().SetVersion("1")
	ss.Scope().SetDroppedAttributesCount(1)
	m.CopyTo(ss.Scope().Attributes())

	res, scopes := encodeOwners(storetest.Spans(td))
	for i, rs := range td.ResourceSpans().All() {
		one := ptrace.NewTraces()
		c := one.ResourceSpans().AppendEmpty()
		rs.Resource().CopyTo(c.Resource())
		c.SetSchemaUrl(rs.SchemaUrl())
		if want := marshal(t, one); res[i] != want {
			t.Errorf("resource %d is\n%q, want\n%q", i, res[i], want)
		}
		one = ptrace.NewTraces()
		sc := one.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
		rs.ScopeSpans().At(0).Scope().CopyTo(sc.Scope())
		sc.SetSchemaUrl(rs.ScopeSpans().At(0).SchemaUrl())
		if want := marshal(t, one); scopes[i] != want {
			t.Errorf("scope %d is\n%q, want\n%q", i, scopes[i], want)
		}
	}
}

func marshal(t *testing.T, td ptrace.Traces) string {
	t.Helper()
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
