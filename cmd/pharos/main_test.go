package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts run pharos as a command.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"pharos": func() { os.Exit(run(os.Args[1:], streams{os.Stdout, os.Stderr})) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
