package tempo

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/query"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/traceql"
)

const (
	maxTagValues     = 10_000    // in a list of values when the client names no limit
	maxTagValueBytes = 1_000_000 // of all values of a list: Tempo's max_bytes_per_tag_values_query
)

// scopeTags is the names of one scope.
type scopeTags struct {
	name string
	tags []string
}

// scopes lists the scopes that have attributes, in the order they are shown.
func scopeNames() map[store.AttrScope]string {
	return map[store.AttrScope]string{
		store.ScopeResource: "resource", store.ScopeSpan: "span", store.ScopeEvent: "event",
		store.ScopeLink: "link", store.ScopeInstrumentation: "instrumentation",
	}
}

// tags returns the names of the wanted scopes, sorted.
func (a *API) tags(w http.ResponseWriter, r *http.Request, filter *traceql.Expr) ([]scopeTags, query.Stats, error) {
	q := r.URL.Query()
	scope := q.Get("scope")
	switch scope {
	case "", "none", "resource", "span", "event", "link", "instrumentation", "intrinsic", "trace":
	default:
		return nil, query.Stats{}, api.Invalid("invalid scope: %s", scope)
	}
	p, err := a.tagParams(q, 0)
	if err != nil {
		return nil, query.Stats{}, err
	}
	p.Filter = filter
	all := scope == "" || scope == "none"
	var out []scopeTags
	st, err := a.do(w, r, "tags "+q.Get("q"), func(ctx context.Context, tenants []model.Tenant, acct *store.Account) error {
		if scope == "intrinsic" || scope == "trace" {
			return nil
		}
		p.Account = acct
		found := map[string][]string{}
		names := scopeNames()
		for _, tenant := range tenants {
			attrs, err := traceql.TagNames(ctx, a.Reader, a.Index, tenant, p)
			if err != nil {
				return err
			}
			for _, at := range attrs {
				if n := names[at.Scope]; n != "" {
					found[n] = append(found[n], at.Name)
				}
			}
		}
		for _, n := range [...]string{"resource", "span", "event", "link", "instrumentation"} {
			if tags := found[n]; len(tags) > 0 && (all || scope == n) {
				slices.Sort(tags)
				tags = slices.Compact(tags)
				if p.Limit > 0 {
					tags = tags[:min(p.Limit, len(tags))]
				}
				out = append(out, scopeTags{n, tags})
			}
		}
		return nil
	})
	if all || scope == "intrinsic" {
		out = append(out, scopeTags{"intrinsic", traceql.IntrinsicTags()})
	}
	return out, st, err
}

func (a *API) tagParams(q url.Values, defaultLimit int) (traceql.TagParams, error) {
	var p traceql.TagParams
	var err error
	if p.Range, err = a.tagRange(q); err != nil {
		return p, err
	}
	if q.Get("limit") == "0" {
		q.Del("limit")
	}
	p.Limit, err = positive(q, "limit", defaultLimit, maxLimit)
	return p, err
}

func (a *API) tagsV2(w http.ResponseWriter, r *http.Request) error {
	scopes, st, err := a.tags(w, r, traceql.ExtractFilter(r.URL.Query().Get("q")))
	if err != nil {
		return err
	}
	return send(w, r, func(m message) {
		m.list(1, "scopes", len(scopes), true, func(i int, m message) {
			m.str(1, "name", scopes[i].name)
			m.strs(2, "tags", scopes[i].tags, false)
		})
		listMetrics(m, st)
	})
}

