// Package tools pins the tools that the Makefile runs, in a module of its own so that
// the product's module lists only what the product links.
package tools
