// Package tracestore is the embedded trace engine: it implements the three trace
// interfaces of package store over the engine kit.
//
// Everything is a group (group.go): spans in the order of trace id, start and span id, as
// columns, each value stored once under the narrowest type it has. An appended batch is
// built into a group (append.go, builder.go), written to the log as a group (record.go)
// and kept in the head as a group (head.go); a flush merges the groups of the head into
// bigger ones (merge.go, copy.go) that become the row groups of a part (encode.go,
// partfile.go), in a few runs of one stretch of time each (runs.go); merges of parts and
// reads are the same merge. So there is one format and one order, and dropping duplicates
// (one trace id, span id and kind) happens in one place.
//
//	spans.Batch -> group -> log + head -> part -> bigger part
//	                         |             |
//	                         +-- one merge by trace id --> ptrace.Traces, SpanRows
//
// Resources and scopes are kept as the messages they came in; attributes as one column
// for each name and type, with the order of each span's attributes in its shape. So
// Trace gives back what Append took, field for field.
//
// Trace by id looks into the index of each part (in memory), then into the filter of the
// one group of each run that can have the id, then into the group (trace.go). Scan walks
// all runs in step by trace id, or the newest ones first (pass.go), and reads as few columns
// as possible to find the traces that qualify (scan.go, where.go, match.go): predicates run
// on zones of the header, then on the distinct values of a column, then on rows. Columns are
// decoded as far as they are asked for (partial.go); strings that differ by numbers and ids
// are stored in patterns, which can be searched without the text (pattern.go, texts.go).
//
// Damaged blocks cost the spans of one group: the group is reported and skipped, and the
// answer carries a warning.
//
// docs/formats/traces.md describes the bytes.
package tracestore
