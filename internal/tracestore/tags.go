package tracestore

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Tags implements [store.TraceIndex]. It answers from the indexes of the parts that
// overlap the range. Intrinsics are not listed.
func (s *Store) Tags(ctx context.Context, tenant model.Tenant, sel store.SpanSelector) ([]store.Attr, error) {
	snap := s.snapshot(tenant, sel.Range, sel.Account)
	defer snap.close()
	found := map[store.Attr]struct{}{}
	for _, p := range snap.view.Parts {
		if st := p.Stats(); sel.Range.Overlaps(st.MinTime, st.MaxTime) {
			for _, a := range p.Data.attrs {
				found[a] = struct{}{}
			}
		}
	}
	res := newResources()
	for _, g := range snap.mem {
		if sel.Range.Overlaps(g.times.lo, g.times.hi) {
			for a := range g.attrs(res) {
				found[a] = struct{}{}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), compareAttrs), ctx.Err()
}

// TagValues implements [store.TraceIndex]. It reads one column of the groups that overlap
// the range.
func (s *Store) TagValues(ctx context.Context, tenant model.Tenant, attr store.Attr, limit int, sel store.SpanSelector) ([]store.TagValue, error) {
	snap := s.snapshot(tenant, sel.Range, sel.Account)
	defer snap.close()
	c := valueCounter{attr: attr, res: newResources(), texts: map[store.TagValue]int64{}, nums: map[numValue]int64{}}
	defer func() { sel.Account.Drop(c.held) }()
	for _, p := range snap.view.Parts {
		if err := s.partValues(ctx, p, &c, sel); err != nil {
			return nil, err
		}
	}
	for _, g := range snap.mem {
		if !sel.Range.Overlaps(g.times.lo, g.times.hi) {
			continue
		}
		if err := errors.Join(c.group(g), c.hold(sel.Account)); err != nil {
			return nil, err
		}
	}
	out := c.values()
	if limit > 0 && len(out) > limit {
		sel.Account.Warn("attribute %s has %d values, the limit of %d cuts", attr.Name, len(out), limit)
		out = out[:limit]
	}
	return out, ctx.Err()
}

// partValues counts the values in the groups of p that overlap the range. Of resources and
// scopes the part remembers the counts, if all of it is in the range: lists of services are
// asked for all the time.
func (s *Store) partValues(ctx context.Context, p *openPart, c *valueCounter, sel store.SpanSelector) error {
	c.seen = nil
	apart := func(m groupMeta) bool { return !sel.Range.Overlaps(m.minStart, m.maxEnd) }
	entity := c.attr.Scope == store.ScopeResource || c.attr.Scope == store.ScopeInstrumentation
	if entity && !slices.ContainsFunc(p.Data.groups, apart) {
		if known := p.Data.entitiesOf(c.attr.Scope); known != nil {
			for message, n := range known {
				c.message(message, n)
			}
			return c.hold(sel.Account)
		}
		c.seen = map[string]int64{}
	}
	for i, m := range p.Data.groups {
		if apart(m) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		g, err := openPartGroup(p, i, s.z, s.scratch.get())
		if err == nil {
			err = c.group(g)
		}
		s.scratch.put(g)
		if errors.Is(err, store.ErrCorrupt) {
			reportDamage(p, i, err)
			sel.Account.Warn("part %s has damaged blocks: some spans are missing", p.Name())
			c.seen = nil
			continue
		}
		if err == nil {
			err = errors.Join(sel.Account.Scanned(g.size(), int64(g.len())), c.hold(sel.Account))
		}
		if err != nil {
			return err
		}
	}
	p.Data.rememberEntities(c.attr.Scope, c.seen)
	c.seen = nil
	return nil
}

// maxEntities is how many resources, or scopes, a part remembers.
const maxEntities = 1024

// entitiesOf returns how many spans of the part each resource or scope has, nil if that is
// not known.
func (x *partIndex) entitiesOf(scope store.AttrScope) map[string]int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.entities[scope]
}

