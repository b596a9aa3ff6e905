package logstore

import (
	"strings"

	"github.com/pharos-o11y/pharos/internal/engine/codec"
)

// template is a skeleton without its rows: literals with a variable between each two.
type template struct {
	key    string   // "" if it was not built yet, see appendKey
	lits   []string // one more than variables
	kinds  []byte   // of the variables: varInt, varHex or varText
	places []int32  // of the variables in the table, or their columns if it is in none
}

// place identifies the column of a variable: variables of one place share it.
type place struct {
	n       int
	kind    byte
	context string
}

// templateTable is the templates of a part. Most occur in many of its blocks: so they are
// stored once, a query asks about each once, and a word that no template of a block holds
// is not in the block.
type templateTable struct {
	list    []*template
	byKey   map[string]int32
	byPlace map[place]int32
	size    int // bytes of keys
}

// A table that has reached these bounds takes no more: further blocks bring templates of
// their own.
const (
	maxTemplates    = 1 << 14
	maxTemplateText = 4 << 20
)

func newTemplateTable() *templateTable {
	return &templateTable{byKey: map[string]int32{}, byPlace: map[place]int32{}}
}

func (t *templateTable) full() bool { return len(t.list) >= maxTemplates || t.size >= maxTemplateText }

// appendKey appends the key of a template: its literals with the kind of a variable
// between each two. Literals hold no such bytes.
func (tp *template) appendKey(dst []byte) []byte {
	dst = append(dst, tp.lits[0]...)
	for i, kind := range tp.kinds {
		dst = append(append(dst, kind), tp.lits[i+1]...)
	}
	return dst
}

// add enters the template of key, which is not there yet, and returns its number.
func (t *templateTable) add(key string) int32 {
	key = strings.Clone(key)
	n := 0
	for i := range len(key) {
		if key[i] <= varText {
			n++
		}
	}
	tp := &template{key: key, lits: make([]string, 0, n+1), kinds: make([]byte, 0, n), places: make([]int32, 0, n)}
	lit := 0
	for i := range len(key) {
		kind := key[i]
		if kind > varText {
			continue
		}
		context := key[lit:i]
		p := place{len(tp.kinds), kind, context[max(0, len(context)-contextBytes):]}
		id, ok := t.byPlace[p]
		if !ok {
			id = int32(len(t.byPlace))
			t.byPlace[p] = id
		}
		tp.lits, tp.kinds, tp.places = append(tp.lits, context), append(tp.kinds, kind), append(tp.places, id)
		lit = i + 1
	}
	tp.lits = append(tp.lits, key[lit:])
	id := int32(len(t.list))
	t.list = append(t.list, tp)
	t.byKey[key] = id
	t.size += len(key)
	return id
}

// truncate forgets the templates from n on.
func (t *templateTable) truncate(n int) {
	var key []byte
	for _, tp := range t.list[n:] {
		key = tp.appendKey(key[:0])
		delete(t.byKey, string(key))
		t.size -= len(key)
	}
	t.list = t.list[:n]
}

// take returns the numbers in t of the templates ids of from, entered where need be. ok
// is false, and nothing happens, if t is full and does not have them all.
func (t *templateTable) take(from *templateTable, ids []uint32) (out []uint32, ok bool) {
	out = make([]uint32, len(ids))
	full := t.full()
	var key []byte
	for i, id := range ids {
		key = from.list[id].appendKey(key[:0])
		n, known := t.byKey[string(key)]
		if !known {
			if full {
				return nil, false
			}
			n = t.add(text(key))
		}
		out[i] = uint32(n)
	}
	return out, true
}

// encode appends t.
func (t *templateTable) encode(dst []byte, z *codec.Zstd) []byte {
	keys := make([]string, len(t.list))
	for i, tp := range t.list {
		keys[i] = text(tp.appendKey(nil))
	}
	return codec.AppendStrings(dst, keys, z)
}

// readTemplates reads a table.
func readTemplates(r *codec.Reader, z *codec.Zstd) (*templateTable, *codec.Reader) {
	keys, r := readStrings(r, z)
	t := newTemplateTable()
	for _, key := range keys {
		if _, ok := t.byKey[key]; ok {
			r.Fail("line template occurs twice")
			break
		}
		t.add(key)
	}
	return t, r
}

// columnsOf numbers the columns of templates: those of the first, then those that the
// second needs besides, and so on. It returns them by place, each plus one, in the memory of
// byPlace, and how many there are.
func columnsOf(list []*template, byPlace []int32) (_ []int32, n int) {
	last := int32(-1)
	for _, tp := range list {
		for _, p := range tp.places {
			last = max(last, p)
		}
	}
	byPlace = zeroed(byPlace, int(last+1))
	for _, tp := range list {
		for _, p := range tp.places {
			if byPlace[p] == 0 {
				n++
				byPlace[p] = int32(n)
			}
		}
	}
	return byPlace, n
}
