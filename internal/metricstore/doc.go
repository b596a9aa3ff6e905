// Package metricstore is the embedded metrics engine: samples, native histograms,
// exemplars and metadata in a head in memory and in immutable parts, one directory per
// tenant and day.
//
// A batch goes through Append in five steps, one file each:
//
//	keys --resolve--> series --encode--> wal record --apply--> head --commit--> nil
//	(head.go, append.go)      (walrec.go)            (buffer.go)
//
// A key the head has seen costs a hash and a compare of bytes. The record names series
// by small numbers; the labels behind a number are logged again after every cut of the
// head, so that what replay needs is never in a segment that was released.
//
// The head keeps the samples of a series that come in order of time as short compressed
// chunks, and those that come late in a second list. A cut (flush.go) puts all buffers
// aside under one lock, together with the wal position that they cover, writes them to
// one part per day (writer.go), and lets them go once the manifest names the parts.
// Every item is in exactly one of them at any time that a reader can see, because a
// reader looks at the head first and at the manifest second, and drops duplicates.
//
// Of several samples with one timestamp the last written wins. Chunks therefore carry a
// generation, the number of the flush that wrote them, and merges (merge.go) combine
// chunks only when no part outside the merge has a generation in between.
//
// Select (select.go) merges head and parts in the order of labels; a series decodes
// (decode.go) when it is asked, into the caller's slices.
//
// docs/formats/metrics.md describes the bytes.
package metricstore
