package logstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
	"github.com/pharos-o11y/pharos/internal/store/storetest"
)

// TestBlocksAreCharged reads blocks under an account: what they hold is said while they are
// read, is given back, and is refused beyond the limit, whether it is lines or metadata.
func TestBlocksAreCharged(t *testing.T) {
	for name, entry := range map[string]func(text string) (line string, meta model.Label){
		"lines":    func(text string) (string, model.Label) { return text, model.Label{Name: "a", Value: "b"} },
		"metadata": func(text string) (string, model.Label) { return "", model.Label{Name: "a", Value: text} },
	} {
		t.Run(name, func(t *testing.T) { testBlocksAreCharged(t, entry) })
	}
}

func testBlocksAreCharged(t *testing.T, entry func(text string) (line string, meta model.Label)) {
	o := openAt(t, t.TempDir(), Options{})
	defer o.close(t)
	const entries, size = 1000, 500
	for i := range entries {
		line, meta := entry(fmt.Sprintf("%d %s", i, strings.Repeat("x", size)))
		put(t, o, "x", storetest.Now().UnixNano()+int64(i), line, meta)
	}
	if err := o.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	read := func(acct *store.Account) (n int, err error) {
		for rows, err := range o.Select(t.Context(), tenant, store.LogSelector{Range: always(), Account: acct}) {
			if err != nil {
				return n, err
			}
			n += len(rows.Times)
		}
		return n, nil
	}
	acct := &store.Account{}
	if n, err := read(acct); n != entries || err != nil {
		t.Fatalf("%d entries, %v", n, err)
	}
	if peak := acct.Usage().PeakMemory; peak < size*entries/4 { // at least a good part of it at one time
		t.Errorf("%d bytes were held", peak)
	}
	acct.MaxMemory = 2 * acct.Usage().PeakMemory
	for range 3 { // would be too much if the reads before still held theirs
		if _, err := read(acct); err != nil {
			t.Errorf("once more: %v", err)
		}
	}
	if _, err := read(&store.Account{MaxMemory: size}); !errors.Is(err, store.ErrTooBroad) {
		t.Errorf("with the memory of one line: %v", err)
	}
}
