package model

// ScanPrice is what a scan of spans would read. Blocks are the units in which a store can
// leave data out.
type ScanPrice struct {
	Files  int   // that have blocks to read
	Blocks int   // to read
	Pruned int   // blocks left out: of another time, or their headers rule the filter out
	Spans  int64 // in Blocks
	Filter int64 // bytes of the columns that tell which traces qualify
	Rows   int64 // bytes of those that are read besides if traces in every block do
}
