package traceql

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// TagParams are the arguments of [TagNames] and [TagValues].
type TagParams struct {
	Range   model.TimeRange // Unix nanoseconds
	Filter  *Expr           // only spans that match count; nil for all. From [ExtractFilter]
	Limit   int             // values returned, the most frequent; 0 for all
	Account *store.Account  // of the query; may be nil
}

// TagNames returns the attributes that occur, sorted by scope, then name.
func TagNames(ctx context.Context, r store.TraceReader, idx store.TraceIndex, tenant model.Tenant, p TagParams) ([]store.Attr, error) {
	if p.Filter == nil {
		return idx.Tags(ctx, tenant, store.SpanSelector{Range: p.Range, Account: p.Account})
	}
	pl := newPlan(p.Filter.pipe, p.Range, p.Account)
	pl.sel.AllAttrs, pl.sel.Events, pl.sel.Links = true, true, true
	found := map[store.Attr]bool{}
	err := pl.eachMatch(ctx, r, tenant, func(f *frame, rows []int32) {
		note := func(attrs []store.AttrColumn, lo, hi func(int32) int32) {
			for i := range attrs {
				if found[attrs[i].Attr] {
					continue
				}
				if slices.ContainsFunc(rows, func(r int32) bool { return slices.Contains(attrs[i].Has[lo(r):hi(r)], true) }) {
					a := attrs[i].Attr
					a.Name = strings.Clone(a.Name)
					found[a] = true
				}
			}
		}
		note(f.rows.Attrs, func(r int32) int32 { return r }, func(r int32) int32 { return r + 1 })
		if f.rows.Events != nil {
			note(f.rows.Events.Attrs, func(r int32) int32 { lo, _ := f.events(r); return lo }, func(r int32) int32 { _, hi := f.events(r); return hi })
		}
		if f.rows.Links != nil {
			note(f.rows.Links.Attrs, func(r int32) int32 { lo, _ := f.links(r); return lo }, func(r int32) int32 { _, hi := f.links(r); return hi })
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list tags: %w", err)
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b store.Attr) int {
		return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Name, b.Name))
	}), nil
}

// eachMatch calls fn with the rows of every trace that its single filter matches.
func (p *plan) eachMatch(ctx context.Context, r store.TraceReader, tenant model.Tenant, fn func(f *frame, rows []int32)) error {
	f := newFrame(p.slots, p.filters)
	for rows, err := range r.Scan(ctx, tenant, p.sel) {
		if err != nil {
			return err
		}
		f.load(rows)
		m := f.mask(0)
		f.used = 0
		matched := f.alloc(len(m))
		for i, ok := range m {
			if ok {
				matched = append(matched, int32(i))
			}
		}
		p.sel.Account.Matched(int64(len(matched)))
		fn(f, matched)
	}
	return nil
}

