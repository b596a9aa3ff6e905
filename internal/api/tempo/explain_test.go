package tempo

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestExplain asks for prices of the fixture in one part of the embedded engine.
func TestExplain(t *testing.T) {
	h, flush := engine(t)
	flush()
	type read struct {
		Query           string
		PushedDown      []string
		Blocks          int
		RowGroups       int
		PrunedRowGroups int
		Spans           int64
		FilterBytes     int64
		RowBytes        int64
	}
	ask := func(target string) (reads []read, bytes int64) {
		t.Helper()
		w := get(t, h, target)
		var body struct {
			Reads      []read
			TotalBytes int64
		}
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", target, w.Code, w.Body)
		}
		return body.Reads, body.TotalBytes
	}
	all, most := ask("/api/search?explain=1&&&W&&&q={ }")
	if len(all) != 1 || all[0].Blocks < 1 || all[0].RowGroups < 1 || all[0].Spans < 1 || all[0].FilterBytes < 1 || all[0].RowBytes < 1 || all[0].PushedDown != nil {
		t.Errorf("price of everything: %+v", all)
	}
	if most != all[0].FilterBytes+all[0].RowBytes {
		t.Errorf("%d bytes in all of %+v", most, all)
	}
	none, n := ask(`/api/search?explain=1&&&W&&&q={ span.nosuch = 1 }`)
	if n != 0 || none[0].RowGroups != 0 || none[0].PrunedRowGroups != all[0].RowGroups {
		t.Errorf("price of an absent attribute: %+v", none)
	}
	some, _ := ask(`/api/search?explain=true&&&W&&&q={ duration > 1ms && .a =~ "x" || status = error } | select(span.b)`)
	if want := []string{`duration > 1ms && .a =~ "x"`, "status = error"}; !cmp.Equal(some[0].PushedDown, want) {
		t.Errorf("pushed down: %q, want %q", some[0].PushedDown, want)
	}
	for _, path := range []string{"query_range", "query"} {
		reads, _ := ask("/api/metrics/" + path + `?explain=1&&&W&&&q=({ } | rate() by (name)) / ({ status = error } | rate())`)
		if len(reads) != 2 || reads[1].Query != "{ status = error } | rate()" {
			t.Errorf("%s: %+v", path, reads)
		}
	}
	// A search takes the pipeline of a metrics query, and so does its price.
	if reads, n := ask("/api/search?explain=1&&&W&&&q={ } | rate() by (name)"); len(reads) != 1 || n != most || reads[0].Query != "{ }" || reads[0].Spans != all[0].Spans {
		t.Errorf("a search by a metrics query: %+v", reads)
	}
	if w := get(t, h, "/api/search?explain=1&&&W&&&q={ oops"); w.Code != http.StatusBadRequest {
		t.Errorf("a query that cannot be read: %d", w.Code)
	}
}
