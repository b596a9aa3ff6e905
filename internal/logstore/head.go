package logstore

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/zeebo/xxh3"

	"github.com/pharos-o11y/pharos/internal/engine/rate"
	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store/logmeta"
)

// stream is a label set that entries are written to.
type stream struct {
	id     uint64 // in wal records
	hash   uint64
	key    string       // encoded labels
	labels model.Labels // strings share memory with key
	next   *stream      // guarded by registry.mu; another one with the hash

	defined atomic.Uint64 // the epoch in whose wal records the labels are known

	rate      rate.Bucket // guarded by registry.mu
	lastWrite int64       // guarded by registry.mu; Unix nanoseconds of our clock
	rows      *headStream // guarded by registry.mu; nil when the head has none
}

// registry is the streams and the entries in memory.
type registry struct {
	mu      sync.Mutex
	tenants map[model.Tenant]*tenantStreams // guarded by mu
	lastID  uint64                          // guarded by mu
	active  *head                           // guarded by mu
	frozen  []*head                         // guarded by mu; being flushed, oldest first
}

// tenantStreams finds the streams of a tenant by hash; a hash alone is never trusted.
type tenantStreams struct {
	byHash map[uint64]*stream // the first of those with a hash
	n      int
	rate   rate.Bucket
}

// head is a generation of entries in memory. After it is frozen it does not change.
type head struct {
	tenants map[model.Tenant]*tenantHead
	since   time.Time // of the first entry
	last    time.Time // when the last one came
	streams int       // of all tenants
	bytes   int
	covered wal.Pos // set when frozen: every record up to it is in this head or in parts
}

type tenantHead struct {
	streams []*headStream
	texts   []string // of the records that the lines of all rows lie in, see headsearch.go
	rows    int
}

// headStream is the entries of one stream in a head, in order of arrival. rows only
// grows: a prefix of it, taken under the lock, may be read without.
type headStream struct {
	stream   *stream
	rows     []row
	sorted   bool // by time
	min, max int64
}

// headStreamSize is the bytes that a headStream counts for beside its rows. It takes more,
// but its stream takes more still, and limits bound how many there are; if they counted in
// full, heads of tiny streams would be flushed with few lines of each, and merges would have
// all of their labels to compare again and again.
const headStreamSize = 32

func newHead() *head { return &head{tenants: map[model.Tenant]*tenantHead{}} }

// streamKey returns the encoding of labels and its hash.
func streamKey(dst []byte, labels model.Labels) ([]byte, uint64) {
	dst = appendMeta(dst, labels)
	return dst, xxh3.Hash(dst)
}

// labelKey is a label set, its encoding and the hash of that.
type labelKey struct {
	labels model.Labels
	key    []byte
	hash   uint64
}

// keysOf returns the keys of the label sets of gs.
func keysOf(gs []group) []labelKey {
	out, arena := make([]labelKey, len(gs)), make([]byte, 0, 64*len(gs))
	for i := range gs {
		from := len(arena)
		arena = appendMeta(arena, gs[i].labels)
		out[i] = labelKey{gs[i].labels, arena[from:], xxh3.Hash(arena[from:])}
	}
	return out
}

// known returns the stream of each of ks that t has, nil for others. With many streams most of
// that is waiting for memory, so each step is done for all of them before the next.
func (t *tenantStreams) known(ks []labelKey) []*stream {
	out := make([]*stream, len(ks))
	for i := range ks {
		out[i] = t.byHash[ks[i].hash]
	}
	for i := range ks {
		out[i] = out[i].withKey(ks[i].key)
	}
	return out
}

// withKey returns the one of s and those with its hash that has the key, or nil.
func (s *stream) withKey(key []byte) *stream {
	for ; s != nil; s = s.next {
		if s.key == unsafe.String(unsafe.SliceData(key), len(key)) {
			return s
		}
	}
	return nil
}

// tenant returns the streams of a tenant, or nil if there are limit other tenants. The
// caller holds mu.
func (g *registry) tenant(tenant model.Tenant, limit int) *tenantStreams {
	t := g.tenants[tenant]
	if t == nil && (limit <= 0 || len(g.tenants) < limit) {
		t = &tenantStreams{byHash: map[uint64]*stream{}}
		g.tenants[tenant] = t
	}
	return t
}

