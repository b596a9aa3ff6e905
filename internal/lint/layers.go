// Package lint holds the house rules that no off-the-shelf linter knows, as tests: the
// direction of imports, owners of goroutines, sizes, package comments. The layer table
// below is the one that docs/ARCHITECTURE.md quotes; a test compares them.
package lint

// module is the path of the main module.
const module = "github.com/pharos-o11y/pharos/"

// layer is one floor of the house: rooms that do not know each other and import only
// from floors below.
type layer struct {
	name  string
	rooms []string
}

// layers lists the packages from the ground up. A package belongs to the room with the
// longest matching path; packages of one room may import each other.
func layers() []layer {
	return []layer{
		{"L0", []string{"internal/model", "internal/run", "internal/nesting", "internal/telemetry", "internal/blob", "web"}},
		{"L1", []string{"internal/engine", "internal/store", "internal/meta"}},
		{"L2", []string{
			"internal/metricstore", "internal/logstore", "internal/tracestore", "internal/remote",
			"internal/promql", "internal/metricsql", "internal/logql", "internal/traceql",
			"internal/pipeline", "internal/ingest", "internal/auth",
		}},
		{"L3", []string{"internal/query"}},
		{"L4", []string{"internal/rule", "internal/notify", "internal/dashboard"}},
		{"L5", []string{"internal/api"}},
		{"L6", []string{"internal/config", "internal/demo"}},
		{"L7", []string{"internal/app"}},
		{"L8", []string{"cmd", "test"}},
	}
}

// place returns the index of the layer of pkg (a path below the module) and the room
// that placed it there; -1 if there is none.
func place(pkg string) (n int, room string) {
	n = -1
	for i, l := range layers() {
		for _, r := range l.rooms {
			inRoom := pkg == r || len(pkg) > len(r) && pkg[:len(r)] == r && pkg[len(r)] == '/'
			if inRoom && len(r) > len(room) {
				n, room = i, r
			}
		}
	}
	return n, room
}
