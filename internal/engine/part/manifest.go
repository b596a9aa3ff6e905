package part

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Day is a UTC day as the number of days since 1970-01-01.
type Day int32

// DayOf returns the day of a Unix time in nanoseconds.
func DayOf(ns int64) Day {
	d := ns / nsPerDay
	if ns%nsPerDay < 0 {
		d--
	}
	return Day(d)
}

// Start returns the first instant of d, Unix nanoseconds.
func (d Day) Start() int64 { return int64(d) * nsPerDay }

// String returns yyyymmdd.
func (d Day) String() string { return time.Unix(0, d.Start()).UTC().Format("20060102") }

const nsPerDay = int64(24 * time.Hour)

// Info identifies a part and says what is in it.
type Info struct {
	ID     uint64       `json:"id"`
	Tenant model.Tenant `json:"tenant"`
	Day    Day          `json:"day"`
	Size   int64        `json:"size"`
	Stats  Stats        `json:"stats"`
}

// path is the part's file below the set's directory.
func (i Info) path() string {
	return filepath.Join(dataDir, string(i.Tenant), i.Day.String(), fmt.Sprintf("%016x.part", i.ID))
}

// manifest is the state of a set on disk: one line with the checksum of the rest in hex,
// then JSON.
type manifest struct {
	Version     int     `json:"version"`
	Covered     wal.Pos `json:"covered"` // wal position: records up to it are in the parts
	NextID      uint64  `json:"next_id"`
	Parts       []Info  `json:"parts"`
	Quarantined []Info  `json:"quarantined,omitempty"` // unreadable parts, until their day is dropped
}

const (
	manifestName    = "MANIFEST"
	manifestVersion = 1
	dataDir         = "data"
	quarantineDir   = "quarantine"
)

// save replaces the manifest in dir atomically and durably. When it fails, the old
// manifest still stands.
func (m *manifest) save(dir string) error {
	m.Version = manifestVersion
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("save manifest: %w", err)
	}
	return Save(dir, manifestName, body)
}

// loadManifest reads the manifest in dir. Errors wrap [os.ErrNotExist] if there is none.
func loadManifest(dir string) (manifest, error) {
	var m manifest
	body, err := Load(dir, manifestName)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("load manifest: %w: %w", store.ErrCorrupt, err)
	}
	if m.Version > manifestVersion {
		return m, fmt.Errorf("load manifest: format version %d, this program reads up to %d", m.Version, manifestVersion)
	}
	return m, nil
}
