package native

// What the pages for operators need and no compatible API has: costs of queries, reasons
// of refusals, room on the disk.

import (
	"net/http"

	"github.com/pharos-o11y/pharos/internal/model"
)

// mostCostly is the length of the list of costly queries.
const mostCostly = 50

type costlyQuery struct {
	Language string  `json:"language"`
	Query    string  `json:"query"`
	Runs     int     `json:"runs"`
	Failed   int     `json:"failed"`
	Seconds  float64 `json:"seconds"`
	Longest  float64 `json:"longest_seconds"`
	Bytes    int64   `json:"bytes_read"`
	Rows     int64   `json:"rows_scanned"`
	Memory   int64   `json:"peak_memory"`
	Last     int64   `json:"last_unix_ms"`
}

func (a *API) costly(tenant model.Tenant) []costlyQuery {
	list := []costlyQuery{}
	for _, c := range a.Door.Costly(tenant, mostCostly) {
		list = append(list, costlyQuery{
			Language: c.Language, Query: c.Text, Runs: c.Runs, Failed: c.Failed, Seconds: c.Took.Seconds(), Longest: c.Longest.Seconds(),
			Bytes: c.Usage.BytesRead, Rows: c.Usage.RowsScanned, Memory: c.Usage.PeakMemory, Last: c.Last.UnixMilli(),
		})
	}
	return list
}

type reject struct {
	Signal string `json:"signal"`
	Reason string `json:"reason"`
	Count  int64  `json:"count"`
	Sample string `json:"sample"`
	Last   int64  `json:"last_unix_ms"`
}

// rejects lists what was refused of the tenant. Without tenancy that includes what came
// under any other name.
func (a *API) rejects(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	found := a.Meter.Rejects(tenant)
	if !a.Tenancy.Enabled {
		found = append(found, a.Meter.Rejects("")...)
	}
	list := []reject{}
	for _, x := range found {
		list = append(list, reject{x.Signal.String(), x.Reason, x.Count, x.Sample, x.Last.UnixMilli()})
	}
	return writeJSON(w, map[string]any{"rejects": list})
}

type storedSignal struct {
	Disk      int64   `json:"bytes_on_disk"`
	Retention float64 `json:"retention_seconds"` // 0: for ever
}

// storage says how much each signal takes on disk, how long it is kept and how much room
// there is.
func (a *API) storage(w http.ResponseWriter, r *http.Request) error {
	tenant, err := a.Tenancy.Of(r)
	if err != nil {
		return err
	}
	signals := map[string]storedSignal{}
	for _, sig := range []model.Signal{model.Metrics, model.Logs, model.Traces} {
		var s storedSignal
		if disk := a.Disk[sig]; disk != nil {
			s.Disk = disk()
		}
		if a.Retention != nil {
			s.Retention = a.Retention(tenant, sig).Seconds()
		}
		signals[sig.String()] = s
	}
	var free, total int64
	if a.Space != nil {
		free, total = a.Space()
	}
	return writeJSON(w, map[string]any{"signals": signals, "free_bytes": free, "total_bytes": total})
}
