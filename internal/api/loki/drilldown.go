package loki

import (
	"cmp"
	"context"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/logql"
	"github.com/pharos-o11y/pharos/internal/store"
)

// detectedLabel is a stream label that is worth showing.
type detectedLabel struct {
	Label       string `json:"label"`
	Cardinality int    `json:"cardinality"`
}

// detectedLabels answers /loki/api/v1/detected_labels: stream labels, except those whose
// values are all ids.
func (a *API) detectedLabels(w http.ResponseWriter, r *http.Request) error {
	values := map[string]map[string]bool{}
	_, err := a.lookup(r, false, true, func(ctx context.Context, src *source, sel store.LogSelector) error {
		streams, err := src.index.Streams(ctx, src.name, sel)
		for _, s := range streams {
			for _, l := range s.Labels {
				if values[l.Name] == nil {
					values[l.Name] = map[string]bool{}
				}
				values[l.Name][l.Value] = true
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	var out struct {
		Labels []detectedLabel `json:"detectedLabels,omitempty"`
	}
	for name, vs := range values {
		if worthShowing(name, vs) {
			out.Labels = append(out.Labels, detectedLabel{name, len(vs)})
		}
	}
	slices.SortFunc(out.Labels, func(a, b detectedLabel) int { return strings.Compare(a.Label, b.Label) })
	return writeJSON(w, &out)
}

// uuid matches a UUID.
var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// worthShowing reports whether a label groups streams rather than naming each.
func worthShowing(name string, values map[string]bool) bool {
	switch name {
	case "cluster", "namespace", "instance", "pod":
		return true
	}
	if len(values) == 2 {
		return true // a boolean, perhaps
	}
	for v := range values {
		if _, err := strconv.ParseFloat(v, 64); err != nil && !uuid.MatchString(v) {
			return true
		}
	}
	return false
}

// How many fields or values are answered, and how many lines looked at, unless a request says
// otherwise.
const (
	maxFields = 1000
	maxSample = 100
)

// fieldsRequest is a request for the fields of a sample of lines.
type fieldsRequest struct {
	src    *source
	text   string
	query  *logql.LogQuery
	params logql.Params
	limit  int // fields or values
}

func (a *API) fieldsParams(r *http.Request) (*fieldsRequest, error) {
	src, err := a.source(r)
	if err != nil {
		return nil, err
	}
	q := &fieldsRequest{src: src, text: r.FormValue("query")}
	e, err := logql.Parse(q.text)
	if err != nil {
		return nil, err
	}
	var ok bool
	if q.query, ok = e.(*logql.LogQuery); !ok {
		return nil, api.Invalid("only log selector is supported")
	}
	rng, err := a.timeRange(r)
	if err != nil {
		return nil, err
	}
	rng = src.limits.see(rng, a.Now())
	q.params = logql.Params{Start: rng.From, End: rng.To + 1, Direction: store.Backward, Categorize: true}
	if q.params.Limit, err = intParam(r, "line_limit", maxSample); err != nil {
		return nil, err
	}
	q.params.Limit = cmp.Or(q.params.Limit, maxSample)
	if q.params.Limit > src.limits.MaxEntries {
		return nil, api.Invalid("invalid parameter 'line_limit': want 1 to %d", src.limits.MaxEntries)
	}
	if q.limit, err = intParam(r, "field_limit", maxFields); err != nil {
		return nil, err
	}
	q.limit, err = intParam(r, "limit", q.limit)
	q.limit = cmp.Or(q.limit, maxFields)
	return q, err
}

// sample runs q and returns the fields of its lines.
func (a *API) sample(r *http.Request, q *fieldsRequest) (*logql.FieldSet, error) {
	set := &logql.FieldSet{}
	_, err := a.do(r, q.src, q.text, func(ctx context.Context, acct *store.Account) error {
		q.params.Account = acct
		res, err := q.src.engine.Query(ctx, q.src.name, q.query, q.params)
		if err != nil {
			return err
		}
		for i := range res.Streams {
			for j := range res.Streams[i].Entries {
				set.Add(res.Streams[i].Labels, &res.Streams[i].Entries[j])
			}
		}
		return nil
	})
	return set, err
}

type detectedField struct {
	Label       string   `json:"label"`
	Type        string   `json:"type"`
	Cardinality int      `json:"cardinality"`
	Parsers     []string `json:"parsers"`
	JSONPath    []string `json:"jsonPath,omitempty"`
}

// detectedFields answers /loki/api/v1/detected_fields.
func (a *API) detectedFields(w http.ResponseWriter, r *http.Request) error {
	q, err := a.fieldsParams(r)
	if err != nil {
		return err
	}
	set, err := a.sample(r, q)
	if err != nil {
		return err
	}
	fields := set.Fields()
	if len(fields) == 0 {
		return writeJSON(w, struct{}{})
	}
	out := struct {
		Fields []detectedField `json:"fields"`
		Limit  int             `json:"limit"`
	}{Limit: q.limit}
	for _, f := range fields[:min(len(fields), q.limit)] {
		out.Fields = append(out.Fields, detectedField{f.Name, string(f.Type), len(f.Values), f.Parsers, f.Path})
	}
	return writeJSON(w, &out)
}

// detectedField answers /loki/api/v1/detected_field/{name}/values.
func (a *API) detectedField(w http.ResponseWriter, r *http.Request) error {
	q, err := a.fieldsParams(r)
	if err != nil {
		return err
	}
	set, err := a.sample(r, q)
	if err != nil {
		return err
	}
	out := struct {
		Values []string `json:"values"`
		Limit  int      `json:"limit"`
	}{Limit: q.limit}
	for _, f := range set.Fields() {
		if f.Name != r.PathValue("name") {
			continue
		}
		for _, v := range f.Values[:min(len(f.Values), q.limit)] {
			if f.Type == logql.FieldBytes {
				// The unit as a query reads it.
				if n, err := humanize.ParseBytes(v); err == nil {
					v = compactSize(n)
				}
			}
			out.Values = append(out.Values, v)
		}
	}
	if len(out.Values) == 0 {
		return writeJSON(w, struct{}{})
	}
	return writeJSON(w, &out)
}

// compactSize writes a size without the space that humanize puts before the unit.
func compactSize(n uint64) string { return strings.ReplaceAll(humanize.Bytes(n), " ", "") }
