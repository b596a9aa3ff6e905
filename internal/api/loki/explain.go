package loki

import (
	"context"
	"net/http"

	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/store"
)

// explained is what one selector of a query would read.
type explained struct {
	Selector string   `json:"selector"`
	Start    int64    `json:"start,string"` // Unix nanoseconds
	End      int64    `json:"end,string"`
	Streams  int      `json:"streams"`
	Blocks   int64    `json:"blocks"`
	Entries  int64    `json:"entries"`
	Bytes    int64    `json:"bytes"`
	Limited  bool     `json:"stopsAtLimit"`
	Pushed   []string `json:"pushedDown,omitempty"` // filters that the store evaluates
}

// explain answers a query that has explain=1 with its price instead of its result.
func (a *API) explain(w http.ResponseWriter, r *http.Request, src *source, text string, e logql.Expr, p logql.Params) error {
	var reads []logql.Read
	_, err := a.do(r, src, text, func(ctx context.Context, acct *store.Account) (err error) {
		p.Account = acct
		reads, err = src.engine.Explain(ctx, src.name, e, p)
		return err
	})
	if err != nil {
		return err
	}
	out := struct {
		Query string      `json:"query"`
		Reads []explained `json:"reads"`
		Bytes int64       `json:"totalBytes"`
	}{Query: logql.Format(e), Reads: []explained{}}
	for _, x := range reads {
		ex := explained{
			Selector: x.Selector, Start: x.Range.From, End: x.Range.To, Streams: x.Streams, Blocks: x.Blocks,
			Entries: x.Entries, Bytes: x.Bytes, Limited: x.Limited,
		}
		for _, f := range x.Lines {
			ex.Pushed = append(ex.Pushed, lineFilterText(f))
		}
		for _, f := range x.Fields {
			ex.Pushed = append(ex.Pushed, "metadata "+f.String())
		}
		out.Reads = append(out.Reads, ex)
		out.Bytes += x.Bytes
	}
	return writeJSON(w, map[string]any{"status": "success", "data": out})
}

// lineFilterText describes a line filter of the store.
func lineFilterText(f store.LineFilter) string {
	text := "line contains"
	switch {
	case f.Negate && f.Regexp:
		text = "line does not match"
	case f.Negate:
		text = "line does not contain"
	case f.Regexp:
		text = "line matches"
	}
	for i, p := range f.Patterns {
		if i > 0 {
			text += " or"
		}
		text += " " + string(appendString(nil, p))
	}
	return text
}
