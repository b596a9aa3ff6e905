// Package ingest tests every way in, from real senders' bytes on a socket through the
// Collector and the push handlers to what a reader of the reference stores then sees.
package ingest
