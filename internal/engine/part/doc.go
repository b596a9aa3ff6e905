// Package part keeps the immutable files of a store: it writes and reads them, knows
// which of them count, merges, retires and quarantines them. What is inside a block is
// the store's business.
//
// A [Set] owns one directory, for one signal:
//
//	MANIFEST                             which parts count, and the wal position they cover
//	data/<tenant>/<yyyymmdd>/<id>.part   one part: blocks, each with its checksum, and a footer
//	quarantine/                          parts that cannot be read
//
// A flush writes parts with [Set.Create], syncs them with [Writer.Finish], and makes all
// of them count in one atomic step, [Set.Commit], together with the wal position that
// they cover. A crash in between leaves files that no manifest names; the next Open
// deletes them. A merge is the same step with parts to take away.
//
// Readers take a [View]: the parts of a tenant that overlap a range, kept readable until
// the view is closed even when a merge replaces them.
//
// Nothing here panics on damaged bytes. [File.Read] checks every block. A part whose
// footer or index cannot be read is moved to quarantine/; a part with a bad block stays,
// the block is reported once through [Part.Damaged], and both are warnings on every
// query whose range they overlap: [View.Warnings].
//
// docs/formats/part.md and docs/formats/manifest.md describe the bytes.
package part
