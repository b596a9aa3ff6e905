package part

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const day = Day(20_000)

// The test store keeps one word per block; its index lists the block references.

func loadRefs(f *File) ([]Ref, error) {
	b, err := f.Index()
	if err != nil {
		return nil, err
	}
	if len(b)%12 != 0 {
		return nil, fmt.Errorf("index of %d bytes: %w", len(b), store.ErrCorrupt)
	}
	var refs []Ref
	for ; len(b) > 0; b = b[12:] {
		refs = append(refs, Ref{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])})
	}
	return refs, nil
}

func writeWords(w *Writer, words []string) (*Finished, error) {
	var index []byte
	for _, word := range words {
		ref, err := w.Append([]byte(word))
		if err != nil {
			return nil, err
		}
		index = binary.LittleEndian.AppendUint64(index, ref.Off)
		index = binary.LittleEndian.AppendUint32(index, ref.Len)
	}
	return w.Finish(index, Stats{MinTime: day.Start(), MaxTime: day.Start() + 10, Rows: int64(len(words))})
}

func readWords(p *Part[[]Ref]) []string {
	var words []string
	for _, ref := range p.Data {
		b, err := p.Read(ref, nil)
		if err != nil {
			p.Damaged(err)
			continue
		}
		words = append(words, string(b))
	}
	return words
}

func mergeWords(_ context.Context, in []*Part[[]Ref], w *Writer) (*Finished, error) {
	var words []string
	for _, p := range in {
		words = append(words, readWords(p)...)
	}
	return writeWords(w, words)
}

func testOptions() Options[[]Ref] {
	return Options[[]Ref]{
		Signal: model.Logs, Load: loadRefs, Merge: mergeWords,
		Now: func() time.Time { return time.Unix(0, day.Start()) },
	}
}

func openSet(t *testing.T, dir string, opts Options[[]Ref]) *Set[[]Ref] {
	t.Helper()
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func flush(t *testing.T, s *Set[[]Ref], pos wal.Pos, words ...string) {
	t.Helper()
	w, err := s.Create("t1", day)
	if err != nil {
		t.Fatal(err)
	}
	f, err := writeWords(w, words)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(pos, f); err != nil {
		t.Fatal(err)
	}
}

func words(s *Set[[]Ref]) (got, warnings []string) {
	v := s.View("t1", model.TimeRange{From: day.Start(), To: day.Start() + 1})
	defer v.Close()
	for _, p := range v.Parts {
		got = append(got, readWords(p)...)
	}
	return got, v.Warnings()
}

func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	m, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const partFiles = "data/*/*/*"

func TestCommittedPartsSurviveReopen(t *testing.T) {
	dir := t.TempDir()
	s := openSet(t, dir, testOptions())
	flush(t, s, 7, "a", "b")
	flush(t, s, 9, "c")
	w, err := s.Create("t1", day) // never finished
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	w2, err := s.Create("t1", day) // finished, never committed
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writeWords(w2, []string{"x"}); err != nil {
		t.Fatal(err)
	}
	s = openSet(t, dir, testOptions())
	if got, _ := words(s); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("got %q", got)
	}
	if s.Covered() != 9 {
		t.Errorf("covered %d, want 9", s.Covered())
	}
	if m := files(t, dir, partFiles); len(m) != 2 {
		t.Errorf("files that do not count are left: %q", m)
	}
}

func TestMergeReplacesPartsUnderOpenView(t *testing.T) {
	dir := t.TempDir()
	s := openSet(t, dir, testOptions())
	var want []string
	for i := range mergeWidth {
		flush(t, s, wal.Pos(i+1), fmt.Sprint(i))
		want = append(want, fmt.Sprint(i))
	}
	v := s.View("t1", model.TimeRange{From: day.Start(), To: day.Start() + 1})
	if n, err := s.MergeOnce(t.Context()); n != 1 || err != nil {
		t.Fatalf("merged %d times, error %v", n, err)
	}
	if len(v.Parts) != mergeWidth || readWords(v.Parts[0])[0] != "0" {
		t.Errorf("the open view changed")
	}
	v.Close()
	if got, _ := words(s); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if m := files(t, dir, partFiles); len(m) != 1 {
		t.Errorf("merged inputs are left: %q", m)
	}
	s = openSet(t, dir, testOptions())
	if got, _ := words(s); !slices.Equal(got, want) || s.Covered() != mergeWidth {
		t.Errorf("after reopen: got %q, covered %d", got, s.Covered())
	}
}

func TestRetentionDropsWholeDays(t *testing.T) {
	dir := t.TempDir()
	opts := testOptions()
	now := time.Unix(0, day.Start())
	opts.Now = func() time.Time { return now }
	opts.Retention = func(model.Tenant) time.Duration { return 24 * time.Hour }
	s := openSet(t, dir, opts)
	flush(t, s, 1, "a")
	for _, step := range []struct {
		now  time.Time
		want int
	}{{now.Add(47 * time.Hour), 1}, {now.Add(49 * time.Hour), 0}} {
		now = step.now
		if err := s.DropExpired(); err != nil {
			t.Fatal(err)
		}
		if got, _ := words(s); len(got) != step.want {
			t.Errorf("at %v: %d words, want %d", step.now, len(got), step.want)
		}
	}
	if m := files(t, dir, "data/*/*"); len(m) != 0 {
		t.Errorf("left: %q", m)
	}
}

