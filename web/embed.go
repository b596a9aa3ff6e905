// Package web carries the built web interface inside the binary.
//
// The files under dist are made by `npm run build` in this folder and are not
// kept in version control; only dist/.gitkeep is, so that the Go code builds
// without Node. Whoever serves the files must therefore expect that index.html
// is missing and say so. Every compressible file has a gzip copy beside it with
// the suffix ".gz"; names under assets/ contain a hash of their content and may
// be cached for ever, all others must be revalidated.
//
// The package imports nothing of Pharos.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Dist returns the built interface with index.html at its root, or a file
// system without index.html when the interface has not been built.
func Dist() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil { // "dist" is a valid path, so this cannot happen
		return dist
	}
	return sub
}
