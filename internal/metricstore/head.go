package metricstore

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/zeebo/xxh3"

	"github.com/pharos-o11y/pharos/internal/engine/index"
	"github.com/pharos-o11y/pharos/internal/engine/part"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// series is one series of the head. Its tenant's lock guards everything but labels,
// which never change.
type series struct {
	// walRef names the series in the records of generation walGen. defined is the
	// generation of which a record with its labels is known to be durable. A sample reads
	// these and cur, which lie together for the sake of the caches.
	walRef  uint32
	defined uint64
	cur     *buffer // nil: nothing since the last cut

	walGen uint64
	labels model.Labels
	frozen *buffer // being flushed
	idle   int     // cuts without new data
	last   int64   // nothing before the last cut is newer; Unix milliseconds
}

// tenant is the head of one tenant.
type tenant struct {
	name model.Tenant

	mu         sync.RWMutex
	byKey      map[uint64]*keyEntry                // guarded by mu
	series     []*series                           // guarded by mu; by ref
	index      *index.Mem                          // guarded by mu (the pointer)
	dirty      []*series                           // guarded by mu; those with a cur buffer
	frozen     []*series                           // guarded by mu; those with a frozen buffer
	seal       sealer                              // guarded by mu
	meta       metadata                            // guarded by mu
	frozenMeta map[part.Day][]store.MetricMetadata // guarded by mu; being flushed

	// A wal generation ends with each cut: refs begin anew, so do definitions.
	walGen  uint64 // guarded by mu; 0: none begun
	epoch   int    // guarded by mu; number of cuts
	past    int64  // guarded by mu; what is not in the head has no time behind it
	nextRef uint32 // guarded by mu

	replay map[uint64]*series // refs of generation replayGen; used before writes begin
	repGen uint64
}

// keyEntry leads from the bytes a sender identifies a series with to the series.
type keyEntry struct {
	dec  uintptr // which Decode the key is for; 0: encoded labels
	key  []byte
	s    *series
	next *keyEntry // same hash
	// follow is the key that came behind this one the last time. Senders keep an order,
	// so that it is nearly always the next one again, found without hash and map.
	follow atomic.Pointer[keyEntry]
}

func (e *keyEntry) is(dec uintptr, key []byte) bool {
	return e != nil && e.dec == dec && bytes.Equal(e.key, key)
}

func newTenant(name model.Tenant, past int64) *tenant {
	return &tenant{name: name, byKey: map[uint64]*keyEntry{}, index: index.NewMem(), meta: metadata{}, past: past}
}

// decoderID tells decoders apart: equal keys of different decoders are different series.
func decoderID(f func([]byte, model.Labels) (model.Labels, error)) uintptr {
	if f == nil {
		return 0
	}
	return reflect.ValueOf(f).Pointer()
}

func keyHash(dec uintptr, key []byte) uint64 { return xxh3.HashSeed(key, uint64(dec)) }

// lookup finds the entry of key. The caller holds mu.
func (t *tenant) lookup(hash uint64, dec uintptr, key []byte) *keyEntry {
	for e := t.byKey[hash]; e != nil; e = e.next {
		if e.is(dec, key) {
			return e
		}
	}
	return nil
}

// after finds the entry of key given the entry of the key before it, which may be nil.
// The caller holds mu.
func (t *tenant) after(prev *keyEntry, dec uintptr, key []byte) *keyEntry {
	if prev == nil {
		return t.lookup(keyHash(dec, key), dec, key)
	}
	e := prev.follow.Load()
	if !e.is(dec, key) {
		if e = t.lookup(keyHash(dec, key), dec, key); e != nil {
			prev.follow.Store(e)
		}
	}
	return e
}

// labelKey encodes labels as a key.
func labelKey(dst []byte, ls model.Labels) []byte {
	for _, l := range ls {
		dst = append(dst, l.Name...)
		dst = append(dst, 0)
		dst = append(dst, l.Value...)
		dst = append(dst, 0xff)
	}
	return dst
}

// refusal is the error of a series that is not taken.
type refusal struct {
	reason string
	err    error
}

// Error implements error.
func (r *refusal) Error() string { return r.err.Error() }

