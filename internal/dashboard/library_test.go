package dashboard

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pharos-o11y/pharos/internal/meta"
	"github.com/pharos-o11y/pharos/internal/model"
)

const tenant = model.DefaultTenant

func newLibrary(t *testing.T, provision string) *Library {
	t.Helper()
	db, err := meta.Open(t.Context(), meta.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	l, err := New(Options{DB: db, Provision: provision})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSetFields(t *testing.T) {
	tests := []struct{ in, want string }{
		{`{}`, `{"id":7,"uid":"u"}`},
		{`{ "title": "a" }`, `{"id":7,"uid":"u", "title": "a" }`},
		{"{\n  \"id\": null,\n  \"n\": 1.10,\n  \"uid\":  \"old\"\n}\n", "{\n  \"id\": 7,\n  \"n\": 1.10,\n  \"uid\":  \"u\"\n}\n"},
		{`{"p":{"id":1,"uid":"x"},"uid":null}`, `{"id":7,"p":{"id":1,"uid":"x"},"uid":"u"}`},
	}
	for _, tt := range tests {
		got, err := SetFields(tt.in, map[string]any{"id": 7, "uid": "u"})
		if err != nil || got != tt.want {
			t.Errorf("SetFields(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
	if _, err := SetFields(`[1]`, map[string]any{"id": 7}); !errors.Is(err, ErrInvalid) {
		t.Errorf("of an array: %v", err)
	}
}

func TestParse(t *testing.T) {
	tests := []struct {
		in   string
		want Info
		bad  bool
	}{
		{in: `{"title":" A ","uid":"u","tags":["x","x"," "],"version":3,"id":9}`, want: Info{UID: "u", ID: 9, Title: "A", Tags: []string{"x"}, Version: 3}},
		{in: `{"title":"A","uid":null,"id":null,"version":"?"}`, want: Info{Title: "A"}},
		{in: `{"title":""}`, bad: true},
		{in: `{"title":"A","uid":"a/b"}`, bad: true},
		{in: `{"title":"A"`, bad: true},
		{in: "{\"title\":\"\xff\"}", bad: true},
		{in: `[]`, bad: true},
	}
	for _, tt := range tests {
		got, err := Parse(tt.in)
		if tt.bad {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("Parse(%q) error = %v", tt.in, err)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("Parse(%q): %v %s", tt.in, err, diff)
		}
	}
}

func TestUnwrap(t *testing.T) {
	for in, want := range map[string]string{
		`{"title":"A"}`: `{"title":"A"}`,
		`{"meta":{},"dashboard": {"title":  "A"} }`: `{"title":  "A"}`,
		`{"dashboard":{"title":"A"},"panels":[]}`:   `{"dashboard":{"title":"A"},"panels":[]}`,
		`nonsense`: `nonsense`,
	} {
		if got := Unwrap(in); got != want {
			t.Errorf("Unwrap(%q) = %q", in, got)
		}
	}
}

// TestShelves follows one uid over the shelves: shipped, changed, deleted.
func TestShelves(t *testing.T) {
	l := newLibrary(t, "")
	ctx := t.Context()
	d, err := l.Get(ctx, tenant, "pharos")
	if err != nil || d.Source != Shipped || d.Version != 1 {
		t.Fatalf("shipped: %+v, %v", d, err)
	}
	text, err := SetFields(d.Body, map[string]any{"title": "Mine", "version": 1})
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.Save(ctx, tenant, Save{Text: text, Folder: d.Folder})
	if err != nil || m.Version != 2 {
		t.Fatalf("save: %+v, %v", m, err)
	}
	if d, err := l.Get(ctx, tenant, "pharos"); err != nil || d.Source != Saved || d.Body != text {
		t.Errorf("saved: %+v, %v", d.Source, err)
	}
	vs, err := l.Versions(ctx, tenant, "pharos")
	if err != nil || len(vs) != 2 {
		t.Errorf("versions: %+v, %v", vs, err)
	}
	if _, err := l.Restore(ctx, tenant, "pharos", 1); err != nil {
		t.Error(err)
	}
	if d, err := l.Get(ctx, tenant, "pharos"); err != nil || d.Title != "Pharos itself" {
		t.Errorf("restored: %q, %v", d.Title, err)
	}
	if err := l.Delete(ctx, tenant, "pharos"); err != nil {
		t.Error(err)
	}
	if d, err := l.Get(ctx, tenant, "pharos"); err != nil || d.Source != Shipped {
		t.Errorf("after delete: %+v, %v", d.Source, err)
	}
}

func TestSaveWithoutUID(t *testing.T) {
	l := newLibrary(t, "")
	ctx := t.Context()
	a, err := l.Save(ctx, tenant, Save{Text: `{"title":"T"}`})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Save(ctx, tenant, Save{Text: `{"title":"T"}`}); !errors.Is(err, ErrTitleTaken) {
		t.Errorf("second: %v", err)
	}
	b, err := l.Save(ctx, tenant, Save{Text: `{"title":"T"}`, Overwrite: true})
	if err != nil || b.UID != a.UID || b.Version != 2 {
		t.Errorf("overwrite: %+v, %v", b, err)
	}
	if _, err := l.Save(ctx, tenant, Save{Text: `{"title":"U"}`, Folder: "nowhere"}); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("unknown folder: %v", err)
	}
}

func TestProvision(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.json", `{"uid":"a","title":"A"}`)
	write("Team X/b.json", `{"title":"B"}`)
	write("broken.json", `{`)
	l := newLibrary(t, dir)
	ctx := t.Context()
	list, err := l.Search(ctx, tenant, Query{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range list {
		if d.Source == File {
			got = append(got, d.Folder+"/"+d.Title)
		}
	}
	if diff := cmp.Diff([]string{"/A", "team-x/B"}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := l.Save(ctx, tenant, Save{Text: `{"uid":"a","title":"A2"}`, Overwrite: true}); !errors.Is(err, ErrProvisioned) {
		t.Errorf("save: %v", err)
	}
	if err := l.Delete(ctx, tenant, "a"); !errors.Is(err, ErrProvisioned) {
		t.Errorf("delete: %v", err)
	}

	before := l.fingerprint()
	write("c.json", `{"uid":"c","title":"C"}`)
	if l.fingerprint() == before {
		t.Error("a new file goes unnoticed")
	}
	write("all.yaml", "apiVersion: 1\nproviders:\n  - name: x\n    folder: Ops\n    options: {path: .}\n")
	l.provision()
	if d, err := l.Get(ctx, tenant, "c"); err != nil || d.Folder != "ops" {
		t.Errorf("by YAML: %+v, %v", d.Folder, err)
	}
}

// FuzzSetFields checks that setting a field keeps the text a dashboard.
func FuzzSetFields(f *testing.F) {
	f.Add(`{"title":"a"}`)
	f.Add("{ \"uid\" : null,\n\"title\":\"x\", \"uid\": 1}")
	f.Fuzz(func(t *testing.T, text string) {
		info, err := Parse(text)
		if err != nil {
			return
		}
		got, err := SetFields(text, map[string]any{"uid": "u", "version": 5})
		if err != nil {
			t.Fatal(err)
		}
		after, err := Parse(got)
		if err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		info.UID, info.Version = "u", 5
		if diff := cmp.Diff(info, after); diff != "" {
			t.Error(diff)
		}
	})
}
