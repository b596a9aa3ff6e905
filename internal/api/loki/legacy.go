package loki

import (
	"net/http"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/logql"
)

// legacyPrefix begins the paths that Loki had before /loki/api/v1. Old Grafana and logcli
// ask there; their answers have a form of their own.
const legacyPrefix = "/api/prom"

// legacyQuery answers /api/prom/query: a log query over a range. Streams are named by the
// text of their labels, times are RFC 3339.
func (a *API) legacyQuery(w http.ResponseWriter, r *http.Request) error {
	if r.FormValue("regexp") != "" {
		return api.Invalid("parameter regexp is not supported, write it into the query: {...} |~ \"...\"")
	}
	src, err := a.source(r)
	if err != nil {
		return err
	}
	e, err := logql.Parse(r.FormValue("query"))
	if err != nil {
		return err
	}
	if logql.IsMetric(e) {
		return api.Invalid("%s/query takes log queries only; ask /loki/api/v1/query or /loki/api/v1/query_range", legacyPrefix)
	}
	p, err := a.rangeParams(r, e, src.limits)
	if err != nil {
		return err
	}
	return a.evaluate(w, r, src, e, p, writeLegacy)
}

func writeLegacy(w http.ResponseWriter, out *outcome) error {
	e := newEncoder(w)
	e.raw(`{"streams":[`)
	returned := 0
	for i := range out.res.Streams {
		s := &out.res.Streams[i]
		if i > 0 {
			e.raw(`,`)
		}
		e.raw(`{"labels":`)
		e.b = appendString(e.b, s.Labels.String())
		e.raw(`,"entries":[`)
		for j := range s.Entries {
			if j > 0 {
				e.raw(`,`)
			}
			e.raw(`{"ts":"`)
			e.b = time.Unix(0, s.Entries[j].Time).UTC().AppendFormat(e.b, time.RFC3339Nano)
			e.raw(`","line":`)
			e.b = appendString(e.b, s.Entries[j].Line)
			e.raw(`}`)
			e.spill()
		}
		e.raw(`]}`)
		returned += len(s.Entries)
	}
	e.raw(`],"stats":`)
	e.b = appendStats(e.b, &out.stats, returned)
	e.raw("}\n")
	return e.close()
}

// namesKey is the key of a list of names in the answer to r.
func namesKey(r *http.Request) string {
	if strings.Contains(r.URL.Path, legacyPrefix+"/") {
		return "values"
	}
	return "data"
}
