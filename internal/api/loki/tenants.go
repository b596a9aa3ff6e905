package loki

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Labels of an answer that is made of several tenants' data.
const (
	tenantLabel   = "__tenant_id__"
	originalLabel = "original_" + tenantLabel // a label of that name that a stream had before
)

// source is whose data a request reads, through what, and within what limits.
type source struct {
	tenants []model.Tenant // sorted, unique
	name    model.Tenant   // of all of them, for admission and lists of queries
	reader  store.LogReader
	index   store.LogIndex
	engine  *logql.Engine
	limits  Limits
}

// source returns what r reads. X-Scope-OrgID may name several tenants, separated by "|".
func (a *API) source(r *http.Request) (*source, error) {
	tenants, err := a.Tenancy.ReadTenants(r)
	if err != nil {
		return nil, err
	}
	s := &source{tenants: tenants, name: tenants[0], reader: a.Reader, index: a.Index, engine: a.engine, limits: a.limits(tenants)}
	if len(tenants) > 1 {
		names := make([]string, len(tenants))
		for i, t := range tenants {
			names[i] = string(t)
		}
		m := &tenantUnion{tenants: tenants, reader: a.Reader, index: a.Index}
		s.name, s.reader, s.index = model.Tenant(strings.Join(names, "|")), m, m
		s.engine = &logql.Engine{Reader: m, Index: m, Now: a.Now}
		if a.Traces != nil {
			s.engine.Traces = func(ctx context.Context, _ model.Tenant, query string, r model.TimeRange, limit int, acct *store.Account) (all []string, err error) {
				for _, t := range tenants {
					ids, err := a.Traces(ctx, t, query, r, limit-len(all), acct)
					if err != nil {
						return nil, err
					}
					all = append(all, ids...)
				}
				return all, nil
			}
		}
	}
	return s, nil
}

// do runs f through the front door.
func (a *API) do(r *http.Request, s *source, text string, f func(ctx context.Context, acct *store.Account) error) (query.Stats, error) {
	return a.Door.Do(r.Context(), query.Request{Tenant: s.name, Language: "logql", Text: text, Timeout: s.limits.QueryTimeout}, f)
}

// tenantUnion shows the logs of several tenants as one store: every stream has the label
// __tenant_id__, and matchers on that label choose tenants. It takes no notice of the
// tenant in its arguments.
type tenantUnion struct {
	tenants []model.Tenant
	reader  store.LogReader
	index   store.LogIndex
}

// part is a selector for one of the tenants.
type tenantPart struct {
	tenant model.Tenant
	sel    store.LogSelector
}

// parts splits sel by tenant, leaving out those that its matchers on __tenant_id__ exclude.
func (u *tenantUnion) parts(sel store.LogSelector) []tenantPart {
	var chosen, rest []*model.Matcher
	for _, m := range sel.Matchers {
		switch m.Name {
		case tenantLabel:
			chosen = append(chosen, m)
		case originalLabel:
			own := *m
			own.Name = tenantLabel
			rest = append(rest, &own)
		default:
			rest = append(rest, m)
		}
	}
	sel.Matchers = rest
	var out []tenantPart
	for _, t := range u.tenants {
		if !slices.ContainsFunc(chosen, func(m *model.Matcher) bool { return !m.Matches(string(t)) }) {
			out = append(out, tenantPart{t, sel})
		}
	}
	return out
}

// label adds the tenant to the labels of one of its streams.
func (p *tenantPart) label(ls model.Labels) model.Labels {
	out := slices.Clone(ls)
	for i := range out {
		if out[i].Name == tenantLabel {
			out[i].Name = originalLabel
		}
	}
	return model.NewLabels(append(out, model.Label{Name: tenantLabel, Value: string(p.tenant)})...)
}

// tenantRows is the rows of one tenant during a Select.
type tenantRows struct {
	tenantPart
	next     func() (*store.LogRows, error, bool)
	frontier int64
	streams  map[uint64]model.Labels // with the tenant added
}

