package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The engine is built from below: internal/store is a user of nothing in it, but the kit
// may use the contract's errors. That one edge inside L1 is allowed.
func allowedInside(from, to string) bool {
	return from == "internal/engine" && to == "internal/store"
}

func TestImportsPointDown(t *testing.T) {
	cmd := exec.Command("go", "list", "-test", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if strings.HasSuffix(f[0], ".test") {
			continue
		}
		from := strings.TrimPrefix(strings.TrimSuffix(f[0], "_test"), module)
		if from == "internal/lint" {
			continue
		}
		fromLayer, fromRoom := place(from)
		if fromLayer < 0 {
			t.Errorf("%s is in no layer: place it in internal/lint/layers.go and docs/ARCHITECTURE.md", from)
			continue
		}
		for _, imp := range f[1:] {
			to, ours := strings.CutPrefix(imp, module)
			if !ours {
				continue
			}
			toLayer, toRoom := place(to)
			if toRoom == fromRoom || toLayer < fromLayer || allowedInside(fromRoom, toRoom) {
				continue
			}
			t.Errorf("%s (layer %d) must not import %s (layer %d): data flows one way; see docs/ARCHITECTURE.md", from, fromLayer, to, toLayer)
		}
	}
}

// TestArchitectureQuotesTheLayers keeps the document true.
func TestArchitectureQuotesTheLayers(t *testing.T) {
	doc, err := os.ReadFile("../../docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers() {
		row := fmt.Sprintf("| %s | `%s` |", l.name, strings.Join(l.rooms, "` `"))
		if !bytes.Contains(doc, []byte(row)) {
			t.Errorf("docs/ARCHITECTURE.md lacks the row %s", row)
		}
	}
}

// goFiles calls f for every Go file of the main module that is not generated.
func goFiles(t *testing.T, mode parser.Mode, f func(path string, fset *token.FileSet, file *ast.File)) {
	t.Helper()
	root := "../.."
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() {
			switch {
			case rel == "bench", rel == "bin", rel == "data", d.Name() == "node_modules", d.Name() == "testdata", strings.HasPrefix(d.Name(), ".") && rel != ".":
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_gen.go") || strings.HasSuffix(path, ".pb.go") {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, mode|parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f(rel, fset, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestGoroutinesHaveOwners demands that code outside internal/run starts goroutines
// through run.Group, errgroup or WaitGroup.Go, which all wait for them.
func TestGoroutinesHaveOwners(t *testing.T) {
	goFiles(t, 0, func(path string, fset *token.FileSet, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "internal/run/") {
			return
		}
		for n := range ast.Preorder(file) {
			if g, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s: bare go statement; who waits for it?", fset.Position(g.Pos()))
			}
			if fn, ok := n.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: init function; wire it in internal/app", fset.Position(fn.Pos()))
			}
		}
	})
}

const (
	maxFileLines = 800
	maxFuncLines = 100
	maxExported  = 50
)

// wideRooms may export more than maxExported names: the contract is one room by design.
// The list may only shrink.
func wideRooms() map[string]int {
	return map[string]int{"internal/store": 100}
}

func TestSizes(t *testing.T) {
	exported := map[string]int{}
	goFiles(t, 0, func(path string, fset *token.FileSet, file *ast.File) {
		if n := fset.Position(file.FileEnd).Line; n > maxFileLines {
			t.Errorf("%s has %d lines, at most %d: one idea a file", path, n, maxFileLines)
		}
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		for _, d := range file.Decls {
			exported[dir] += countExported(d)
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line; n > maxFuncLines && !explained(fn) {
				t.Errorf("%s: function %s has %d lines, at most %d", fset.Position(fn.Pos()), fn.Name.Name, n, maxFuncLines)
			}
		}
	})
	for dir, n := range exported {
		limit := maxExported
		if w, ok := wideRooms()[dir]; ok {
			limit = w
		}
		if n > limit {
			t.Errorf("package %s exports %d names, at most %d: hide more", dir, n, limit)
		}
	}
}

// explained reports whether fn carries a reason for its length: //nolint:funlen // why.
func explained(fn *ast.FuncDecl) bool {
	return fn.Doc != nil && strings.Contains(fmt.Sprint(fn.Doc.List[len(fn.Doc.List)-1].Text), "nolint:funlen //")
}

func countExported(d ast.Decl) int {
	n := 0
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil && d.Name.IsExported() {
			n++
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					n++
				}
			case *ast.ValueSpec:
				for _, id := range s.Names {
					if id.IsExported() {
						n++
					}
				}
			}
		}
	}
	return n
}

func TestPackagesExplainThemselves(t *testing.T) {
	documented := map[string]bool{}
	goFiles(t, parser.PackageClauseOnly, func(path string, _ *token.FileSet, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		dir := filepath.Dir(path)
		documented[dir] = documented[dir] || file.Doc != nil
	})
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no comment that says what it hides", dir)
		}
	}
}