// checkLabels sorts ls in place, drops empty labels, and checks the rest.
func checkLabels(ls model.Labels, lim Limits) (model.Labels, *refusal) {
	bad := func(reason, format string, args ...any) (model.Labels, *refusal) {
		return nil, &refusal{reason, fmt.Errorf(format, args...)}
	}
	if !slices.IsSortedFunc(ls, func(a, b model.Label) int { return strings.Compare(a.Name, b.Name) }) {
		slices.SortStableFunc(ls, func(a, b model.Label) int { return strings.Compare(a.Name, b.Name) })
	}
	ls = slices.DeleteFunc(ls, func(l model.Label) bool { return l.Value == "" })
	if len(ls) == 0 {
		return bad(store.ReasonInvalidLabels, "a series without labels")
	}
	if over(len(ls), lim.LabelsPerSeries) {
		return bad(store.ReasonLabelCount, "series %s has %d labels, the limit is %d", short(ls), len(ls), lim.LabelsPerSeries)
	}
	for i, l := range ls {
		switch {
		case l.Name == "":
			return bad(store.ReasonInvalidLabels, "series %s has a label without a name", short(ls))
		case !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value):
			return bad(store.ReasonInvalidLabels, "label %q=%q of series %s is not UTF-8", l.Name, l.Value, short(ls))
		case i > 0 && l.Name == ls[i-1].Name:
			return bad(store.ReasonInvalidLabels, "series %s has label %s twice", short(ls), l.Name)
		case over(len(l.Name), lim.LabelNameLen):
			return bad(store.ReasonLabelName, "label name %.80q... of series %s has %d bytes, the limit is %d", l.Name, short(ls), len(l.Name), lim.LabelNameLen)
		case over(len(l.Value), lim.LabelValueLen):
			return bad(store.ReasonLabelValue, "value %.80q... of label %s of series %s has %d bytes, the limit is %d", l.Value, l.Name, short(ls), len(l.Value), lim.LabelValueLen)
		}
	}
	return ls, nil
}

func over(n, limit int) bool { return limit > 0 && n > limit }

// short prints labels for a message.
func short(ls model.Labels) string {
	s := ls.String()
	if len(s) > 300 {
		s = s[:300] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}

var errSeriesLimit = errors.New("series limit reached")

// create returns the series with labels ls, making it if it is new and the limit allows.
// The caller holds mu for writing.
func (t *tenant) create(ls model.Labels, limit int) (*series, bool, error) {
	if ref, ok := t.index.Find(ls); ok {
		return t.series[ref], false, nil
	}
	if over(len(t.series)+1, limit) {
		return nil, false, errSeriesLimit
	}
	_, stored, _ := t.index.Add(ls)
	s := &series{labels: stored, last: t.past}
	t.series = append(t.series, s)
	return s, true, nil
}

// remember makes key, which no entry has, lead to s. The caller holds mu for writing.
func (t *tenant) remember(hash uint64, dec uintptr, key []byte, s *series) {
	t.byKey[hash] = &keyEntry{dec: dec, key: bytes.Clone(key), s: s, next: t.byKey[hash]}
}

// buffer returns the buffer of s for new data. The caller holds mu for writing.
func (t *tenant) buffer(s *series) *buffer {
	if s.cur == nil {
		s.cur = newBuffer()
		s.idle = 0
		t.dirty = append(t.dirty, s)
	}
	return s.cur
}

// forget drops the series that had no data for a few cuts, if they are many. The caller
// holds mu for writing and begins a new wal generation, so that no append in progress
// goes on with a series that is dropped here.
func (t *tenant) forget() {
	dead := 0
	for _, s := range t.series {
		if s.isIdle() {
			dead++
		}
	}
	if dead < minDead || dead < len(t.series)/4 {
		return
	}
	live := make([]*series, 0, len(t.series)-dead)
	idx := index.NewMem()
	for _, s := range t.series {
		if s.isIdle() {
			t.past = max(t.past, s.last)
		} else {
			idx.Adopt(s.labels)
			live = append(live, s)
		}
	}
	keys := make(map[uint64]*keyEntry, len(live))
	for hash, e := range t.byKey {
		for ; e != nil; e = e.next {
			if !e.s.isIdle() {
				keys[hash] = &keyEntry{dec: e.dec, key: e.key, s: e.s, next: keys[hash]}
			}
		}
	}
	t.series, t.index, t.byKey = live, idx, keys
}

// Series leave the head after idleCuts cuts without data, at least minDead at a time.
const (
	idleCuts = 2
	minDead  = 1000
)

func (s *series) isIdle() bool { return s.cur == nil && s.frozen == nil && s.idle >= idleCuts }
