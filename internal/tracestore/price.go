package tracestore

import (
	"context"
	"errors"

	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Price implements [store.TraceIndex]. It reads the headers of groups near the range.
// Groups in memory count as spans, not as bytes.
func (s *Store) Price(ctx context.Context, tenant model.Tenant, sel store.SpanSelector) (model.ScanPrice, error) {
	var price model.ScanPrice
	where, err := compileWhere(sel.Where, newResources())
	if err != nil || sel.Range.Empty() {
		return price, err
	}
	snap := s.snapshot(tenant, sel.Range, sel.Account)
	defer snap.close()
	want, times := wantedOf(sel), nearby(sel.Range)
	for _, p := range snap.view.Parts {
		before := price.Blocks
		for i := range p.Data.groups {
			if err := ctx.Err(); err != nil {
				return price, err
			}
			m := &p.Data.groups[i]
			if !times.Overlaps(m.minStart, m.maxEnd) || !mayHold(m, sel.TraceIDs) {
				price.Pruned++
				continue
			}
			if err := s.priceGroup(&price, p, i, where, &want); err != nil {
				return price, err
			}
		}
		if price.Blocks > before {
			price.Files++
		}
	}
	for _, g := range snap.mem {
		if !times.Overlaps(g.times.lo, g.times.hi) || !where.possible(g) {
			price.Pruned++
			continue
		}
		price.Blocks++
		price.Spans += int64(g.len())
	}
	return price, nil
}

// mayHold reports whether m may have one of ids; nil is any.
func mayHold(m *groupMeta, ids []model.TraceID) bool {
	if ids == nil {
		return true
	}
	for _, id := range ids {
		if m.first.Compare(id) <= 0 && m.last.Compare(id) >= 0 {
			return true
		}
	}
	return false
}

func (s *Store) priceGroup(price *model.ScanPrice, p *openPart, i int, w *where, want *wanted) error {
	g, err := openPartGroup(p, i, s.z, s.scratch.get())
	defer func() { s.scratch.put(g) }()
	if errors.Is(err, store.ErrCorrupt) {
		reportDamage(p, i, err)
		return nil
	}
	if err != nil {
		return err
	}
	if !w.possible(g) {
		price.Pruned++
		return nil
	}
	filter := map[part.Ref]bool{p.Data.groups[i].header: true}
	g.filterRefs(w, filter)
	rows := map[part.Ref]bool{}
	g.rowRefs(want, rows)
	price.Blocks++
	price.Spans += int64(g.len())
	for ref := range filter {
		price.Filter += int64(ref.Len)
	}
	for ref := range rows {
		if !filter[ref] {
			price.Rows += int64(ref.Len)
		}
	}
	return nil
}

// possible reports whether the header of g allows that some span satisfies w.
func (w *where) possible(g *group) bool {
	for _, conj := range w.any {
		all := true
		for i := range conj {
			all = all && conj[i].possible(g)
		}
		if all {
			return true
		}
	}
	return len(w.any) == 0
}

// filterRefs adds the sections that tell which traces of g qualify.
func (g *group) filterRefs(w *where, refs map[part.Ref]bool) {
	for _, s := range [...]int{secIDs, secInts + iStart, secInts + iDur} {
		refs[g.src.refs[s]] = true
	}
	for _, conj := range w.any {
		for i := range conj {
			p := &conj[i]
			for _, a := range p.Attrs {
				g.attrRefs(p, a, refs)
			}
		}
	}
}

func (g *group) attrRefs(p *predicate, a store.Attr, refs map[part.Ref]bool) {
	if d, ok := setDomain(a.Scope); ok {
		for i := range g.sets[d].cols {
			if c := &g.sets[d].cols[i]; c.name == a.Name && p.fits(c.typ) {
				refs[c.ref], refs[g.src.refs[secShapes+int(d)]] = true, true
			}
		}
		return
	}
	switch a.Scope {
	case store.ScopeResource:
		refs[g.src.refs[secStrs+sRes]] = true
	case store.ScopeInstrumentation:
		refs[g.src.refs[secStrs+sScope]] = true
	case store.ScopeIntrinsic:
		switch f, isInt := intrinsicInt(a); {
		case isInt:
			refs[g.src.refs[secInts+f]] = true
		case a.Name == store.IntrinsicName:
			refs[g.src.refs[secStrs+sName]] = true
		case a.Name == store.IntrinsicStatusMessage:
			refs[g.src.refs[secStrs+sMessage]] = true
		}
	}
}

// rowRefs adds the sections that rows of g are made of.
func (g *group) rowRefs(want *wanted, refs map[part.Ref]bool) {
	for _, s := range rowSections() {
		refs[g.src.refs[s]] = true
	}
	if want.events {
		for _, s := range [...]int{secInts + iEvents, secInts + iLinks, secInts + iEvTime, secStrs + sEvName} {
			refs[g.src.refs[s]] = true
		}
	}
	if want.links {
		for _, s := range [...]int{secInts + iEvents, secInts + iLinks, secStrs + sLkID} {
			refs[g.src.refs[s]] = true
		}
	}
	for d, scope := range [...]store.AttrScope{ofSpan: store.ScopeSpan, ofEvent: store.ScopeEvent, ofLink: store.ScopeLink} {
		if domain(d) == ofEvent && !want.events || domain(d) == ofLink && !want.links {
			continue
		}
		refs[g.src.refs[secShapes+d]] = true
		for i := range g.sets[d].cols {
			if c := &g.sets[d].cols[i]; want.has(scope, c.name) {
				refs[c.ref] = true
			}
		}
	}
}
