// Package webui serves the built web UI: files with their precompressed forms, an
// immutable cache for hashed assets, and index.html for every other path, since the UI
// routes in the browser.
package webui

import (
	"io/fs"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
)

// csp lets the page load only what this server serves. The UI has no inline script;
// style attributes are written by the chart and editor libraries.
const csp = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"

const notBuilt = `<!doctype html><meta charset="utf-8"><title>Pharos</title>
<h1>The UI is not built into this binary</h1>
<p>Run <code>make</code> in the source tree: it builds the UI and the binary. All APIs work without it.</p>
`

// Handler serves dist.
func Handler(dist fs.FS) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", csp)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
		switch {
		case isFile(dist, name):
			if strings.HasPrefix(name, "assets/") {
				h.Set("Cache-Control", "public, max-age=31536000, immutable")
			}
			serve(w, r, dist, name)
		case notOurs(name):
			http.NotFound(w, r)
		case isFile(dist, "index.html"):
			h.Set("Cache-Control", "no-cache")
			serve(w, r, dist, "index.html")
		default:
			h.Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte(notBuilt)) // the client is gone if it fails
		}
	})
}

// Pages gives paths that an API also has, such as Loki's /services, to browsers: who asks
// for HTML there gets ui, all others get next.
func Pages(next, ui http.Handler, paths ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(paths, r.URL.Path) && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
			ui.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// notOurs reports whether name is below a prefix of assets or of an API, where a page
// would be a puzzle for the client.
func notOurs(name string) bool {
	for _, prefix := range [...]string{"assets/", "api/", "loki/", "prometheus/", "tempo/", "jaeger/"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func isFile(dist fs.FS, name string) bool {
	if name == "" || strings.HasPrefix(path.Base(name), ".") {
		return false
	}
	info, err := fs.Stat(dist, name)
	return err == nil && !info.IsDir()
}

// serve writes the file, compressed if there is a .gz beside it and the client accepts it.
func serve(w http.ResponseWriter, r *http.Request, dist fs.FS, name string) {
	file := name
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && isFile(dist, name+".gz") {
		w.Header().Set("Content-Encoding", "gzip")
		file = name + ".gz"
	}
	w.Header().Add("Vary", "Accept-Encoding")
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		w.Header().Set("Content-Type", t)
	}
	http.ServeFileFS(w, r, dist, file)
}
