package main

import (
	"fmt"
	"runtime"
)

type versionCmd struct{}

// Run prints the version of the binary and of Go.
func (versionCmd) Run(s streams) error {
	_, err := fmt.Fprintf(s.out, "pharos %s (%s %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