// resolve returns the stream of t with the key, created if need be, or nil if t has limit
// streams already. A new stream gets the given id, or a new one if it is 0. The caller
// holds mu.
func (g *registry) resolve(t *tenantStreams, k labelKey, id uint64, limit int) *stream {
	if s := t.byHash[k.hash].withKey(k.key); s != nil {
		return s
	}
	if limit > 0 && t.n >= limit {
		return nil
	}
	if id == 0 {
		id = g.lastID + 1
	}
	g.lastID = max(g.lastID, id)
	s := &stream{id: id, hash: k.hash, key: strings.Clone(text(k.key))}
	s.labels = metaLabels(make(model.Labels, 0, len(k.labels)), s.key)
	s.next, t.byHash[k.hash] = t.byHash[k.hash], s
	t.n++
	return s
}

// apply adds rows to the active head. record is the text that their lines lie in. The caller
// holds mu.
func (g *registry) apply(tenant model.Tenant, gs []group, record string, now time.Time) {
	h := g.active
	th := h.tenants[tenant]
	if th == nil {
		th = &tenantHead{}
		h.tenants[tenant] = th
	}
	if h.since.IsZero() {
		h.since = now
	}
	h.last = now
	h.bytes += len(record)
	th.texts = append(th.texts, record)
	for i := range gs {
		th.rows += len(gs[i].rows)
		hs := gs[i].stream.rows
		if hs == nil {
			hs = &headStream{stream: gs[i].stream, sorted: true, min: maxTime, max: minTime}
			gs[i].stream.rows = hs
			th.streams = append(th.streams, hs)
			h.streams++
			h.bytes += headStreamSize
		}
		hs.add(gs[i].rows)
		h.bytes += rowSize * len(gs[i].rows)
	}
	h.bytes += sharedBytes(gs)
}

// sharedBytes returns the memory of what the metadata of rows of a record shares, beside its
// text. A sender of single entries has it once a row.
func sharedBytes(gs []group) int {
	n := 0
	var last *logmeta.Fields
	for i := range gs {
		for j := range gs[i].rows {
			if f := gs[i].rows[j].meta.Fields; f != last {
				if last = f; f != nil && f.Shared != nil {
					n += int(unsafe.Sizeof(*f)) + len(f.Shared)*int(unsafe.Sizeof(""))
				}
			}
		}
	}
	return n
}

// add adds rows, which do not change any more.
func (hs *headStream) add(rows []row) {
	for i := range rows {
		at := rows[i].time
		hs.sorted = hs.sorted && at >= hs.max
		hs.min, hs.max = min(hs.min, at), max(hs.max, at)
	}
	if hs.rows == nil {
		hs.rows = slices.Clip(rows) // most of many streams get no more
		return
	}
	hs.rows = append(hs.rows, rows...)
}

// freeze replaces the active head, unless it is empty. The caller holds mu.
func (g *registry) freeze(covered wal.Pos) {
	h := g.active
	if h.since.IsZero() {
		return
	}
	h.covered = covered
	g.frozen = append(g.frozen, h)
	g.active = newHead()
	for _, th := range h.tenants {
		for _, hs := range th.streams {
			hs.stream.rows = nil
		}
	}
}

// idleAfter is how long a stream counts as active after its last entry.
const idleAfter = time.Hour

// expire forgets idle streams and returns how many are left. The caller holds mu.
func (g *registry) expire(now time.Time) int {
	left, idle := 0, now.Add(-idleAfter).UnixNano()
	for tenant, t := range g.tenants {
		for hash, s := range t.byHash {
			if s.next == nil && (s.rows != nil || s.lastWrite >= idle) {
				continue
			}
			var kept *stream
			for s != nil {
				next := s.next
				if s.rows == nil && s.lastWrite < idle {
					t.n--
				} else {
					s.next, kept = kept, s
				}
				s = next
			}
			if t.byHash[hash] = kept; kept == nil {
				delete(t.byHash, hash)
			}
		}
		if left += t.n; t.n == 0 {
			delete(g.tenants, tenant)
		}
	}
	return left
}

// bytes returns the memory of all heads. The caller holds mu.
func (g *registry) bytes() int {
	n := g.active.bytes
	for _, h := range g.frozen {
		n += h.bytes
	}
	return n
}

// run is a snapshot of the rows of one stream in one head.
type run struct {
	stream   *stream
	rows     []row
	sorted   bool
	min, max int64
	within   textSet // that holds all rows that a query wants; nil if that is not known
}

