// Package dashboard keeps Grafana dashboards. The text of a dashboard is kept and given
// back byte for byte; what this package knows of it (title, uid, tags, version) is read
// from it and never written into it.
//
// A [Library] has three shelves, looked through in this order: files of a provisioning
// folder, which only their files change; what users saved, in the meta store; and the
// dashboards that Pharos ships. Saving a shipped dashboard puts the changed copy in front
// of the shipped one, and deleting that copy brings the shipped one back.
package dashboard

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/pharos-o11y/pharos/internal/meta"
	"github.com/pharos-o11y/pharos/internal/model"
)

var (
	// ErrInvalid means that a text is not a dashboard.
	ErrInvalid = errors.New("invalid dashboard")
	// ErrProvisioned means that a dashboard comes from a file, and only the file changes it.
	ErrProvisioned = errors.New("cannot save provisioned dashboard")
	// ErrTitleTaken means that a dashboard of the title is in the folder already.
	ErrTitleTaken = errors.New("a dashboard with the same title in the folder already exists")
)

// Source is the shelf that a dashboard stands on.
type Source string

// The shelves.
const (
	Saved   Source = "saved"
	File    Source = "file"
	Shipped Source = "shipped"
)

// Dashboard is a dashboard of the library.
type Dashboard struct {
	meta.Dashboard
	Source  Source
	Path    string // of the file, if Source is File
	Starred bool
}

// Options configures a Library.
type Options struct {
	DB        *meta.DB
	Provision string       // directory of dashboards, or YAML file of providers; "" means none
	NoShipped bool         // leave out the dashboards that Pharos ships
	Logger    *slog.Logger // nil discards
}

// Library is all dashboards. Run keeps its provisioning folder up to date.
type Library struct {
	opts    Options
	shipped shelf
	files   atomic.Pointer[shelf]
}

// shelf is dashboards in memory, by uid.
type shelf struct {
	byUID   map[string]Dashboard
	folders map[string]string // title by uid
}

// New returns a library. It reads the provisioning folder once; what is wrong there is
// logged and left out.
func New(opts Options) (*Library, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Library{opts: opts}
	l.files.Store(&shelf{})
	if !opts.NoShipped {
		var err error
		if l.shipped, err = readShipped(); err != nil {
			return nil, err
		}
	}
	if opts.Provision != "" {
		l.provision()
	}
	return l, nil
}

// Get returns a dashboard with its text.
func (l *Library) Get(ctx context.Context, tenant model.Tenant, uid string) (Dashboard, error) {
	stars, err := l.opts.DB.Stars(ctx, tenant)
	if err != nil {
		return Dashboard{}, err
	}
	if d, ok := l.files.Load().byUID[uid]; ok {
		d.Starred = stars[uid]
		return d, nil
	}
	saved, err := l.opts.DB.Dashboard(ctx, tenant, uid)
	if err == nil {
		return Dashboard{Dashboard: saved, Source: Saved, Starred: stars[uid]}, nil
	}
	if d, ok := l.shipped.byUID[uid]; ok && errors.Is(err, meta.ErrNotFound) {
		d.Starred = stars[uid]
		return d, nil
	}
	return Dashboard{}, err
}

// Query narrows [Library.Search]. The zero value matches everything.
type Query struct {
	Title   string   // part of the title, in any case
	Tags    []string // all of them
	Folders []string // any of them; "general" is the top
	UIDs    []string // any of them
	Starred bool
}

func (q *Query) matches(d Dashboard) bool {
	if q.Starred && !d.Starred || len(q.UIDs) > 0 && !slices.Contains(q.UIDs, d.UID) {
		return false
	}
	folder := d.Folder
	if folder == "" {
		folder = GeneralFolder
	}
	if len(q.Folders) > 0 && !slices.Contains(q.Folders, folder) {
		return false
	}
	for _, tag := range q.Tags {
		if !slices.Contains(d.Tags, tag) {
			return false
		}
	}
	return strings.Contains(strings.ToLower(d.Title), strings.ToLower(q.Title))
}