// Select implements [store.LogReader]. The tenant that is furthest behind comes next, so
// that a reader that stops early has read little of any.
func (u *tenantUnion) Select(ctx context.Context, _ model.Tenant, sel store.LogSelector) iter.Seq2[*store.LogRows, error] {
	return func(yield func(*store.LogRows, error) bool) {
		var open []*tenantRows
		begin := sel.Range.From
		if sel.Direction == store.Backward {
			begin = sel.Range.To - 1
		}
		for _, p := range u.parts(sel) {
			next, stop := iter.Pull2(u.reader.Select(ctx, p.tenant, p.sel))
			defer stop()
			open = append(open, &tenantRows{tenantPart: p, next: next, frontier: begin, streams: map[uint64]model.Labels{}})
		}
		behind := func(a, b *tenantRows) int {
			if sel.Direction == store.Backward {
				a, b = b, a
			}
			return cmp.Compare(a.frontier, b.frontier)
		}
		for len(open) > 0 {
			t := slices.MinFunc(open, behind)
			rows, err, ok := t.next()
			if err != nil {
				yield(nil, err)
				return
			}
			if !ok {
				open = slices.DeleteFunc(open, func(o *tenantRows) bool { return o == t })
				continue
			}
			t.frontier = rows.Frontier
			out := *rows
			if out.Stream = t.streams[rows.StreamID]; out.Stream == nil {
				out.Stream = t.label(rows.Stream)
				t.streams[rows.StreamID] = out.Stream
			}
			out.Origin = slices.Index(u.tenants, t.tenant)
			out.StreamID = rows.StreamID*uint64(len(u.tenants)) + uint64(out.Origin)
			out.Frontier = slices.MinFunc(open, behind).frontier
			if !yield(&out, nil) {
				return
			}
		}
	}
}

// errTailTenants refuses what Loki refuses, too.
var errTailTenants = errors.New("only one tenant can be tailed")

// Tail implements [store.LogReader].
func (u *tenantUnion) Tail(context.Context, model.Tenant, []*model.Matcher, func(*store.LogBatch, int) error) error {
	return errTailTenants
}

// Caps implements [store.LogReader].
func (u *tenantUnion) Caps() store.LogCaps { return u.reader.Caps() }

// LabelNames implements [store.LogIndex].
func (u *tenantUnion) LabelNames(ctx context.Context, _ model.Tenant, sel store.LogSelector) ([]string, error) {
	var all []string
	for _, p := range u.parts(sel) {
		names, err := u.index.LabelNames(ctx, p.tenant, p.sel)
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			continue
		}
		if i := slices.Index(names, tenantLabel); i >= 0 {
			names[i] = originalLabel
		}
		all = append(append(all, names...), tenantLabel)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// LabelValues implements [store.LogIndex].
func (u *tenantUnion) LabelValues(ctx context.Context, _ model.Tenant, name string, sel store.LogSelector) ([]string, error) {
	var all []string
	for _, p := range u.parts(sel) {
		of := name
		switch name {
		case tenantLabel:
			all = append(all, string(p.tenant))
			continue
		case originalLabel:
			of = tenantLabel
		}
		values, err := u.index.LabelValues(ctx, p.tenant, of, p.sel)
		if err != nil {
			return nil, err
		}
		all = append(all, values...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// Streams implements [store.LogIndex].
func (u *tenantUnion) Streams(ctx context.Context, _ model.Tenant, sel store.LogSelector) ([]store.StreamStats, error) {
	var all []store.StreamStats
	for _, p := range u.parts(sel) {
		streams, err := u.index.Streams(ctx, p.tenant, p.sel)
		if err != nil {
			return nil, err
		}
		for _, s := range streams {
			s.Labels = p.label(s.Labels)
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b store.StreamStats) int { return a.Labels.Compare(b.Labels) })
	return all, nil
}

// FieldNames implements [store.LogIndex].
func (u *tenantUnion) FieldNames(ctx context.Context, _ model.Tenant, sel store.LogSelector) ([]store.NameCount, error) {
	counts := map[string]int64{}
	for _, p := range u.parts(sel) {
		names, err := u.index.FieldNames(ctx, p.tenant, p.sel)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			counts[n.Name] = max(counts[n.Name], n.Count) // values may be the same ones
		}
	}
	out := make([]store.NameCount, 0, len(counts))
	for name, n := range counts {
		out = append(out, store.NameCount{Name: name, Count: n})
	}
	slices.SortFunc(out, func(a, b store.NameCount) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}