// rememberEntities takes counts, which nobody changes any more, for later.
func (x *partIndex) rememberEntities(scope store.AttrScope, counts map[string]int64) {
	if counts == nil || len(counts) > maxEntities {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.entities == nil {
		x.entities = map[store.AttrScope]map[string]int64{}
	}
	x.entities[scope] = counts
}

// valueCounter counts the values of one attribute.
type valueCounter struct {
	attr  store.Attr
	res   resources
	texts map[store.TagValue]int64
	nums  map[numValue]int64
	held  int64 // bytes charged

	seen map[string]int64 // messages of resources or scopes, of groups of parts; may be nil
}

// valueBytes is about what a distinct value takes in memory.
const valueBytes = 150

// hold charges the values found since the last call.
func (c *valueCounter) hold(acct *store.Account) error {
	more := int64(len(c.texts)+len(c.nums))*valueBytes - c.held
	if err := acct.Hold(more); err != nil {
		return err
	}
	c.held += more
	return nil
}

type numValue struct {
	typ store.ValueType
	num int64
}

// group counts the values in g.
func (c *valueCounter) group(g *group) error {
	if d, ok := setDomain(c.attr.Scope); ok {
		for i := range g.sets[d].cols {
			if col := &g.sets[d].cols[i]; col.name == c.attr.Name && col.typ != store.ValueNone {
				if err := g.needColumn(d, i); err != nil {
					return err
				}
				c.column(col)
			}
		}
		return nil
	}
	switch c.attr.Scope {
	case store.ScopeResource:
		return c.entities(g, sRes)
	case store.ScopeInstrumentation:
		return c.entities(g, sScope)
	}
	return c.intrinsic(g)
}

func (c *valueCounter) column(col *column) {
	if isNumber(col.typ) {
		for i := range col.n {
			c.nums[numValue{col.typ, intAt(col.ints, i)}]++
		}
		return
	}
	c.strings(&col.strs, col.n, col.typ)
}

func (c *valueCounter) strings(col *strCol, n int, typ store.ValueType) {
	counts := dictCounts(col, n)
	for i, count := range counts {
		text := ""
		if col.dict != nil {
			text = col.dict[i]
		}
		if count == 0 {
			continue
		}
		if typ != store.ValueString {
			text = valueText(text)
		}
		c.texts[store.TagValue{Type: typ, Value: text}] += count
	}
}

// dictCounts counts how often each string of col occurs in n rows.
func dictCounts(col *strCol, n int) []int64 {
	if col.dict == nil {
		return []int64{int64(n)}
	}
	counts := make([]int64, len(col.dict))
	for i := range n {
		counts[col.code(i)]++
	}
	return counts
}

func (c *valueCounter) entities(g *group, field int) error {
	if err := g.need(secStrs + field); err != nil {
		return err
	}
	col := &g.strs[field]
	for i, count := range dictCounts(col, g.len()) {
		if count == 0 || col.dict == nil {
			continue
		}
		if c.seen != nil {
			c.seen[col.dict[i]] += count
		}
		c.message(col.dict[i], count)
	}
	return nil
}

// message counts the values of a resource or scope that count spans have.
func (c *valueCounter) message(message string, count int64) {
	decode := c.res.resource
	if c.attr.Scope == store.ScopeInstrumentation {
		decode = c.res.scope
	}
	for _, a := range decode(message).attrs {
		switch {
		case a.name != c.attr.Name:
		case isNumber(a.typ):
			c.nums[numValue{a.typ, a.num}] += count
		default:
			c.texts[store.TagValue{Type: a.typ, Value: a.str}] += count
		}
	}
}

func (c *valueCounter) intrinsic(g *group) error {
	switch c.attr.Name {
	case store.IntrinsicName, store.IntrinsicStatusMessage:
		f := sName
		if c.attr.Name == store.IntrinsicStatusMessage {
			f = sMessage
		}
		if err := g.need(secStrs + f); err != nil {
			return err
		}
		c.strings(&g.strs[f], g.len(), store.ValueString)
		return nil
	}
	f, ok := intrinsicInt(c.attr)
	if !ok {
		return nil
	}
	if err := g.need(secInts + f); err != nil {
		return err
	}
	for i := range g.len() {
		v := intAt(g.ints[f], i)
		if f == iDur {
			v = max(0, v)
		}
		c.nums[numValue{store.ValueInt, v}]++
	}
	return nil
}

// values returns the distinct values, most frequent first.
func (c *valueCounter) values() []store.TagValue {
	for v, n := range c.nums {
		text := strconv.FormatInt(v.num, 10)
		switch v.typ {
		case store.ValueBool:
			text = strconv.FormatBool(v.num != 0)
		case store.ValueFloat:
			text = pcommon.NewValueDouble(math.Float64frombits(uint64(v.num))).AsString()
		}
		c.texts[store.TagValue{Type: v.typ, Value: text}] += n
	}
	return slices.SortedFunc(maps.Keys(c.texts), func(a, b store.TagValue) int {
		return cmp.Or(cmp.Compare(c.texts[b], c.texts[a]), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Value, b.Value))
	})
}
