package dashboard

// Dashboards from files: what is shipped inside the binary, and the provisioning folder,
// looked at every few seconds.

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pharos-o11y/pharos/internal/meta"
)

var errEmptyTitle = fmt.Errorf("%w: the title is empty", ErrInvalid)

//go:embed builtin/*.json
var builtin embed.FS

// shippedFolder is where the dashboards that Pharos ships are shown.
const shippedFolder = "Pharos"

func readShipped() (shelf, error) {
	s := newShelf()
	names, err := fs.Glob(builtin, "builtin/*.json")
	if err != nil {
		return s, err
	}
	for _, name := range names {
		text, err := builtin.ReadFile(name)
		if err != nil {
			return s, err
		}
		if err := s.add(string(text), shippedFolder, Dashboard{Source: Shipped}); err != nil {
			return s, fmt.Errorf("%s: %w", name, err)
		}
	}
	return s, nil
}

func newShelf() shelf { return shelf{byUID: map[string]Dashboard{}, folders: map[string]string{}} }

// add puts a text on the shelf. d has what the text does not say.
func (s *shelf) add(text, folder string, d Dashboard) error {
	info, err := Parse(text)
	if err != nil {
		return err
	}
	if info.UID == "" {
		h := fnv.New64a()
		_, _ = h.Write([]byte(folder + "/" + info.Title)) // never fails
		info.UID = fmt.Sprintf("f%x", h.Sum64())
	}
	if old, ok := s.byUID[info.UID]; ok {
		return fmt.Errorf("%w: %s has the uid %s already", ErrInvalid, old.Path, info.UID)
	}
	if d.Updated.IsZero() {
		d.Updated = startTime()
	}
	d.Dashboard = meta.Dashboard{
		UID: info.UID, Title: info.Title, Tags: info.Tags, Version: 1,
		Created: d.Updated, Updated: d.Updated, Body: text,
	}
	if folder != "" {
		d.Folder = Slug(folder)
		s.folders[d.Folder] = folder
	}
	s.byUID[info.UID] = d
	return nil
}

// provider is an entry of a provisioning file, in Grafana's form.
type provider struct {
	Name    string `yaml:"name"`
	Folder  string `yaml:"folder"`
	Type    string `yaml:"type"`
	Options struct {
		Path                      string `yaml:"path"`
		FoldersFromFilesStructure bool   `yaml:"foldersFromFilesStructure"`
	} `yaml:"options"`
}

// providers returns where dashboards are: the providers of YAML files, or the directory
// itself with its subdirectories as folders.
func providers(at string) ([]provider, error) {
	info, err := os.Stat(at)
	if err != nil {
		return nil, err
	}
	files := []string{at}
	if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(at, "*.y*ml")); err != nil {
			return nil, err
		}
	}
	if len(files) == 0 {
		p := provider{Name: at, Type: "file"}
		p.Options.Path, p.Options.FoldersFromFilesStructure = at, true
		return []provider{p}, nil
	}
	var list []provider
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		var doc struct {
			Providers []provider `yaml:"providers"`
		}
		if err := yaml.Unmarshal(text, &doc); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		for _, p := range doc.Providers {
			if p.Type != "" && p.Type != "file" {
				return nil, fmt.Errorf("%s: provider %s has type %s; only file is supported", f, p.Name, p.Type)
			}
			if !filepath.IsAbs(p.Options.Path) {
				p.Options.Path = filepath.Join(filepath.Dir(f), p.Options.Path)
			}
			list = append(list, p)
		}
	}
	return list, nil
}

// provision reads the provisioning folder. A file that is wrong is logged and left out;
// a folder that cannot be read leaves the dashboards as they were.
func (l *Library) provision() {
	s := newShelf()
	list, err := providers(l.opts.Provision)
	if err != nil {
		l.opts.Logger.Error("provision dashboards", "err", err)
		return
	}
	for _, p := range list {
		err := filepath.WalkDir(p.Options.Path, func(file string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(file) != ".json" {
				return err
			}
			if err := l.provisionFile(&s, p, file); err != nil {
				l.opts.Logger.Warn("this dashboard is left out", "file", file, "err", err)
			}
			return nil
		})
		if err != nil {
			l.opts.Logger.Error("provision dashboards", "provider", p.Name, "err", err)
			return
		}
	}
	l.files.Store(&s)
	l.opts.Logger.Info("dashboards are provisioned", "from", l.opts.Provision, "dashboards", len(s.byUID))
}

func (l *Library) provisionFile(s *shelf, p provider, file string) error {
	text, err := os.ReadFile(file) //nolint:gosec // the operator names the folder
	if err != nil {
		return err
	}
	d := Dashboard{Source: File, Path: file}
	if info, err := os.Stat(file); err == nil {
		d.Updated = info.ModTime().UTC()
	}
	folder := p.Folder
	if rel, err := filepath.Rel(p.Options.Path, filepath.Dir(file)); err == nil && rel != "." && p.Options.FoldersFromFilesStructure {
		folder = path.Base(filepath.ToSlash(rel))
	}
	return s.add(Unwrap(string(text)), folder, d)
}

// lookEvery is the time between looks at the provisioning folder.
const lookEvery = 5 * time.Second

// Run reads the provisioning folder again whenever it changes, until ctx is done.
func (l *Library) Run(ctx context.Context) error {
	if l.opts.Provision == "" {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	last := l.fingerprint()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if now := l.fingerprint(); now != last {
				last = now
				l.provision()
			}
		}
	}
}

// fingerprint changes whenever a file of the provisioning folder does.
func (l *Library) fingerprint() uint64 {
	h := fnv.New64a()
	roots := []string{l.opts.Provision}
	if list, err := providers(l.opts.Provision); err == nil {
		for _, p := range list {
			roots = append(roots, p.Options.Path)
		}
	}
	slices.Sort(roots)
	for _, root := range slices.Compact(roots) {
		err := filepath.WalkDir(root, func(file string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.Contains(".json.yaml.yml", filepath.Ext(file)) {
				return err
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil {
				_, _ = fmt.Fprintln(h, file, info.Size(), info.ModTime().UnixNano()) // a hash takes everything
			}
			return err
		})
		if err != nil {
			_, _ = fmt.Fprintln(h, root, err) // a hash takes everything
		}
	}
	return h.Sum64()
}
