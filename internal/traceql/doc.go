// Package traceql parses and evaluates TraceQL, the query language of Grafana Tempo.
//
// A query goes through three steps:
//
//	text --Parse--> *Expr --bind--> plan --run--> SearchResult or []Series
//
// Parse is pure: no clock, no store. It checks types and folds constants, so that every
// mistake that does not depend on data is an [Error] with a line, a column and a hint.
// Bind decides what to ask of the store: the attribute columns the query mentions, and
// in [store.SpanSelector.Where] a condition that every matching trace must meet (it
// prunes, it never decides). Run reads batches of whole traces as columns. A filter is
// evaluated on a whole batch at once into a mask; spanset operators, grouping and
// aggregates then work trace by trace on row numbers. Nothing is kept of a batch but the
// newest traces that match.
//
// The package knows nothing of HTTP, tenancy rules or caching. Where Tempo's
// documents and its behaviour differ, and where its behaviour surprises (an int literal
// that misses float attributes, !(x = 1) that finds nothing, select before by), the
// documented or logical meaning is implemented; testdata/behaviour.test lists such cases
// with the rest.
//
// To add an intrinsic, add a row to the table in intrinsic.go and its column to
// frame.intrinsic; to add a metrics function, add it to metricFuncs.
package traceql