// Search lists dashboards by title, without their texts.
func (l *Library) Search(ctx context.Context, tenant model.Tenant, q Query) ([]Dashboard, error) {
	saved, err := l.opts.DB.Dashboards(ctx, tenant)
	if err != nil {
		return nil, err
	}
	stars, err := l.opts.DB.Stars(ctx, tenant)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var out []Dashboard
	add := func(d Dashboard) {
		if seen[d.UID] {
			return
		}
		seen[d.UID] = true
		d.Starred, d.Body = stars[d.UID], ""
		if q.matches(d) {
			out = append(out, d)
		}
	}
	for _, d := range l.files.Load().byUID {
		add(d)
	}
	for _, d := range saved {
		add(Dashboard{Dashboard: d, Source: Saved})
	}
	for _, d := range l.shipped.byUID {
		add(d)
	}
	slices.SortFunc(out, func(a, b Dashboard) int {
		return strings.Compare(strings.ToLower(a.Title)+"\x00"+a.UID, strings.ToLower(b.Title)+"\x00"+b.UID)
	})
	return out, nil
}

// Save is a request to store a dashboard.
type Save struct {
	Text         string // the dashboard as JSON
	Folder       string // uid
	Message      string
	Overwrite    bool
	RestoredFrom int64
}

// Save stores a dashboard. Its uid is the one in the text; without one, a dashboard of
// the same title and folder is replaced if Overwrite is set, and else a new one made.
// Its version is the one in the text: if the stored one is another, the error is
// [meta.ErrVersion] unless Overwrite is set.
func (l *Library) Save(ctx context.Context, tenant model.Tenant, s Save) (meta.Dashboard, error) {
	info, err := Parse(s.Text)
	if err != nil {
		return meta.Dashboard{}, err
	}
	if s.Folder == GeneralFolder {
		s.Folder = ""
	}
	if info.UID == "" {
		if info.UID, err = l.uidFor(ctx, tenant, s, info); err != nil {
			return meta.Dashboard{}, err
		}
	}
	if _, ok := l.files.Load().byUID[info.UID]; ok {
		return meta.Dashboard{}, ErrProvisioned
	}
	if err := l.unshelve(ctx, tenant, info.UID); err != nil {
		return meta.Dashboard{}, err
	}
	if s.Folder != "" {
		if err := l.ensureFolder(ctx, tenant, s.Folder); err != nil {
			return meta.Dashboard{}, err
		}
	}
	return l.opts.DB.SaveDashboard(ctx, tenant, meta.Save{
		Dashboard: meta.Dashboard{UID: info.UID, Title: info.Title, Tags: info.Tags, Folder: s.Folder, Body: s.Text},
		Expect:    info.Version, Overwrite: s.Overwrite, Message: s.Message, RestoredFrom: s.RestoredFrom,
	})
}

// uidFor chooses the uid of a text that has none.
func (l *Library) uidFor(ctx context.Context, tenant model.Tenant, s Save, info Info) (string, error) {
	all, err := l.Search(ctx, tenant, Query{})
	if err != nil {
		return "", err
	}
	for _, d := range all {
		switch {
		case info.ID > 0 && d.ID == info.ID && d.Source == Saved:
			return d.UID, nil
		case d.Title == info.Title && d.Folder == s.Folder && s.Overwrite:
			return d.UID, nil
		case d.Title == info.Title && d.Folder == s.Folder:
			return "", ErrTitleTaken
		}
	}
	return NewUID(), nil
}

