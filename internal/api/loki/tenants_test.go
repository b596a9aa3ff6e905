package loki

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestSeveralTenants reads the logs of two tenants at once.
func TestSeveralTenants(t *testing.T) {
	s := newTest(t, Options{Tenancy: api.Tenancy{Enabled: true}})
	s.push("A", `{app="m"}`, 1, "of A", 3, "of A again")
	s.push("B", `{app="m", __tenant_id__="zz"}`, 2, "of B")
	entries := func(want ...string) string { return strings.Join(want, ",") }
	a := `{"stream":{"__tenant_id__":"A","app":"m","user":"u1"},"values":[["BASE3000000000","of A again"],["BASE1000000000","of A"]]}`
	b := `{"stream":{"__tenant_id__":"B","app":"m","original___tenant_id__":"zz","user":"u1"},"values":[["BASE2000000000","of B"]]}`
	for _, tt := range []struct{ name, path, tenants, query, want string }{
		{"log query", "query_range", "B|A", `{app="m"}`, `{"status":"success","data":{"resultType":"streams","result":[` + entries(a, b) + `]}}`},
		{"one of them", "query_range", "B|A", `{app="m",__tenant_id__="A"}`, `{"status":"success","data":{"resultType":"streams","result":[` + a + `]}}`},
		{"none of them", "query_range", "B|A", `{app="m",__tenant_id__=~"C.*"}`, `{"status":"success","data":{"resultType":"streams","result":[]}}`},
		{"renamed label", "query_range", "B|A", `{app="m",original___tenant_id__="zz"}`, `{"status":"success","data":{"resultType":"streams","result":[` + b + `]}}`},
		{
			"the same twice", "query_range", "A|A", `{app="m"}`,
			`{"status":"success","data":{"resultType":"streams","result":[` + strings.Replace(a, `"__tenant_id__":"A",`, "", 1) + `]}}`,
		},
		{"a single tenant has no such label", "query_range", "A", `{app="m",__tenant_id__="A"}`, `{"status":"success","data":{"resultType":"streams","result":[]}}`},
		{
			"by tenant", "query", "A|B", `sum by (__tenant_id__) (count_over_time({app="m"}[20m]))`,
			`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__tenant_id__":"A"},"value":[BASE9,"2"]},{"metric":{"__tenant_id__":"B"},"value":[BASE9,"1"]}]}}`,
		},
		{"together", "query", "A|B", `sum(count_over_time({app="m"}[20m]))`, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[BASE9,"3"]}]}}`},
		{"labels", "labels", "A|B", "", `{"status":"success","data":["__tenant_id__","app","original___tenant_id__"]}`},
		{"values of the tenant label", "label/__tenant_id__/values", "A|B", "", `{"status":"success","data":["A","B"]}`},
		{"the same of one tenant", "label/__tenant_id__/values", "A", "", `{"status":"success","data":["A"]}`},
		{"values", "label/app/values", "A|B", "", `{"status":"success","data":["m"]}`},
		{"stats", "index/stats", "A|B", `{app="m"}`, `{"streams":2,"chunks":2,"bytes":36,"entries":3}`},
		{
			"volume", "index/volume", "A|B", `{app="m"}`,
			`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"app":"m"},"value":[BASE9,"36"]}]}}`,
		},
		{"detected labels", "detected_labels", "A|B", `{app="m"}`, `{"detectedLabels":[{"label":"__tenant_id__","cardinality":2},{"label":"app","cardinality":1},{"label":"original___tenant_id__","cardinality":1}]}`},
		{"detected fields", "detected_fields", "A|B", `{app="m"}`, `{"fields":[{"label":"user","type":"string","cardinality":1,"parsers":null}],"limit":1000}`},
		{"patterns", "patterns", "A|B", `{app="m"} `, `{"status":"success","data":[{"pattern":"of <_>","samples":[[BASE0,2]]},{"pattern":"of A again","samples":[[BASE0,1]]}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := params("start", at(0), "end", at(9), "time", at(9))
			if tt.query != "" {
				q.Set("query", tt.query)
			}
			code, body := s.get(tt.path, q, api.TenantHeader, tt.tenants)
			if code != http.StatusOK {
				t.Fatalf("status %d: %s", code, body)
			}
			equalJSON(t, body, tt.want)
		})
	}
	if code, body := s.get("tail", params("query", `{app="m"}`), api.TenantHeader, "A|B"); code != http.StatusBadRequest || !strings.Contains(body, "multiple org IDs") {
		t.Errorf("tail: %d %s", code, body)
	}
}

// TestUnionAgainstOneStore compares queries over three tenants with the same entries in a
// store of one, whose streams have the label from the start.
func TestUnionAgainstOneStore(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	many, one := storetest.NewLogs(), storetest.NewLogs()
	tenants := []model.Tenant{"a", "b", "c"}
	for i := range 2000 {
		tenant := tenants[rnd.IntN(len(tenants))]
		e := []store.LogEntry{{Time: base*1e9 + int64(i)*1e7, Line: fmt.Sprintf("line %d", rnd.IntN(50))}}
		if i%3 == 0 {
			e[0].Line = fmt.Sprintf(`{"n":%d}`, rnd.IntN(50))
		}
		app := model.Label{Name: "app", Value: fmt.Sprint(rnd.IntN(4))}
		for s, ls := range map[*storetest.Logs]model.Labels{
			many: {app}, one: model.NewLabels(app, model.Label{Name: tenantLabel, Value: string(tenant)}),
		} {
			to := tenant
			if s == one {
				to = "all"
			}
			if err := s.Append(t.Context(), to, &store.LogBatch{Streams: []store.LogStream{{Labels: ls, Entries: e}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	u := &tenantUnion{tenants: tenants, reader: many, index: many}
	got, want := &logql.Engine{Reader: u, Index: u}, &logql.Engine{Reader: one, Index: one}
	for _, text := range []string{
		`{app=~".+"}`, `{app=~".+"} |= "line 7"`, `{app="1",__tenant_id__!="b"}`, `{app=~".+"} | __tenant_id__=~"a|c" |= "1"`,
		`sum by (n) (count_over_time({app=~".+"} | json | __error__="" [5s]))`,
		`sum by (__tenant_id__, app) (rate({app=~".+"}[5s]))`, `topk(2, count_over_time({app=~".+"} |= "3" [3s]))`,
	} {
		e, err := logql.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []logql.Params{
			{Direction: store.Backward, Limit: 10, Step: time.Second}, {Direction: store.Forward, Limit: 100, Step: 3 * time.Second}, {Direction: store.Backward, Step: time.Second},
		} {
			p.Start, p.End = base*1e9, (base+20)*1e9
			w, err1 := want.Query(t.Context(), "all", e, p)
			g, err2 := got.Query(t.Context(), "a|b|c", e, p)
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			if diff := cmp.Diff(w, g); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", text, diff)
			}
		}
	}
}