// TagValues returns the distinct values of a tag, the most frequent first; of an array
// its elements. Status and kind always have all their keywords, durations and ids none.
func TagValues(ctx context.Context, r store.TraceReader, idx store.TraceIndex, tenant model.Tenant, tag Tag, p TagParams) ([]Value, error) {
	var out []Value
	var err error
	switch tag.attr.in {
	case inStatus:
		out = []Value{statusValue(2), statusValue(1), statusValue(0)}
	case inKind:
		for i := range kindWords {
			out = append(out, kindValue(uint8(i)))
		}
	case inDuration, inTraceDuration, inTraceID, inSpanID, inParentID, inLinkTraceID, inLinkSpanID,
		inNestedLeft, inNestedRight, inNestedParent, inChildCount:
	default:
		if attrs := pushAttrs(tag.attr); attrs != nil && p.Filter == nil {
			out, err = indexedValues(ctx, idx, tenant, attrs, p)
		} else {
			out, err = scannedValues(ctx, r, tenant, tag, p)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list values of %s: %w", tag, err)
	}
	if p.Limit > 0 && len(out) > p.Limit {
		out = out[:p.Limit]
	}
	return out, nil
}

func indexedValues(ctx context.Context, idx store.TraceIndex, tenant model.Tenant, attrs []store.Attr, p TagParams) ([]Value, error) {
	var out []Value
	seen := map[Value]bool{}
	add := func(v Value) {
		if v.typ != TypeNil && !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	for _, a := range attrs {
		vals, err := idx.TagValues(ctx, tenant, a, p.Limit, store.SpanSelector{Range: p.Range, Account: p.Account})
		if err != nil {
			return nil, err
		}
		for _, tv := range vals {
			v := tagValue(tv)
			if v.typ != TypeArray {
				add(v)
				continue
			}
			for _, e := range v.Elems() {
				add(e)
			}
		}
	}
	return out, nil
}

// tagValue gives a value of the index its type back.
func tagValue(tv store.TagValue) Value {
	switch tv.Type {
	case store.ValueString:
		return stringValue(tv.Value)
	case store.ValueInt:
		if n, err := strconv.ParseInt(tv.Value, 10, 64); err == nil {
			return intValue(n)
		}
	case store.ValueFloat:
		if f, err := strconv.ParseFloat(tv.Value, 64); err == nil {
			return floatValue(f)
		}
	case store.ValueBool:
		return boolValue(tv.Value == "true")
	case store.ValueArray:
		return parseArray(tv.Value)
	}
	return Value{}
}

// maxScannedValues bounds the distinct values a scan collects.
const maxScannedValues = 100_000

// scannedValues collects values from the spans themselves: for filters, and for
// intrinsics that no index has.
func scannedValues(ctx context.Context, r store.TraceReader, tenant model.Tenant, tag Tag, p TagParams) ([]Value, error) {
	pipe := &pipeline{stages: []stage{&filter{}}}
	if p.Filter != nil {
		pipe = p.Filter.pipe
	}
	pl := newPlan(pipe, p.Range, p.Account)
	b := &binder{slots: pl.slots, filters: pl.filters}
	e := b.evaluator(tag.attr)
	needs := tag.attr.children()
	pl.wantChildren(needs)
	pl.finish(b)
	counts := map[Value]int{}
	held := int64(0)
	defer func() { p.Account.Drop(held) }()
	var holdErr error
	count := func(v Value) {
		if v.typ == TypeDuration {
			v = intValue(v.n)
		}
		if _, ok := counts[v]; !ok {
			if v.typ == TypeNil || len(counts) == maxScannedValues || holdErr != nil {
				return
			}
			size := int64(100 + len(v.s))
			if holdErr = p.Account.Hold(size); holdErr != nil {
				return
			}
			held += size
			v = v.clone()
		}
		counts[v]++
	}
	add := func(v Value) {
		if v.typ != TypeArray {
			count(v)
			return
		}
		for _, x := range v.Elems() {
			count(x)
		}
	}
	err := pl.eachMatch(ctx, r, tenant, func(f *frame, rows []int32) {
		for _, row := range rows {
			c := cursor{row, -1, -1}
			switch {
			case needs.events:
				for c.event, _ = f.events(row); c.event < f.rows.EventEnd[row]; c.event++ {
					add(e.value(f, c))
				}
			case needs.links:
				for c.link, _ = f.links(row); c.link < f.rows.LinkEnd[row]; c.link++ {
					add(e.value(f, c))
				}
			default:
				add(e.value(f, c))
			}
		}
	})
	if err := cmp.Or(err, holdErr); err != nil {
		return nil, err
	}
	if len(counts) == maxScannedValues {
		p.Account.Warn("%s has more than %d values; not all are listed", tag, maxScannedValues)
	}
	return slices.SortedFunc(maps.Keys(counts), func(a, b Value) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a.typ, b.typ), cmp.Compare(a.s, b.s), cmp.Compare(a.n, b.n))
	}), nil
}
