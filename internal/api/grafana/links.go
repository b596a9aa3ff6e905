package grafana

// Short links, in Grafana's form.

import "net/http"

func (a *API) shorten(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	var req struct {
		Path string `json:"path"`
	}
	if err := a.read(w, r, &req); err != nil {
		return err
	}
	uid, err := a.Library.Shorten(r.Context(), tenant, req.Path)
	if err != nil {
		return err
	}
	return writeJSON(w, map[string]string{"uid": uid, "url": "http://" + r.Host + "/goto/" + uid})
}

// follow leads to the address behind a short link. It is a path of this server: nothing
// else can be kept.
func (a *API) follow(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	path, err := a.Library.Expand(r.Context(), tenant, r.PathValue("uid"))
	if err != nil {
		return err
	}
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusFound)
	return nil
}