func (a *API) tagsV1(w http.ResponseWriter, r *http.Request) error {
	scopes, st, err := a.tags(w, r, nil)
	if err != nil {
		return err
	}
	var names []string
	for _, s := range scopes {
		if s.name != "intrinsic" || r.URL.Query().Get("scope") == "intrinsic" {
			names = append(names, s.tags...)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return send(w, r, func(m message) {
		m.strs(1, "tagNames", names, true)
		listMetrics(m, st)
	})
}

// values returns the values of a tag, without repetitions.
func (a *API) values(w http.ResponseWriter, r *http.Request, tag traceql.Tag, filter *traceql.Expr) ([]traceql.Value, query.Stats, error) {
	p, err := a.tagParams(r.URL.Query(), maxTagValues)
	if err != nil {
		return nil, query.Stats{}, err
	}
	p.Filter = filter
	var out []traceql.Value
	size := 0
	st, err := a.do(w, r, "values of "+tag.String(), func(ctx context.Context, tenants []model.Tenant, acct *store.Account) error {
		p.Account = acct
		for _, tenant := range tenants {
			vals, err := traceql.TagValues(ctx, a.Reader, a.Index, tenant, tag, p)
			if err != nil {
				return err
			}
			for _, v := range vals {
				if len(tenants) > 1 && slices.Contains(out, v) {
					continue
				}
				if size += len(v.String()); size > maxTagValueBytes {
					acct.Warn("%s has more than %d bytes of values; not all are listed", tag, maxTagValueBytes)
					return nil
				}
				out = append(out, v)
			}
		}
		return nil
	})
	return out, st, err
}

func (a *API) valuesV2(w http.ResponseWriter, r *http.Request) error {
	tag, err := traceql.ParseTag(r.PathValue("name"))
	if err != nil {
		return api.Invalid("%w", err)
	}
	vals, st, err := a.values(w, r, tag, traceql.ExtractFilter(r.URL.Query().Get("q")))
	if err != nil {
		return err
	}
	return send(w, r, func(m message) {
		m.list(1, "tagValues", len(vals), true, func(i int, m message) {
			m.str(1, "type", valueType(vals[i]))
			m.str(2, "value", vals[i].String())
		})
		listMetrics(m, st)
	})
}

func valueType(v traceql.Value) string {
	switch t := v.Type(); t {
	case traceql.TypeStatus, traceql.TypeKind:
		return "keyword"
	default:
		return t.String()
	}
}

func (a *API) valuesV1(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	tag := traceql.UnscopedTag(name)
	switch name {
	case "name", "rootName", "rootServiceName", "root.name", "root.service.name":
		intrinsic := map[string]string{"root.name": "rootName", "root.service.name": "rootServiceName"}[name]
		if intrinsic == "" {
			intrinsic = name
		}
		var err error
		if tag, err = traceql.ParseTag(intrinsic); err != nil {
			return err
		}
	}
	vals, st, err := a.values(w, r, tag, nil)
	if err != nil {
		return err
	}
	texts, err := a.moreV1(w, r, name)
	if err != nil {
		return err
	}
	for _, v := range vals {
		texts = append(texts, v.String())
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	return send(w, r, func(m message) {
		m.strs(1, "tagValues", texts, true)
		listMetrics(m, st)
	})
}

// moreV1 lists the values that a tag of the older search has besides its attribute's:
// the keywords and stored codes of a status, and "" if a resource has no service.name.
func (a *API) moreV1(w http.ResponseWriter, r *http.Request, name string) ([]string, error) {
	switch name {
	case "error":
		return []string{"true"}, nil
	case "status.code", "service.name":
	default:
		return nil, nil
	}
	p, err := a.tagParams(r.URL.Query(), 0)
	if err != nil {
		return nil, err
	}
	var out []string
	_, err = a.do(w, r, "values of "+name, func(ctx context.Context, tenants []model.Tenant, acct *store.Account) error {
		if name == "service.name" {
			none, err := traceql.Parse(`{ resource.service.name = "" }`)
			if err != nil {
				return err
			}
			res, err := traceql.Search(ctx, a.over(tenants), tenants[0], none, traceql.Params{Range: p.Range, Limit: 1, SpansPerSpanset: 1, Account: acct})
			if len(res.Traces) > 0 {
				out = []string{""}
			}
			return err
		}
		out = []string{"error", "ok", "unset"}
		for _, tenant := range tenants {
			codes, err := a.Index.TagValues(ctx, tenant, store.Attr{Scope: store.ScopeIntrinsic, Name: store.IntrinsicStatus}, 0, store.SpanSelector{Range: p.Range, Account: acct})
			if err != nil {
				return err
			}
			for _, c := range codes {
				out = append(out, c.Value)
			}
		}
		return nil
	})
	return out, err
}