// TestFlippedBytesAreNeverSilent flips each byte of each file in turn. The rest must
// stay readable, and whatever is missing must be a warning.
func TestFlippedBytesAreNeverSilent(t *testing.T) {
	src := t.TempDir()
	s := openSet(t, src, testOptions())
	flush(t, s, 5, "first", "second")
	flush(t, s, 6, "third")
	for _, path := range append(files(t, src, partFiles), filepath.Join(src, manifestName)) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(src, path)
		for at := range data {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(src)); err != nil {
				t.Fatal(err)
			}
			bad := slices.Clone(data)
			bad[at] ^= 0x04
			if err := os.WriteFile(filepath.Join(dir, rel), bad, 0o600); err != nil {
				t.Fatal(err)
			}
			checkDamaged(t, dir, fmt.Sprintf("%s byte %d", rel, at), rel == manifestName)
		}
	}
}

func checkDamaged(t *testing.T, dir, what string, isManifest bool) {
	t.Helper()
	s, err := Open(dir, testOptions())
	if err != nil {
		t.Fatalf("%s: open: %v", what, err)
	}
	defer s.Close()
	_, _ = words(s)
	got, warnings := words(s) // the second read knows of the damage
	for _, w := range got {
		if !slices.Contains([]string{"first", "second", "third"}, w) {
			t.Errorf("%s: wrong word %q", what, w)
		}
	}
	switch {
	case isManifest && len(got) != 3:
		t.Errorf("%s: got %q after rebuilding the manifest", what, got)
	case len(got) < 3 && len(warnings) == 0:
		t.Errorf("%s: got %q without a warning", what, got)
	case len(got) == 0:
		t.Errorf("%s: everything is gone", what)
	}
}

