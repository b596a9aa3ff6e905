package dashboard

// Folders: those that users made, and those of files and of what is shipped.

import (
	"context"
	"slices"
	"strings"

	"github.com/pharos-o11y/pharos/internal/meta"
	"github.com/pharos-o11y/pharos/internal/model"
)

// GeneralFolder is Grafana's name for no folder.
const GeneralFolder = "general"

// Folders lists all folders by title.
func (l *Library) Folders(ctx context.Context, tenant model.Tenant) ([]meta.Folder, error) {
	list, err := l.opts.DB.Folders(ctx, tenant)
	if err != nil {
		return nil, err
	}
	for _, s := range []*shelf{l.files.Load(), &l.shipped} {
		for uid, title := range s.folders {
			if !slices.ContainsFunc(list, func(f meta.Folder) bool { return f.UID == uid }) {
				list = append(list, meta.Folder{UID: uid, Title: title, Version: 1, Created: startTime(), Updated: startTime()})
			}
		}
	}
	slices.SortFunc(list, func(a, b meta.Folder) int {
		return strings.Compare(strings.ToLower(a.Title)+"\x00"+a.UID, strings.ToLower(b.Title)+"\x00"+b.UID)
	})
	return list, nil
}

// Folder returns one folder.
func (l *Library) Folder(ctx context.Context, tenant model.Tenant, uid string) (meta.Folder, error) {
	list, err := l.Folders(ctx, tenant)
	if err != nil {
		return meta.Folder{}, err
	}
	for _, f := range list {
		if f.UID == uid {
			return f, nil
		}
	}
	return meta.Folder{}, meta.ErrNotFound
}

// SaveFolder makes or changes a folder; one without a uid gets one.
func (l *Library) SaveFolder(ctx context.Context, tenant model.Tenant, f meta.Folder) (meta.Folder, error) {
	if strings.TrimSpace(f.Title) == "" {
		return f, errEmptyTitle
	}
	if f.UID == "" {
		f.UID = NewUID()
	}
	if err := checkUID(f.UID); err != nil {
		return f, err
	}
	return l.opts.DB.SaveFolder(ctx, tenant, f)
}

// DeleteFolder removes a folder; force removes what it holds, too.
func (l *Library) DeleteFolder(ctx context.Context, tenant model.Tenant, uid string, force bool) error {
	return l.opts.DB.DeleteFolder(ctx, tenant, uid, force)
}

// ensureFolder makes a folder that so far only files or shipped dashboards have. A
// folder that is nowhere is [meta.ErrNotFound].
func (l *Library) ensureFolder(ctx context.Context, tenant model.Tenant, uid string) error {
	f, err := l.Folder(ctx, tenant, uid)
	if err != nil || f.ID != 0 {
		return err
	}
	_, err = l.opts.DB.SaveFolder(ctx, tenant, f)
	return err
}