// snapshot returns the entries in memory of the streams of tenant that match ms and
// overlap r, oldest head first.
func (g *registry) snapshot(tenant model.Tenant, ms []*model.Matcher, r model.TimeRange) []headRuns {
	g.mu.Lock()
	var lists [][]*headStream
	var heads []*tenantHead
	for _, h := range append(slices.Clone(g.frozen), g.active) {
		if th := h.tenants[tenant]; th != nil {
			lists, heads = append(lists, th.streams), append(heads, th)
		}
	}
	g.mu.Unlock()
	var out []headRuns
	for i, list := range lists {
		var match []*headStream // labels do not change: no lock needed
		for _, hs := range list {
			if model.MatchesLabels(hs.stream.labels, ms) {
				match = append(match, hs)
			}
		}
		h := headRuns{}
		g.mu.Lock()
		for _, hs := range match {
			if r.Overlaps(hs.min, hs.max) {
				h.runs = append(h.runs, run{stream: hs.stream, rows: hs.rows, sorted: hs.sorted, min: hs.min, max: hs.max})
			}
		}
		h.rows, h.texts = heads[i].rows, heads[i].texts
		g.mu.Unlock()
		if len(h.runs) > 0 {
			out = append(out, h)
		}
	}
	return out
}

// in returns the rows of h in r, in order of time, without duplicates.
func (h *run) in(r model.TimeRange) []row { return sortRows(h.between(r), h.sorted) }

// between returns the rows of h in r, in order of arrival.
func (h *run) between(r model.TimeRange) []row {
	rows := h.rows
	switch {
	case h.sorted:
		rows = rows[upTo(rows, r.From):]
		rows = rows[:upTo(rows, r.To)]
	case h.min < r.From || h.max >= r.To:
		rows = nil
		for i := range h.rows {
			if r.Contains(h.rows[i].time) {
				rows = append(rows, h.rows[i])
			}
		}
	}
	return rows
}

// reaches reports whether some row of h lies in r.
func (h *run) reaches(r model.TimeRange) bool {
	return r.Contains(h.min) || r.Contains(h.max) || slices.ContainsFunc(h.rows, func(x row) bool { return r.Contains(x.time) })
}

// sortRows returns rows in order of time, equal times in order of arrival, without
// duplicates. It does not change rows.
func sortRows(rows []row, sorted bool) []row {
	if !sorted {
		rows = slices.Clone(rows)
		slices.SortStableFunc(rows, func(a, b row) int {
			switch {
			case a.time < b.time:
				return -1
			case a.time > b.time:
				return 1
			}
			return 0
		})
	}
	return dedupe(rows)
}

// dedupe returns rows, which are sorted by time, without all but the first of equal ones.
// It copies only if there are any.
func dedupe(rows []row) []row {
	var drop map[int]bool
	for i := 0; i < len(rows); {
		end := i + 1
		for end < len(rows) && rows[end].time == rows[i].time {
			end++
		}
		if end-i > 1 {
			drop = markEqual(rows, i, end, drop)
		}
		i = end
	}
	if len(drop) == 0 {
		return rows
	}
	out := make([]row, 0, len(rows)-len(drop))
	for i := range rows {
		if !drop[i] {
			out = append(out, rows[i])
		}
	}
	return out
}

// content is what tells apart rows of one stream and time.
type content struct{ line, meta string }

// markEqual adds to drop the rows of rows[from:to], which have one time, that are equal
// to an earlier one of them.
func markEqual(rows []row, from, to int, drop map[int]bool) map[int]bool {
	var seen map[content]struct{}
	alike := !slices.ContainsFunc(rows[from:to], func(x row) bool { return x.meta.Fields != rows[from].meta.Fields })
	if to-from > 8 {
		seen = make(map[content]struct{}, to-from)
	}
	for i := from; i < to; i++ {
		r := &rows[i]
		dup := false
		if seen != nil {
			c := content{line: r.line, meta: r.meta.Values}
			if !alike {
				c.meta = encodeMeta(r.meta)
			}
			_, dup = seen[c]
			seen[c] = struct{}{}
		} else {
			dup = slices.ContainsFunc(rows[from:i], func(x row) bool { return x.line == r.line && x.meta.Equal(r.meta) })
		}
		if dup {
			if drop == nil {
				drop = map[int]bool{}
			}
			drop[i] = true
		}
	}
	return drop
}
