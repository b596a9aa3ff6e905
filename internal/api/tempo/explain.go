package tempo

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/traceql"
)

// explained is what one pipeline of a query would read.
type explained struct {
	Query  string   `json:"query"`
	Start  int64    `json:"start,string"` // Unix nanoseconds
	End    int64    `json:"end,string"`
	Pushed []string `json:"pushedDown,omitempty"` // what the store evaluates: any of them
	Files  int      `json:"blocks"`
	Groups int      `json:"rowGroups"`
	Pruned int      `json:"prunedRowGroups"`
	Spans  int64    `json:"spans"`
	Filter int64    `json:"filterBytes"`
	Rows   int64    `json:"rowBytes"`
	Again  bool     `json:"readsResultsAgain"`
}

// isExplain reports whether a request asks for the price of a query, not for its result.
func isExplain(q url.Values) bool { return q.Get("explain") == "1" || q.Get("explain") == "true" }

// explain answers with the price of e as a metrics query, or, without a grid, as a search.
// What Tempo calls a block is a file.
func (a *API) explain(w http.ResponseWriter, r *http.Request, e *traceql.Expr, p traceql.Params, grid *traceql.MetricParams) error {
	out := struct {
		Query string      `json:"query"`
		Reads []explained `json:"reads"`
		Bytes int64       `json:"totalBytes"`
	}{Query: e.String(), Reads: []explained{}}
	_, err := a.do(w, r, out.Query, func(ctx context.Context, tenants []model.Tenant, acct *store.Account) error {
		p.Account = acct
		for _, t := range tenants {
			reads, err := traceql.Price(ctx, a.Index, t, e, p, grid)
			if err != nil {
				return err
			}
			for _, x := range reads {
				out.Reads = append(out.Reads, explainRead(x))
				out.Bytes += x.Price.Filter + x.Price.Rows
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	b, err := json.Marshal(out)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(b)
	return err
}

func explainRead(x traceql.Read) explained {
	out := explained{
		Query: x.Query, Start: x.Range.From, End: x.Range.To, Files: x.Price.Files, Groups: x.Price.Blocks, Pruned: x.Price.Pruned,
		Spans: x.Price.Spans, Filter: x.Price.Filter, Rows: x.Price.Rows, Again: x.Again,
	}
	for _, all := range x.Pushed {
		out.Pushed = append(out.Pushed, strings.Join(all, " && "))
	}
	return out
}
