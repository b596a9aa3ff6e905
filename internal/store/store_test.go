package store

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestAccountBudgets(t *testing.T) {
	all := &Account{MaxMemory: 100}
	a := &Account{MaxMemory: 80, MaxBytes: 10, Parent: all}
	b := &Account{Parent: all}
	steps := []struct {
		name string
		do   func() error
		want error
	}{
		{"within", func() error { return a.Hold(80) }, nil},
		{"own budget", func() error { return a.Hold(1) }, ErrTooBroad},
		{"shared budget", func() error { return b.Hold(21) }, ErrTooBroad},
		{"rest of shared budget", func() error { return b.Hold(20) }, nil},
		{"after drop", func() error { a.Drop(10); return a.Hold(10) }, nil},
		{"bytes within", func() error { return a.Scanned(10, 1) }, nil},
		{"bytes spent", func() error { return a.Scanned(1, 1) }, ErrTooBroad},
		{"closed account gives back", func() error { a.Close(); return b.Hold(80) }, nil},
		{"nil account", func() error { return (*Account)(nil).Hold(1 << 60) }, nil},
	}
	for _, s := range steps {
		if err := s.do(); !errors.Is(err, s.want) {
			t.Errorf("%s: error %v, want %v", s.name, err, s.want)
		}
	}
	if u := a.Usage(); u.PeakMemory != 80 || u.BytesRead != 11 || u.RowsScanned != 2 {
		t.Errorf("usage %+v", u)
	}
}

func TestAccountKeepsEachWarningOnce(t *testing.T) {
	var a Account
	for i := range 100 {
		a.Warn("part %d is damaged", i%50)
	}
	ws := a.Warnings()
	if len(ws) != maxWarnings+1 || !slices.Equal(ws[:2], []string{"part 0 is damaged", "part 1 is damaged"}) {
		t.Errorf("got %q", ws)
	}
}

func TestRefusedNamesReasonsAndCounts(t *testing.T) {
	r := &Refused{Kept: 8}
	if r.Err() != nil {
		t.Error("an empty Refused is an error")
	}
	r.Add(ReasonTooOld, 1, func() string { return "sample of up{} from 1970" })
	r.Add(ReasonTooOld, 1, func() string { t.Error("second sample was asked for"); return "" })
	err := r.Err()
	if !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "2 of 10 items refused (the other 8 are stored): 2 greater_than_max_sample_age, for example: sample of up{} from 1970") {
		t.Errorf("got %v", err)
	}
}
