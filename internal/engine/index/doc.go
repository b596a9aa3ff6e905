// Package index finds series (or log streams) by their labels.
//
// There are two forms with the same questions. [Mem] grows: the head of a store adds
// label sets while others ask. [Table] is immutable and belongs to a part: [AppendTable]
// writes sorted label sets, [DecodeTable] reads them.
//
// Both number their label sets with a uint32, the ref: Mem in order of addition, Table
// in the order of [model.Labels.Compare]. A question is compiled once with [NewQuery] and
// asked of as many indexes as there are:
//
//	q := index.NewQuery(matchers)
//	for _, ref := range table.Select(q) {
//		use(table.Labels(ref))
//	}
//
// Matchers mean exactly what they mean in Prometheus: an absent label has the value "",
// so {env!="prod"}, {env=""} and {env=~".*"} also select series without env. Values are
// kept sorted, so that a literal, an alternation of literals or a prefix in a regular
// expression is looked up rather than tried on every value.
//
// A query walks the postings of its most selective condition and checks the others on
// the label sets themselves, as numbers. That beats intersecting bitmaps for every
// selector with one narrow condition, which is nearly all of them, and needs no postings
// on disk: a Table derives them from its label sets in a few milliseconds per million.
package index
