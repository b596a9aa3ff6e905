package native

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Bounds of the entries around one.
const (
	contextDefault = 10
	contextMost    = 1000
)

// contextEntry is an entry of an answer.
type contextEntry struct {
	Time int64             `json:"time,string"` // Unix nanoseconds
	Line string            `json:"line"`
	Meta map[string]string `json:"metadata,omitempty"`
}

// contextQuery is a request for the entries around one of a stream.
type contextQuery struct {
	stream        model.Labels
	at            int64
	line          string
	before, after int
}

func contextParams(r *http.Request) (*contextQuery, error) {
	q := &contextQuery{line: r.FormValue("line")}
	ms, err := logql.ParseSelector(r.FormValue("stream"), false)
	if err != nil {
		return nil, err
	}
	for _, m := range ms {
		if m.Type != model.MatchEqual {
			return nil, api.Invalid("stream %s: name one stream by all of its labels, with = only", r.FormValue("stream"))
		}
		q.stream = append(q.stream, model.Label{Name: m.Name, Value: m.Value})
	}
	q.stream = model.NewLabels(q.stream...)
	if q.at, err = strconv.ParseInt(r.FormValue("time"), 10, 64); err != nil {
		return nil, api.Invalid("time %q: want Unix nanoseconds", r.FormValue("time"))
	}
	for name, n := range map[string]*int{"before": &q.before, "after": &q.after} {
		*n = contextDefault
		if s := r.FormValue(name); s != "" {
			if *n, err = strconv.Atoi(s); err != nil || *n < 0 || *n > contextMost {
				return nil, api.Invalid("%s=%s: want a number from 0 to %d", name, s, contextMost)
			}
		}
	}
	return q, nil
}

// logContext answers /api/pharos/v1/logs/context: the entries before and after one in its
// stream, whatever a query would have left out. Parameters: stream, a selector with all
// labels of the stream; time, Unix nanoseconds; line, which tells entries of one time apart;
// before and after, how many.
func (a *API) logContext(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	q, err := contextParams(r)
	if err != nil {
		return err
	}
	var before, at, after []contextEntry
	req := query.Request{Tenant: tenant, Language: "logql", Text: "context of " + q.stream.String()}
	_, err = a.Door.Do(r.Context(), req, func(ctx context.Context, acct *store.Account) (err error) {
		read := func(rng model.TimeRange, d store.Direction, n int) (es []contextEntry) {
			if err == nil && n > 0 {
				es, err = q.read(ctx, a.Logs, tenant, store.LogSelector{Range: rng, Direction: d, Account: acct}, n)
			}
			return es
		}
		at = read(model.TimeRange{From: q.at, To: q.at + 1}, store.Forward, contextMost)
		before = read(model.TimeRange{From: -1 << 62, To: q.at}, store.Backward, q.before)
		after = read(model.TimeRange{From: q.at + 1, To: 1 << 62}, store.Forward, q.after)
		return err
	})
	if err != nil {
		return err
	}
	slices.Reverse(before)
	i := slices.IndexFunc(at, func(e contextEntry) bool { return q.line == "" || e.Line == q.line })
	out := map[string]any{"stream": q.stream.Map(), "entry": nil}
	if i >= 0 {
		out["entry"] = at[i]
		before = append(before, at[:i]...)
		after = append(slices.Clone(at[i+1:]), after...)
	} else {
		before = append(before, at...)
	}
	before = before[max(0, len(before)-q.before):]
	after = after[:min(len(after), q.after)]
	out["before"], out["after"] = append([]contextEntry{}, before...), append([]contextEntry{}, after...)
	return writeJSON(w, out)
}

// read returns the first n entries of exactly the stream of q.
func (q *contextQuery) read(ctx context.Context, logs store.LogReader, tenant model.Tenant, sel store.LogSelector, n int) ([]contextEntry, error) {
	for _, l := range q.stream {
		m, err := model.NewMatcher(model.MatchEqual, l.Name, l.Value)
		if err != nil {
			return nil, err
		}
		sel.Matchers = append(sel.Matchers, m)
	}
	var out []contextEntry
	for b, err := range logs.Select(ctx, tenant, sel) {
		if err != nil {
			return nil, err
		}
		if !b.Stream.Equal(q.stream) {
			continue // it has more labels
		}
		for i := range b.Times {
			if len(out) == n {
				return out, nil
			}
			e := contextEntry{Time: b.Times[i], Line: strings.Clone(b.Lines[i])}
			if meta := b.Row(i, nil); len(meta) > 0 {
				e.Meta = meta.Clone().Map()
			}
			out = append(out, e)
		}
		if len(out) == n {
			break
		}
	}
	return out, nil
}
