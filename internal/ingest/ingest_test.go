package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// pack compresses text.
func pack(t *testing.T, encoding string, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	switch encoding {
	case "snappy":
		return s2.EncodeSnappy(nil, text)
	case "zstd":
		z, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return z.EncodeAll(text, nil)
	case "gzip":
		z := gzip.NewWriter(&b)
		if _, err := z.Write(text); err != nil {
			t.Fatal(err)
		}
		z.Close()
	case "lz4":
		z := lz4.NewWriter(&b)
		if _, err := z.Write(text); err != nil {
			t.Fatal(err)
		}
		z.Close()
	case "deflate":
		z, err := flate.NewWriter(&b, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write(text); err != nil {
			t.Fatal(err)
		}
		z.Close()
	default:
		return text
	}
	return b.Bytes()
}

func TestBody(t *testing.T) {
	const limit = 100_000
	var pool BodyPool
	for _, encoding := range []string{"", "identity", "snappy", "gzip", "deflate", "zstd", "lz4", "GZIP"} {
		for _, size := range []int{0, 1, 1000, limit, limit + 1, 10 * limit} {
			t.Run(fmt.Sprint(encoding, " ", size), func(t *testing.T) {
				text := bytes.Repeat([]byte("x"), size)
				b := pool.Get()
				defer pool.Put(b)
				r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(pack(t, strings.ToLower(encoding), text)))
				got, err := b.Read(r, encoding, limit)
				if size > limit {
					if Status(err) != http.StatusRequestEntityTooLarge {
						t.Errorf("error %v, want 413", err)
					}
					return
				}
				if err != nil || !bytes.Equal(got, text) {
					t.Errorf("got %d bytes, error %v", len(got), err)
				}
			})
		}
	}
}

// TestBodyChunked has a client that does not say how much it sends.
func TestBodyChunked(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", 5000)))
	r.ContentLength = -1
	if got, err := new(Body).Read(r, "", 5000); err != nil || len(got) != 5000 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestBodyRefusesBroken(t *testing.T) {
	for _, encoding := range []string{"snappy", "gzip", "deflate", "zstd", "lz4"} {
		whole := pack(t, encoding, []byte(strings.Repeat("some text ", 100)))
		for _, body := range [][]byte{whole[:len(whole)/2], []byte("no such thing")} {
			_, err := new(Body).Read(httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body)), encoding, 1<<20)
			if Status(err) != http.StatusBadRequest || !strings.Contains(err.Error(), encoding) {
				t.Errorf("%s of %q: %v", encoding, body[:5], err)
			}
		}
	}
	_, err := new(Body).Read(httptest.NewRequest(http.MethodPost, "/", nil), "br", 1<<20)
	if Status(err) != http.StatusUnsupportedMediaType {
		t.Errorf("brotli: %v", err)
	}
}

// TestBodySnappyInside is Loki's protobuf with a Content-Encoding of its own.
func TestBodySnappyInside(t *testing.T) {
	b := new(Body)
	for range 2 { // the second time the buffers are swapped
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(pack(t, "gzip", pack(t, "snappy", []byte("hello")))))
		if _, err := b.Read(r, "gzip", 1000); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Snappy(1000); err != nil || string(got) != "hello" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestStatus(t *testing.T) {
	refused := func(reason string) error {
		return &store.Refused{Refusals: []store.Refusal{{Reason: reason, Count: 1}}}
	}
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 204},
		{&store.Refused{Refusals: []store.Refusal{{Reason: ReasonTenants}}}, 429},
		{Errorf(413, "x"), 413},
		{refused(store.ReasonTooOld), 400},
		{refused(store.ReasonRateLimited), 429},
		{fmt.Errorf("x: %w", model.ErrTenant), 400},
		{fmt.Errorf("x: %w", model.ErrTenantMissing), 401},
		{fmt.Errorf("x: %w", store.ErrReadOnly), 503},
		{store.ErrOverloaded, 503},
		{context.Canceled, 499},
		{context.DeadlineExceeded, 503},
		{errors.New("x"), 500},
	} {
		if got := Status(tt.err); got != tt.want {
			t.Errorf("Status(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestJoin(t *testing.T) {
	var own store.Refused
	if err := Join(&own, 5, nil); err != nil {
		t.Errorf("nothing refused: %v", err)
	}
	own = store.Refused{}
	own.Add("a", 2, func() string { return "own" })
	err := Join(&own, 5, &store.Refused{Kept: 4, Refusals: []store.Refusal{{Reason: "b", Count: 1, Sample: "theirs"}}})
	if want := "3 of 7 items refused (the other 4 are stored): 2 a, for example: own; 1 b, for example: theirs"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if err := Join(&own, 5, store.ErrReadOnly); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("another error: %v", err)
	}
}

func TestMetricsShareFamilies(t *testing.T) {
	reg := prometheus.NewRegistry()
	a, b := NewMetrics(reg, "one"), NewMetrics(reg, "two")
	again := NewMetrics(reg, "one")
	a.Count("logs", 204, 10, 3, nil)
	again.Count("logs", 400, 10, 3, &store.Refused{Kept: 1, Refusals: []store.Refusal{{Reason: "r", Count: 2}}})
	b.Count("logs", 503, 10, 3, store.ErrOverloaded)
	want := `
# HELP pharos_ingest_items_total Samples, log entries and spans that were stored.
# TYPE pharos_ingest_items_total counter
pharos_ingest_items_total{protocol="one",signal="logs"} 4
# HELP pharos_ingest_refused_total Samples, log entries and spans that were refused for good.
# TYPE pharos_ingest_refused_total counter
pharos_ingest_refused_total{protocol="one",reason="r"} 2
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "pharos_ingest_items_total", "pharos_ingest_refused_total"); err != nil {
		t.Error(err)
	}
}

// TestFinish checks that a protocol's refusals are told once: not when the request fails as a
// whole and will be sent again.
func TestFinish(t *testing.T) {
	stored := &store.Refused{Kept: 1}
	stored.Add(store.ReasonTooOld, 1, func() string { return "old" })
	for _, tt := range []struct {
		err         error
		told, total int
	}{{nil, 2, 2}, {stored, 2, 3}, {store.ErrOverloaded, 0, 0}} {
		own := &store.Refused{}
		own.Add(store.ReasonInvalidLabels, 2, func() string { return "bad" })
		told := 0
		f := RefusedFunc(func(_ model.Signal, _ model.Tenant, r *store.Refused) { told += r.Count() })
		err := f.Finish(model.Logs, "t", own, 2, tt.err)
		var all *store.Refused
		total := 0
		if errors.As(err, &all) {
			total = all.Count()
		}
		if told != tt.told || total != tt.total {
			t.Errorf("%v: told of %d, answered %d (%v); want %d, %d", tt.err, told, total, err, tt.told, tt.total)
		}
	}
	if err := RefusedFunc(nil).Finish(model.Logs, "t", &store.Refused{}, 2, nil); err != nil {
		t.Errorf("nothing refused: %v", err)
	}
}
