//go:build !linux

package app

// giveBackBinary is for Linux.
func giveBackBinary() {}
