// Package logql parses and evaluates LogQL, the query language of Loki.
//
// A query takes three steps:
//
//	text --Parse--> Expr --Bind--> Plan --Run--> Result
//
// [Parse] is pure: no clock, no store. It refuses, with a position, everything it does
// not know. [Bind] fixes the time range, compiles the pipeline and decides what the store
// evaluates: stream matchers, the line filters that see the line as it was stored and, if
// the stream index proves that it is safe, structured metadata predicates go into a
// [store.LogSelector], as far as the store's Caps allow. [Plan.Run] reads column batches and
// streams: a log query holds the limit's worth of entries, a metric query holds one
// accumulator per series and window, never the entries.
//
// # How a pipeline runs
//
// Leading line filters run over a whole batch and leave a selection. For each selected
// entry one [row] is reused: it holds the line and three lists of labels (stream, metadata,
// parsed), so that a stage allocates only when it makes new text. Names taken from a line
// are cleaned once and interned. A metric query that needs only some labels tells its
// parsers so; they skip the rest of the line.
//
// A store that keeps lines as templates shows one line of each to the parsers (shape.go) and
// hands out fields instead of lines, or counts of alike entries (outcome.go). A new parser
// gets a parseShape that mirrors its run, and a query in shape_test.go.
//
// # How windows are summed
//
// The windows of a range aggregation overlap. Their bounds cut time into at most two
// pieces per step, and every entry is added to exactly one piece; a window is the sum of
// a run of pieces. See rangeagg.go.
//
// Where Loki's documents and Loki differ we follow Loki, except where its behaviour is an
// accident nobody can want; testdata/quirks.test lists those. The package knows nothing of
// HTTP, admission or caching: package query adds those. To add a stage, write its node (parse,
// String, build) and its case in testdata; to add a range function, add a row to the table
// in funcs.go.
package logql
