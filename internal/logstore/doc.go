// Package logstore is the embedded log engine: it keeps log entries on the local disk
// and implements the log side of package store.
//
// An entry goes through three places, and a query reads all of them:
//
//	Append -> wal record -> head (memory) --flush--> part files --merge--> bigger part files
//
// The head holds entries per stream in order of arrival. Append returns after the wal
// commit; only then is the entry visible. A flush comes when the head is big, old or quiet
// (flush.go). It freezes the head, sorts each stream by time, drops duplicates and writes one
// part per tenant and UTC day, together with the wal position it covers, in one atomic step
// of [part.Set].
//
// A part is a list of blocks of about 1 MiB of text and an index. A block holds rows of
// one stream, or of several small ones, sorted by stream, then time, as separately
// checksummed columns: times, lines, metadata, and a filter of the tokens that occur
// (filter.go). The index holds the stream labels and, for each block and stream, the
// number of rows and their first and last time: a segment; and the templates that lines
// were printed from (skeleton.go), which answer many questions about lines without them
// (shapes.go, fields.go, needle.go, widths.go, probe.go). Blocks do not change: a merge
// copies big ones as they are and joins small ones. So the segments of a stream may
// overlap, and readers merge them and drop duplicates (merge_rows.go).
//
// Select works through slices of time in the direction of the query (plan.go). A slice
// touches few blocks at first and more later, so that a query for the newest 100 entries
// reads only the newest blocks while a scan over everything reads each block about once.
// Within a slice streams come one after the other; blocks that hold nothing of interest are
// left out (prune.go), others decoded in parallel ahead of the consumer (fetch.go). Rows
// that a query only counts are counted there and do not leave their block (tally.go).
//
// docs/formats/logs.md describes the bytes.
package logstore
