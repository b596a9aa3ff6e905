package grafana

// Dashboards: save, get, delete, search, history, stars.

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pharos-o11y/pharos/internal/api"
	"github.com/pharos-o11y/pharos/internal/dashboard"
	"github.com/pharos-o11y/pharos/internal/meta"
	"github.com/pharos-o11y/pharos/internal/model"
)

type saveRequest struct {
	Dashboard json.RawMessage `json:"dashboard"`
	FolderUID string          `json:"folderUid"`
	FolderID  int64           `json:"folderId"`
	Message   string          `json:"message"`
	Overwrite bool            `json:"overwrite"`
}

func (a *API) save(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	var req saveRequest
	if err := a.read(w, r, &req); err != nil {
		return err
	}
	if len(req.Dashboard) == 0 {
		return api.Invalid(`bad request data: "dashboard" is missing`)
	}
	if req.FolderUID == "" && req.FolderID != 0 {
		if req.FolderUID, err = a.folderOf(r, tenant, req.FolderID); err != nil {
			return err
		}
	}
	d, err := a.Library.Save(r.Context(), tenant, dashboard.Save{
		Text: string(req.Dashboard), Folder: req.FolderUID, Message: req.Message, Overwrite: req.Overwrite,
	})
	if err != nil {
		return err
	}
	return writeJSON(w, saved(d))
}

func (a *API) folderOf(r *http.Request, tenant model.Tenant, id int64) (string, error) {
	list, err := a.Library.Folders(r.Context(), tenant)
	if err != nil {
		return "", err
	}
	for _, f := range list {
		if f.ID == id {
			return f.UID, nil
		}
	}
	return "", api.Invalid("folder %d does not exist", id)
}

func saved(d meta.Dashboard) map[string]any {
	return map[string]any{
		"id": d.ID, "uid": d.UID, "url": address(d), "status": "success", "version": d.Version,
		"slug": dashboard.Slug(d.Title), "folderUid": d.Folder,
	}
}

func address(d meta.Dashboard) string { return "/d/" + d.UID + "/" + dashboard.Slug(d.Title) }

