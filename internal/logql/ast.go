package logql

import (
	"regexp"
	"time"

	"github.com/pharos-o11y/pharos/internal/model"
)

// Expr is a parsed query: a [*LogQuery], or a metric query. It is immutable. String
// returns the query in canonical form; parsing that gives an equal query.
type Expr interface {
	String() string
	node()
}

// LogQuery is a stream selector and a pipeline.
type LogQuery struct {
	Matchers []*model.Matcher

	stages []stageNode
}

// HasPipeline reports whether anything follows the stream selector.
func (q *LogQuery) HasPipeline() bool { return len(q.stages) > 0 }

// stageNode is a pipeline stage as written.
type stageNode interface {
	String() string
	// reads tells u which labels the stage looks at.
	reads(u *usage)
	// build compiles the stage. It may be called several times.
	build(c *compiler) (stage, error)
}

// lineOp is the operator of a line filter.
type lineOp uint8

const (
	lineContains lineOp = iota
	lineNotContains
	lineMatches
	lineNotMatches
	linePattern
	lineNotPattern
)

func (op lineOp) negated() bool { return op&1 == 1 }

type lineFilterNode struct {
	op   lineOp
	args []lineFilterArg
}

type lineFilterArg struct {
	text string
	ip   bool
}

// extraction is one name="source" of a json or logfmt stage.
type extraction struct{ name, source string }

type jsonNode struct{ exprs []extraction }

type logfmtNode struct {
	strict, keepEmpty bool
	exprs             []extraction
}

type regexpNode struct {
	text string
	re   *regexp.Regexp
}

type patternNode struct {
	text  string
	parts []patternPart
}

type unpackNode struct{}

type decolorizeNode struct{}

type lineFormatNode struct{ text string }

type labelFormatNode struct{ items []formatItem }

// formatItem is dst=src, or dst="template".
type formatItem struct {
	dst, src string
	template bool
}

// dropKeepNode is a drop stage, or a keep stage.
type dropKeepNode struct {
	keep  bool
	items []dropKeepItem
}

// dropKeepItem is a bare name if m is nil.
type dropKeepItem struct {
	name string
	m    *labelMatcher
}

type labelFilterNode struct{ cond condition }

// condition is the expression of a label filter.
type condition interface {
	String() string
	// names adds the labels it looks at.
	names(dst []string) []string
	build() (predicate, error)
}

// labelMatcher compares a label as a string. Regular expressions are anchored, and unlike
// in a stream selector "." does not match a line feed.
type labelMatcher struct {
	typ         model.MatchType
	name, value string
	re          *regexp.Regexp
}

type ipCond struct {
	name   string
	negate bool
	text   string
}

type binaryCond struct {
	or          bool
	left, right condition
}

// numKind is the unit of a numeric label filter.
type numKind uint8

const (
	kindNumber numKind = iota
	kindDuration
	kindBytes
)

// numCond compares a label as a number, a duration in nanoseconds or a size in bytes.
type numCond struct {
	name  string
	op    string // == != > >= < <=
	kind  numKind
	value float64
	text  string
}

// metricExpr is a metric query, or a part of one.
type metricExpr interface {
	Expr
	metric()
}

// conversion is how unwrap turns a label into a number.
type conversion string

const (
	convNumber   conversion = ""
	convBytes    conversion = "bytes"
	convDuration conversion = "duration"
	convSeconds  conversion = "duration_seconds"
)

type unwrapNode struct {
	name    string
	conv    conversion
	filters []*labelFilterNode
}

// grouping is by (labels), or without (labels).
type grouping struct {
	without bool
	labels  []string
}

type rangeAggExpr struct {
	fn     *rangeFunc
	param  float64
	query  *LogQuery
	unwrap *unwrapNode // nil if none
	rng    time.Duration
	offset time.Duration
	group  *grouping // nil if none
}

type vectorAggExpr struct {
	op    string
	k     int64
	group *grouping // nil if none
	inner metricExpr
}

// matchCard is how many elements of each side a binary operation pairs.
type matchCard uint8

const (
	oneToOne matchCard = iota
	manyToOne
	oneToMany
)

// matching is on (labels) or ignoring (labels), with group_left or group_right.
type matching struct {
	on      bool
	labels  []string
	card    matchCard
	include []string
}

type binaryExpr struct {
	op         string
	returnBool bool
	matching   *matching // nil if none
	left       metricExpr
	right      metricExpr
}

type literalExpr struct{ value float64 }

type vectorExpr struct{ value float64 }

type labelReplaceExpr struct {
	inner               metricExpr
	dst, repl, src, reg string
	re                  *regexp.Regexp
}

func (*LogQuery) node()         {}
func (*rangeAggExpr) node()     {}
func (*vectorAggExpr) node()    {}
func (*binaryExpr) node()       {}
func (*literalExpr) node()      {}
func (*vectorExpr) node()       {}
func (*labelReplaceExpr) node() {}

func (*rangeAggExpr) metric()     {}
func (*vectorAggExpr) metric()    {}
func (*binaryExpr) metric()       {}
func (*literalExpr) metric()      {}
func (*vectorExpr) metric()       {}
func (*labelReplaceExpr) metric() {}

// IsMetric reports whether e is a metric query: its result is numbers, not lines.
func IsMetric(e Expr) bool {
	_, ok := e.(metricExpr)
	return ok
}

// Selectors returns the stream selectors of e, in the order they are written.
func Selectors(e Expr) [][]*model.Matcher {
	switch e := e.(type) {
	case *LogQuery:
		return [][]*model.Matcher{e.Matchers}
	case *rangeAggExpr:
		return Selectors(e.query)
	case *vectorAggExpr:
		return Selectors(e.inner)
	case *labelReplaceExpr:
		return Selectors(e.inner)
	case *binaryExpr:
		return append(Selectors(e.left), Selectors(e.right)...)
	}
	return nil
}

// LongestRange returns the longest [range] of e, 0 if it has none.
func LongestRange(e Expr) time.Duration {
	switch e := e.(type) {
	case *rangeAggExpr:
		return e.rng
	case *vectorAggExpr:
		return LongestRange(e.inner)
	case *labelReplaceExpr:
		return LongestRange(e.inner)
	case *binaryExpr:
		return max(LongestRange(e.left), LongestRange(e.right))
	}
	return 0
}
