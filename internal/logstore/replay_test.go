package logstore

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/pharos-o11y/pharos/internal/engine/wal"
	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// TestUnreadableRecordIsAWarning replays bytes that are no record of ours, though their
// checksum is right: the store starts and says so on every query.
func TestUnreadableRecordIsAWarning(t *testing.T) {
	dir := t.TempDir()
	log, err := wal.Open(filepath.Join(dir, "wal"), wal.Options{MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close(t.Context())
	s, err := Open(filepath.Join(dir, "logs"), log, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Replay(wal.Record{Pos: 1, Signal: model.Logs, Tenant: "t1", Data: []byte("nonsense")}); err != nil {
		t.Fatal(err)
	}
	acct := &store.Account{}
	for _, err := range s.Select(t.Context(), "t1", store.LogSelector{Range: model.TimeRange{To: 1 << 62}, Account: acct}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if ws := acct.Warnings(); len(ws) != 1 || !strings.Contains(ws[0], "could not be read back") {
		t.Errorf("warnings %q", ws)
	}
}
