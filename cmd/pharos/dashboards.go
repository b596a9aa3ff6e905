package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/pharos-o11y/pharos/internal/dashboard"
)

type dashboardsCmd struct {
	Import dashboardsImportCmd `cmd:"" help:"Save Grafana dashboards from JSON files."`
	Export dashboardsExportCmd `cmd:"" help:"Print a dashboard exactly as it was saved."`
	List   dashboardsListCmd   `cmd:"" help:"List dashboards."`
}

// serverAt is the server that a command talks to.
type serverAt struct {
	Addr   string `help:"Address of the server." default:"http://127.0.0.1:4319"`
	Tenant string `help:"Tenant, sent as X-Scope-OrgID."`
}

// do sends a request and returns the body of its answer.
func (s *serverAt) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.Addr+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if s.Tenant != "" {
		req.Header.Set("X-Scope-OrgID", s.Tenant)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read to the end
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		var e struct{ Message string }
		if json.Unmarshal(answer, &e) == nil && e.Message != "" {
			answer = []byte(e.Message)
		}
		return nil, fmt.Errorf("the server answered %s: %s", resp.Status, answer)
	}
	return answer, nil
}

type dashboardsImportCmd struct {
	serverAt
	Folder string   `help:"Uid of the folder." placeholder:"UID"`
	Keep   bool     `help:"Fail where a dashboard of the same uid or title exists, instead of saving a new version of it."`
	Files  []string `arg:"" help:"JSON files; - is standard input." type:"path"`
}

// Run saves the files one by one and stops at the first that fails.
func (c *dashboardsImportCmd) Run(ctx context.Context, s streams) error {
	for _, file := range c.Files {
		read := func() ([]byte, error) { return os.ReadFile(file) }
		if filepath.Base(file) == "-" {
			read = func() ([]byte, error) { return io.ReadAll(os.Stdin) }
		}
		text, err := read()
		if err != nil {
			return fmt.Errorf("import: %w", err)
		}
		if err := c.save(ctx, s, dashboard.Unwrap(string(text))); err != nil {
			return fmt.Errorf("import %s: %w", file, err)
		}
	}
	return nil
}

func (c *dashboardsImportCmd) save(ctx context.Context, s streams, text string) error {
	if _, err := dashboard.Parse(text); err != nil {
		return err
	}
	// By hand: an encoder would reformat the text, and its bytes are to be kept.
	rest, err := json.Marshal(map[string]any{"folderUid": c.Folder, "overwrite": !c.Keep, "message": "Imported by pharos dashboards import"})
	if err != nil {
		return err
	}
	answer, err := c.do(ctx, http.MethodPost, "/api/dashboards/db", []byte(`{"dashboard":`+text+`,`+string(rest[1:])))
	if err != nil {
		return err
	}
	var saved struct {
		UID, URL string
		Version  int64
	}
	if err := json.Unmarshal(answer, &saved); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	_, err = fmt.Fprintf(s.out, "%s version %d: %s%s\n", saved.UID, saved.Version, c.Addr, saved.URL)
	return err
}

type dashboardsExportCmd struct {
	serverAt
	UID string `arg:"" help:"Uid of the dashboard."`
}

// Run prints the text.
func (c *dashboardsExportCmd) Run(ctx context.Context, s streams) error {
	text, err := c.do(ctx, http.MethodGet, "/api/dashboards/uid/"+url.PathEscape(c.UID)+"/raw", nil)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	_, err = s.out.Write(text)
	return err
}

type dashboardsListCmd struct {
	serverAt
	Query string `arg:"" optional:"" help:"Part of the title."`
}

// Run prints a table.
func (c *dashboardsListCmd) Run(ctx context.Context, s streams) error {
	answer, err := c.do(ctx, http.MethodGet, "/api/search?type=dash-db&query="+url.QueryEscape(c.Query), nil)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	var hits []struct{ UID, Title, FolderTitle, Source string }
	if err := json.Unmarshal(answer, &hits); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "UID\tFOLDER\tSOURCE\tTITLE")
	for _, h := range hits {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", h.UID, h.FolderTitle, h.Source, h.Title)
	}
	return w.Flush()
}
