package grafana

// Folders.

import (
	"net/http"
	"time"

	"github.com/pharos-o11y/pharos/internal/meta"
)

type folderInfo struct {
	ID        int64     `json:"id"`
	UID       string    `json:"uid"`
	Title     string    `json:"title"`
	URL       string    `json:"url"`
	ParentUID string    `json:"parentUid,omitempty"`
	Version   int64     `json:"version"`
	Created   time.Time `json:"created"`
	Updated   time.Time `json:"updated"`
	CanSave   bool      `json:"canSave"`
	CanEdit   bool      `json:"canEdit"`
	CanDelete bool      `json:"canDelete"`
}

func toFolder(f meta.Folder) folderInfo {
	return folderInfo{f.ID, f.UID, f.Title, folderURL(f.UID), f.Parent, f.Version, f.Created, f.Updated, true, true, true}
}

func (a *API) folders(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	list, err := a.Library.Folders(r.Context(), tenant)
	if err != nil {
		return err
	}
	parent := r.URL.Query().Get("parentUid")
	out := []folderInfo{}
	for _, f := range list {
		if f.Parent == parent {
			out = append(out, toFolder(f))
		}
	}
	return writeJSON(w, out)
}

func (a *API) folder(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	f, err := a.Library.Folder(r.Context(), tenant, r.PathValue("uid"))
	if err != nil {
		return err
	}
	return writeJSON(w, toFolder(f))
}

type folderRequest struct {
	UID       string `json:"uid"`
	Title     string `json:"title"`
	ParentUID string `json:"parentUid"`
	Version   int64  `json:"version"`
	Overwrite bool   `json:"overwrite"`
}

func (a *API) createFolder(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	var req folderRequest
	if err := a.read(w, r, &req); err != nil {
		return err
	}
	if req.UID != "" {
		if _, err := a.Library.Folder(r.Context(), tenant, req.UID); err == nil {
			return meta.ErrVersion
		}
	}
	f, err := a.Library.SaveFolder(r.Context(), tenant, meta.Folder{UID: req.UID, Title: req.Title, Parent: req.ParentUID})
	if err != nil {
		return err
	}
	return writeJSON(w, toFolder(f))
}

func (a *API) updateFolder(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	var req folderRequest
	if err := a.read(w, r, &req); err != nil {
		return err
	}
	f, err := a.Library.Folder(r.Context(), tenant, r.PathValue("uid"))
	if err != nil {
		return err
	}
	if !req.Overwrite && req.Version != f.Version {
		return meta.ErrVersion
	}
	f.Title = req.Title
	if f, err = a.Library.SaveFolder(r.Context(), tenant, f); err != nil {
		return err
	}
	return writeJSON(w, toFolder(f))
}

func (a *API) deleteFolder(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	// Without the parameter a folder goes with what it holds, as in Grafana.
	force := r.URL.Query().Get("force") != "false"
	f, err := a.Library.Folder(r.Context(), tenant, r.PathValue("uid"))
	if err != nil {
		return err
	}
	if err := a.Library.DeleteFolder(r.Context(), tenant, f.UID, force); err != nil {
		return err
	}
	return writeJSON(w, map[string]any{"message": "Folder deleted", "id": f.ID, "title": f.Title})
}