// TestFailingMergeStopsNoOther lets the merge of one tenant fail. The other's must go on.
func TestFailingMergeStopsNoOther(t *testing.T) {
	opts := testOptions()
	opts.Merge = func(ctx context.Context, in []*Part[[]Ref], w *Writer) (*Finished, error) {
		if in[0].Info.Tenant == "t1" {
			return nil, errors.New("disk error")
		}
		return mergeWords(ctx, in, w)
	}
	s := openSet(t, t.TempDir(), opts)
	for i := range mergeWidth {
		flush(t, s, wal.Pos(i+1), "word")
		w, err := s.Create("t2", day)
		if err != nil {
			t.Fatal(err)
		}
		f, err := writeWords(w, []string{"word"})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(0, f); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.MergeOnce(t.Context()); n != 1 || err == nil {
		t.Errorf("%d merges, error %v", n, err)
	}
}

// TestRebuiltManifestLasts opens a set with a damaged, then with a missing manifest, and
// demands its parts also from a process that comes afterwards.
func TestRebuiltManifestLasts(t *testing.T) {
	for _, damage := range []func(path string) error{
		func(path string) error { return os.WriteFile(path, []byte("?"), 0o600) },
		os.Remove,
	} {
		dir := t.TempDir()
		s := openSet(t, dir, testOptions())
		flush(t, s, 5, "first")
		if err := damage(filepath.Join(dir, manifestName)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got, _ := words(openSet(t, dir, testOptions())); !slices.Equal(got, []string{"first"}) {
				t.Errorf("got %q", got)
			}
		}
	}
}

// TestUncommittedFirstPart crashes between the first part file ever and its commit: the
// file must not count, since the wal has its rows.
func TestUncommittedFirstPart(t *testing.T) {
	dir := t.TempDir()
	s := openSet(t, dir, testOptions())
	w, err := s.Create("t1", day)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writeWords(w, []string{"first"}); err != nil {
		t.Fatal(err)
	}
	if got, _ := words(openSet(t, dir, testOptions())); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

func TestDamagedBlockIsKeptAsideByMerge(t *testing.T) {
	dir := t.TempDir()
	s := openSet(t, dir, testOptions())
	for i := range mergeWidth {
		flush(t, s, wal.Pos(i+1), fmt.Sprintf("word%d", i))
	}
	path := files(t, dir, partFiles)[0]
	data, _ := os.ReadFile(path)
	data[strings.Index(string(data), "word")] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.MergeOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, warnings := words(s)
	if len(got) != mergeWidth-1 || len(warnings) != 1 {
		t.Errorf("got %q, warnings %q", got, warnings)
	}
	if m := files(t, dir, "quarantine/*"); len(m) != 1 {
		t.Errorf("quarantine holds %q, want the damaged part", m)
	}
	s = openSet(t, dir, testOptions())
	if _, warnings := words(s); len(warnings) != 1 {
		t.Errorf("after reopen: warnings %q", warnings)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	m := manifest{NextID: 1}
	if err := m.save(dir); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, manifestName)
	data, _ := os.ReadFile(path)
	_, body, _ := strings.Cut(string(data), "\n")
	body = strings.Replace(body, `"version":1`, `"version":9`, 1)
	if err := os.WriteFile(path, signed([]byte(body)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, testOptions()); err == nil || errors.Is(err, store.ErrCorrupt) {
		t.Errorf("open error = %v, want one about the version", err)
	}
}

func FuzzOpenFile(f *testing.F) {
	f.Add([]byte(fileMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "p")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if file, err := openFile(path, "p", &handles{max: 1}); err == nil {
			_, _ = file.Index()
			file.close()
		}
	})
}

// TestReadPiece reads pieces of a block, and such that are not in it.
func TestReadPiece(t *testing.T) {
	s := openSet(t, t.TempDir(), testOptions())
	flush(t, s, 1, "block of words")
	v := s.View("t1", model.TimeRange{From: day.Start(), To: day.Start() + 11})
	defer v.Close()
	p := v.Parts[0]
	ref := p.Data[0]
	piece := make([]byte, 5)
	if err := p.ReadPiece(ref, 9, piece); err != nil || string(piece) != "words" {
		t.Errorf("piece %q, error %v", piece, err)
	}
	for _, off := range []int{-1, 10, int(ref.Len) + 1} {
		if err := p.ReadPiece(ref, off, piece); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("piece at %d: error %v, want ErrCorrupt", off, err)
		}
	}
}

// TestRewrite has a store ask for a merge that drops words, down to none.
func TestRewrite(t *testing.T) {
	dir, unwanted := t.TempDir(), "b"
	opts := testOptions()
	opts.Rewrite = func(tenant model.Tenant, d Day, ps []*Part[[]Ref]) []*Part[[]Ref] {
		if tenant != "t1" || d != day {
			t.Errorf("asked about %s/%s", tenant, d)
		}
		return slices.DeleteFunc(slices.Clone(ps), func(p *Part[[]Ref]) bool {
			return !slices.Contains(readWords(p), unwanted)
		})
	}
	opts.Merge = func(_ context.Context, in []*Part[[]Ref], w *Writer) (*Finished, error) {
		var keep []string
		for _, p := range in {
			keep = append(keep, slices.DeleteFunc(readWords(p), func(word string) bool { return word == unwanted })...)
		}
		if len(keep) == 0 {
			return nil, nil
		}
		return writeWords(w, keep)
	}
	s := openSet(t, dir, opts)
	flush(t, s, 1, "a", "b", "c")
	flush(t, s, 2, "d")
	for _, want := range []struct {
		drop   string
		merges int
		words  []string
		files  int
	}{{"b", 1, []string{"d", "a", "c"}, 2}, {"d", 1, []string{"a", "c"}, 1}, {"x", 0, []string{"a", "c"}, 1}} {
		unwanted = want.drop
		if n, err := s.MergeOnce(t.Context()); n != want.merges || err != nil {
			t.Fatalf("drop %q: merged %d times, error %v", want.drop, n, err)
		}
		if got, _ := words(s); !slices.Equal(got, want.words) {
			t.Errorf("drop %q: got %q, want %q", want.drop, got, want.words)
		}
		if m := files(t, dir, partFiles); len(m) != want.files {
			t.Errorf("drop %q: files %q", want.drop, m)
		}
	}
	s = openSet(t, dir, opts)
	if got, _ := words(s); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("after reopen: got %q", got)
	}
}

// TestFewOpenFiles reads more parts than may be open, side by side and after they were
// replaced.
func TestFewOpenFiles(t *testing.T) {
	const limit, parts = 3, 20
	dir := t.TempDir()
	all := handles{max: limit}
	var files []*File
	for i := range parts {
		path := filepath.Join(dir, strconv.Itoa(i))
		w, err := createFile(dir, model.Metrics, Info{ID: uint64(i + 1), Tenant: "t"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Append([]byte("block")); err != nil {
			t.Fatal(err)
		}
		done, err := w.Finish([]byte(strconv.Itoa(i)), Stats{})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, done.info.path()), path); err != nil {
			t.Fatal(err)
		}
		f, err := openFile(path, strconv.Itoa(i), &all)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range 500 {
				i := n * 7 % parts
				if b, err := files[i].Index(); err != nil || string(b) != strconv.Itoa(i) {
					t.Errorf("file %d: %q, %v", i, b, err)
				}
			}
		})
	}
	wg.Wait()
	open := 0
	for _, f := range files {
		if f.f != nil {
			open++
		}
	}
	if open != limit || len(all.open) != limit {
		t.Errorf("%d files are open and %d counted, want %d", open, len(all.open), limit)
	}
	for _, f := range files {
		f.close()
		if _, err := f.Index(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("read of a closed file: %v", err)
		}
	}
	if len(all.open) != 0 {
		t.Errorf("%d files stay open", len(all.open))
	}
}