// get answers the text with its own id, uid and version set, as clients expect them to
// be there; the rest of the text is as it was saved.
func (a *API) get(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	d, err := a.Library.Get(r.Context(), tenant, r.PathValue("uid"))
	if err != nil {
		return err
	}
	text, err := dashboard.SetFields(d.Body, map[string]any{"id": d.ID, "uid": d.UID, "version": d.Version})
	if err != nil {
		return err
	}
	folder := meta.Folder{Title: "General"}
	if d.Folder != "" {
		if folder, err = a.Library.Folder(r.Context(), tenant, d.Folder); err != nil {
			folder = meta.Folder{UID: d.Folder, Title: d.Folder}
		}
	}
	info, err := json.Marshal(map[string]any{
		"type": "db", "canSave": true, "canEdit": true, "canAdmin": true, "canStar": true, "canDelete": d.Source == dashboard.Saved,
		"slug": dashboard.Slug(d.Title), "url": address(d.Dashboard), "isStarred": d.Starred,
		"version": d.Version, "created": d.Created.Format(time.RFC3339), "updated": d.Updated.Format(time.RFC3339),
		"folderId": folder.ID, "folderUid": folder.UID, "folderTitle": folder.Title,
		"provisioned": d.Source == dashboard.File, "provisionedExternalId": d.Path, "source": d.Source,
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	// Written as it is: an encoder would reformat the text.
	_, err = w.Write([]byte(`{"meta":` + string(info) + `,"dashboard":` + text + `}`))
	return err
}

// raw answers exactly the bytes that were saved.
func (a *API) raw(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	d, err := a.Library.Get(r.Context(), tenant, r.PathValue("uid"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", `attachment; filename="`+dashboard.Slug(d.Title)+`.json"`)
	_, err = w.Write([]byte(d.Body))
	return err
}

func (a *API) remove(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	d, err := a.Library.Get(r.Context(), tenant, r.PathValue("uid"))
	if err != nil {
		return err
	}
	if err := a.Library.Delete(r.Context(), tenant, d.UID); err != nil {
		return err
	}
	return writeJSON(w, map[string]any{"title": d.Title, "message": "Dashboard " + d.Title + " deleted", "id": d.ID})
}

type versionInfo struct {
	ID            int64           `json:"id"`
	UID           string          `json:"uid"`
	Version       int64           `json:"version"`
	ParentVersion int64           `json:"parentVersion"`
	RestoredFrom  int64           `json:"restoredFrom"`
	Created       time.Time       `json:"created"`
	CreatedBy     string          `json:"createdBy"`
	Message       string          `json:"message"`
	Data          json.RawMessage `json:"data,omitempty"`
}

func toVersion(uid string, v meta.Version) versionInfo {
	return versionInfo{
		ID: v.Version, UID: uid, Version: v.Version, ParentVersion: v.Version - 1, RestoredFrom: v.RestoredFrom,
		Created: v.Created, Message: v.Message, Data: json.RawMessage(v.Body),
	}
}

func (a *API) versions(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	uid := r.PathValue("uid")
	list, err := a.Library.Versions(r.Context(), tenant, uid)
	if err != nil {
		return err
	}
	out := make([]versionInfo, len(list))
	for i, v := range list {
		out[i] = toVersion(uid, v)
	}
	return writeJSON(w, map[string]any{"versions": out, "continueToken": ""})
}

func (a *API) version(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(r.PathValue("version"), 10, 64)
	if err != nil {
		return api.Invalid("version %q is not a number", r.PathValue("version"))
	}
	uid := r.PathValue("uid")
	v, err := a.Library.Version(r.Context(), tenant, uid, n)
	if err != nil {
		return err
	}
	return writeJSON(w, toVersion(uid, v))
}

func (a *API) restore(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	var req struct {
		Version int64 `json:"version"`
	}
	if err := a.read(w, r, &req); err != nil {
		return err
	}
	d, err := a.Library.Restore(r.Context(), tenant, r.PathValue("uid"), req.Version)
	if err != nil {
		return err
	}
	return writeJSON(w, saved(d))
}

func (a *API) star(on bool) api.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		tenant, err := a.Tenancy.Of(r)
		if err != nil {
			return err
		}
		if err := a.Library.Star(r.Context(), tenant, r.PathValue("uid"), on); err != nil {
			return err
		}
		return writeJSON(w, map[string]string{"message": "done"})
	}
}

func (a *API) tags(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	list, err := a.Library.Search(r.Context(), tenant, dashboard.Query{})
	if err != nil {
		return err
	}
	counts := map[string]int{}
	for _, d := range list {
		for _, t := range d.Tags {
			counts[t]++
		}
	}
	type tag struct {
		Term  string `json:"term"`
		Count int    `json:"count"`
	}
	out := []tag{}
	for t, n := range counts {
		out = append(out, tag{t, n})
	}
	slices.SortFunc(out, func(x, y tag) int { return strings.Compare(x.Term, y.Term) })
	return writeJSON(w, out)
}

type hit struct {
	ID          int64     `json:"id"`
	UID         string    `json:"uid"`
	Title       string    `json:"title"`
	URI         string    `json:"uri"`
	URL         string    `json:"url"`
	Slug        string    `json:"slug"`
	Type        string    `json:"type"`
	Tags        []string  `json:"tags"`
	IsStarred   bool      `json:"isStarred"`
	FolderUID   string    `json:"folderUid,omitempty"`
	FolderTitle string    `json:"folderTitle,omitempty"`
	FolderURL   string    `json:"folderUrl,omitempty"`
	Source      string    `json:"source,omitempty"` // not Grafana's: which shelf
	Updated     time.Time `json:"updated,omitzero"` // not Grafana's
}

// maxHits is Grafana's largest page.
const maxHits = 5000

func (a *API) search(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	p := r.URL.Query()
	limit, page := 1000, 1
	for name, dst := range map[string]*int{"limit": &limit, "page": &page} {
		if s := p.Get(name); s != "" {
			if *dst, err = strconv.Atoi(s); err != nil || *dst < 1 {
				return api.Invalid("%s %q is not a positive number", name, s)
			}
		}
	}
	limit = min(limit, maxHits)
	folders, err := a.Library.Folders(r.Context(), tenant)
	if err != nil {
		return err
	}
	hits := []hit{}
	if kind := p.Get("type"); kind != "dash-db" {
		hits = folderHits(folders, p.Get("query"))
		if p.Has("tag") || p.Has("starred") || p.Has("dashboardUIDs") || p.Has("dashboardUID") {
			hits = hits[:0]
		}
	}
	if p.Get("type") != "dash-folder" {
		list, err := a.Library.Search(r.Context(), tenant, dashboard.Query{
			Title: p.Get("query"), Tags: p["tag"], Folders: splitAll(p["folderUIDs"]),
			UIDs: splitAll(append(p["dashboardUIDs"], p["dashboardUID"]...)), Starred: p.Get("starred") == "true",
		})
		if err != nil {
			return err
		}
		for _, d := range list {
			hits = append(hits, dashboardHit(d, folders))
		}
	}
	from := min(len(hits), (page-1)*limit)
	return writeJSON(w, hits[from:min(len(hits), from+limit)])
}

func folderHits(folders []meta.Folder, query string) []hit {
	hits := []hit{}
	for _, f := range folders {
		if strings.Contains(strings.ToLower(f.Title), strings.ToLower(query)) {
			hits = append(hits, hit{
				ID: f.ID, UID: f.UID, Title: f.Title, URI: "db/" + dashboard.Slug(f.Title), URL: folderURL(f.UID),
				Slug: dashboard.Slug(f.Title), Type: "dash-folder", Tags: []string{},
			})
		}
	}
	return hits
}

func folderURL(uid string) string { return "/d?folder=" + uid }

func dashboardHit(d dashboard.Dashboard, folders []meta.Folder) hit {
	h := hit{
		ID: d.ID, UID: d.UID, Title: d.Title, URI: "db/" + dashboard.Slug(d.Title), URL: address(d.Dashboard), Slug: dashboard.Slug(d.Title),
		Type: "dash-db", Tags: d.Tags, IsStarred: d.Starred, Source: string(d.Source), Updated: d.Updated,
	}
	if h.Tags == nil {
		h.Tags = []string{}
	}
	for _, f := range folders {
		if f.UID == d.Folder && d.Folder != "" {
			h.FolderUID, h.FolderTitle, h.FolderURL = f.UID, f.Title, folderURL(f.UID)
		}
	}
	return h
}

// splitAll splits values that may be lists separated by commas.
func splitAll(values []string) []string {
	var out []string
	for _, v := range values {
		for s := range strings.SplitSeq(v, ",") {
			if s != "" {
				out = append(out, s)
			}
		}
	}
	return out
}