// unshelve puts a shipped dashboard into the meta store as its first version, so that
// the history of the copy begins with what was shipped.
func (l *Library) unshelve(ctx context.Context, tenant model.Tenant, uid string) error {
	d, ok := l.shipped.byUID[uid]
	if !ok {
		return nil
	}
	_, err := l.opts.DB.Dashboard(ctx, tenant, uid)
	if err == nil || !errors.Is(err, meta.ErrNotFound) {
		return err
	}
	old, err := l.opts.DB.Versions(ctx, tenant, uid)
	if err != nil || len(old) > 0 {
		return err
	}
	if err := l.ensureFolder(ctx, tenant, d.Folder); err != nil {
		return err
	}
	_, err = l.opts.DB.SaveDashboard(ctx, tenant, meta.Save{Dashboard: d.Dashboard, Message: "As shipped with Pharos"})
	return err
}

// Delete removes a saved dashboard.
func (l *Library) Delete(ctx context.Context, tenant model.Tenant, uid string) error {
	if _, ok := l.files.Load().byUID[uid]; ok {
		return ErrProvisioned
	}
	return l.opts.DB.DeleteDashboard(ctx, tenant, uid)
}

// Versions lists the history of a dashboard, newest first. One that was never saved has
// a single version.
func (l *Library) Versions(ctx context.Context, tenant model.Tenant, uid string) ([]meta.Version, error) {
	d, err := l.Get(ctx, tenant, uid)
	if err != nil {
		return nil, err
	}
	if d.Source != Saved {
		return []meta.Version{{Version: d.Version, Created: d.Created}}, nil
	}
	return l.opts.DB.Versions(ctx, tenant, uid)
}

// Version returns one version with its text.
func (l *Library) Version(ctx context.Context, tenant model.Tenant, uid string, version int64) (meta.Version, error) {
	d, err := l.Get(ctx, tenant, uid)
	if err != nil {
		return meta.Version{}, err
	}
	if d.Source != Saved && version == d.Version {
		return meta.Version{Version: d.Version, Created: d.Created, Body: d.Body}, nil
	}
	return l.opts.DB.DashboardVersion(ctx, tenant, uid, version)
}

// Restore saves an earlier version as the newest.
func (l *Library) Restore(ctx context.Context, tenant model.Tenant, uid string, version int64) (meta.Dashboard, error) {
	d, err := l.Get(ctx, tenant, uid)
	if err != nil {
		return meta.Dashboard{}, err
	}
	v, err := l.Version(ctx, tenant, uid, version)
	if err != nil {
		return meta.Dashboard{}, err
	}
	text, err := SetFields(v.Body, map[string]any{"uid": uid})
	if err != nil {
		return meta.Dashboard{}, err
	}
	return l.Save(ctx, tenant, Save{
		Text: text, Folder: d.Folder, Overwrite: true, RestoredFrom: version,
		Message: fmt.Sprintf("Restored from version %d", version),
	})
}

// Star sets or removes the star of a dashboard.
func (l *Library) Star(ctx context.Context, tenant model.Tenant, uid string, on bool) error {
	if _, err := l.Get(ctx, tenant, uid); err != nil {
		return err
	}
	return l.opts.DB.Star(ctx, tenant, uid, on)
}

// NewUID returns a random uid.
func NewUID() string { return strings.ToLower(rand.Text()[:14]) }

// maxUID is the longest uid, in bytes; Grafana's limit.
const maxUID = 40

// checkUID reports whether uid can stand in an address.
func checkUID(uid string) error {
	if len(uid) > maxUID {
		return fmt.Errorf("%w: uid is longer than %d characters", ErrInvalid, maxUID)
	}
	for _, r := range uid {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
		default:
			return fmt.Errorf("%w: uid %q has %q; letters, digits, - and _ are allowed", ErrInvalid, uid, string(r))
		}
	}
	return nil
}

// checkText refuses what no database can keep.
func checkText(text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("%w: the text is not UTF-8", ErrInvalid)
	}
	if strings.ContainsRune(text, 0) {
		return fmt.Errorf("%w: the text has a zero byte", ErrInvalid)
	}
	return nil
}

// startTime stands for the age of what has no date of its own.
func startTime() time.Time { return time.Unix(0, 0).UTC() }
