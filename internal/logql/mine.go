package logql

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/pharos-o11y/pharos/internal/model"
	"github.com/pharos-o11y/pharos/internal/store"
)

// Mining of line patterns: what lines look like once their variable words are left out.
//
// A line is cut into words and the separators between them. Lines with the same
// separators and the same first word form a group; a group holds clusters, and a line
// joins the cluster with which it shares most words, if these are half of those that count.
// Words with digits do not count: they are variable more often than not. Where the lines
// of a cluster differ, its pattern has <_>. A wildcard stands for one word, which holds no
// separator, so every line matches the pattern of its cluster with |>.
//
// docs/adr/012-patterns-at-query-time.md says why this happens when somebody asks.

const (
	mineTokens   = 80        // words of a line that are looked at; the rest is one wildcard
	mineClusters = 2000      // clusters of one level; past it the rarest half is given up
	mineGroup    = 64        // clusters of one group
	mineMerged   = 300       // patterns of an answer
	mineLines    = 2_000_000 // lines that are mined; of more only every n-th is
	detectedName = "detected_level"
)

// Pattern is what many lines look like, and how many did when.
type Pattern struct {
	Text   string // usable with |>
	Level  string // of the lines, as in detected_level
	Points []Point
	Total  int64 // lines
}

// Patterns mines the lines of the streams that match ms. Points are counts of lines by
// start of a step. The most frequent patterns come first.
func (g *Engine) Patterns(ctx context.Context, tenant model.Tenant, ms []*model.Matcher, rng model.TimeRange, step time.Duration, acct *store.Account) ([]Pattern, error) {
	stride, err := g.mineStride(ctx, tenant, store.LogSelector{Matchers: ms, Range: rng, Account: acct})
	if err != nil {
		return nil, err
	}
	m := miner{step: int64(step), weight: stride, acct: acct, levels: map[string]*mineLevel{}}
	sel := store.LogSelector{Matchers: ms, Range: rng, MetaNames: []string{detectedName}, Account: acct}
	skip := int64(0)
	for b, err := range g.Reader.Select(ctx, tenant, sel) {
		if err != nil {
			return nil, err
		}
		var levels []string
		if len(b.Meta) > 0 {
			levels = b.Meta[0].Values
		}
		for i := range b.Times {
			if skip--; skip >= 0 {
				continue
			}
			skip = stride - 1
			level := ""
			if levels != nil {
				level = levels[i]
			}
			if err := m.add(level, b.Lines[i], b.Times[i]); err != nil {
				return nil, err
			}
		}
	}
	if stride > 1 {
		acct.Warn("patterns are estimated from every %d. line", stride)
	}
	return m.patterns(), nil
}

// mineStride returns n if every n-th line shall be mined.
func (g *Engine) mineStride(ctx context.Context, tenant model.Tenant, sel store.LogSelector) (int64, error) {
	if g.Index == nil {
		return 1, nil
	}
	streams, err := g.Index.Streams(ctx, tenant, sel)
	n := int64(0)
	for i := range streams {
		n += streams[i].Entries
	}
	return 1 + n/mineLines, err
}

// miner collects patterns.
type miner struct {
	step   int64
	weight int64 // lines that one stands for
	acct   *store.Account
	levels map[string]*mineLevel

	words []string // buffer: words of the line
	seps  []string // buffer: seps[i] stands before words[i]; one more at the end
}

// mineLevel is the clusters of one level.
type mineLevel struct {
	groups   map[uint64][]*cluster
	clusters int
}

// cluster is lines that look alike.
type cluster struct {
	words []string // "" where lines differ
	seps  []string
	cut   bool // lines go on behind the last word
	total int64
	steps map[int64]int64 // lines by number of the step
}

// add mines a line.
func (m *miner) add(level, line string, at int64) error {
	l := m.levels[level]
	if l == nil {
		l = &mineLevel{groups: map[uint64][]*cluster{}}
		m.levels[strings.Clone(level)] = l
	}
	key, cut := m.split(line)
	if len(m.words) == 0 {
		return nil
	}
	c := m.best(l.groups[key])
	if c == nil {
		c = m.newCluster(line, cut)
		if err := m.acct.Hold(int64(len(line) + 32*len(m.words) + 128)); err != nil {
			return err
		}
		if l.clusters++; l.clusters > mineClusters {
			l.giveUp()
		}
		l.groups[key] = append(l.groups[key], c)
	}
	c.join(m.words)
	c.total += m.weight
	n := floorDiv(at, m.step)
	if _, ok := c.steps[n]; !ok {
		if err := m.acct.Hold(48); err != nil {
			return err
		}
	}
	c.steps[n] += m.weight
	return nil
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// separators are the bytes that stand between words, as a set of bits for each half of
// ASCII.
const (
	separatorsLow  = 1<<' ' | 1<<'\t' | 1<<'\n' | 1<<'\r' | 1<<',' | 1<<';' | 1<<':' | 1<<'=' | 1<<'(' | 1<<')' | 1<<'"' | 1<<'\'' | 1<<'/' | 1<<'<' | 1<<'>' | 1<<'?' | 1<<'&'
	separatorsHigh = 1<<('['-64) | 1<<(']'-64) | 1<<('{'-64) | 1<<('}'-64) | 1<<('|'-64) | 1<<('\\'-64) | 1<<('@'-64)
)

func separator(c byte) bool {
	if c < 64 {
		return uint64(separatorsLow)>>c&1 == 1
	}
	return c < 128 && uint64(separatorsHigh)>>(c-64)&1 == 1
}

// split cuts line into m.words and m.seps. It returns a hash of the shape of the line, its
// separators and its first word unless that is variable, and reports whether something of
// the line is left.
func (m *miner) split(line string) (shape uint64, cut bool) {
	const prime = 0x100000001b3
	m.words, m.seps = m.words[:0], m.seps[:0]
	shape = 0xcbf29ce484222325
	for i := 0; ; {
		from := i
		for i < len(line) && separator(line[i]) {
			shape = (shape ^ uint64(line[i])) * prime
			i++
		}
		shape = (shape ^ 0xff) * prime
		m.seps = append(m.seps, line[from:i])
		if i == len(line) {
			break
		}
		from = i
		if cut = len(m.words) == mineTokens; cut {
			m.words = append(m.words, line[from:])
			m.seps = append(m.seps, "")
			shape++
			break
		}
		for i < len(line) && !separator(line[i]) {
			i++
		}
		m.words = append(m.words, line[from:i])
	}
	if len(m.words) > 0 && !hasDigit(m.words[0]) {
		shape = xxh3.HashStringSeed(m.words[0], shape)
	}
	return shape, cut
}

func hasDigit(s string) bool {
	for i := range len(s) {
		if isDigit(s[i]) {
			return true
		}
	}
	return false
}

// best returns the cluster that the line belongs to, nil if it is the first of its kind.
func (m *miner) best(group []*cluster) *cluster {
	var best *cluster
	score := -1
	for _, c := range group {
		if len(c.words) != len(m.words) { // the hashes collide
			continue
		}
		same, counted := 0, 0
		for i, w := range m.words {
			switch {
			case c.words[i] == w:
				same++
				counted++
			case !hasDigit(w):
				counted++
			}
		}
		if (2*same >= counted || len(group) == mineGroup) && same > score {
			best, score = c, same
		}
	}
	return best
}

func (m *miner) newCluster(line string, cut bool) *cluster {
	c := &cluster{cut: cut, steps: map[int64]int64{}}
	line = strings.Clone(line)
	at := 0
	next := func(n int) string {
		s := line[at : at+n]
		at += n
		return s
	}
	for i, w := range m.words {
		c.seps = append(c.seps, next(len(m.seps[i])))
		c.words = append(c.words, next(len(w)))
	}
	c.seps = append(c.seps, next(len(m.seps[len(m.words)])))
	if cut {
		c.words[len(c.words)-1] = ""
	}
	return c
}

// join turns the words into wildcards in which a line differs.
func (c *cluster) join(words []string) {
	for i, w := range words {
		if c.words[i] != w {
			c.words[i] = ""
		}
	}
}

// giveUp forgets the rarer half of the clusters.
func (l *mineLevel) giveUp() {
	var totals []int64
	for _, g := range l.groups {
		for _, c := range g {
			totals = append(totals, c.total)
		}
	}
	slices.Sort(totals)
	limit := totals[len(totals)/2]
	left := 0
	for key, g := range l.groups {
		g = slices.DeleteFunc(g, func(c *cluster) bool { return c.total <= limit && left+len(g) > mineClusters/2 })
		if left += len(g); len(g) == 0 {
			delete(l.groups, key)
		} else {
			l.groups[key] = g
		}
	}
	l.clusters = left + 1
}

// text writes the pattern.
func (c *cluster) text() string {
	var b strings.Builder
	for i := 0; i < len(c.words); i++ {
		b.WriteString(c.seps[i])
		if w := c.words[i]; w != "" && !c.looksLikeCapture(i) {
			b.WriteString(w)
			continue
		}
		b.WriteString("<_>")
		i = c.joined(i) // one wildcard for all of them
	}
	b.WriteString(c.seps[len(c.words)])
	return b.String()
}

// looksLikeCapture reports whether word i stands in angle brackets, which means something
// else in a pattern.
func (c *cluster) looksLikeCapture(i int) bool {
	return strings.HasSuffix(c.seps[i], "<") && strings.HasPrefix(c.seps[i+1], ">")
}

// joined returns the last of the wildcards that begin at word i and are held together by a
// colon or slash, such as those of a time. What follows must not begin with one of these,
// or a match of the pattern could stop too early.
func (c *cluster) joined(i int) int {
	glue := func(k int) bool { return c.seps[k] == ":" || c.seps[k] == "/" }
	end := i
	for end+1 < len(c.words) && c.words[end+1] == "" && glue(end+1) {
		end++
	}
	if next := c.seps[end+1]; next != "" && (next[0] == ':' || next[0] == '/') {
		return i
	}
	return end
}

// patterns returns what was found, the most frequent first. Clusters that came to look the
// same are one.
func (m *miner) patterns() []Pattern {
	var out []Pattern
	for level, l := range m.levels {
		byText := map[string]*cluster{}
		for _, g := range l.groups {
			for _, c := range g {
				text := c.text()
				if have := byText[text]; have == nil {
					byText[text] = c
				} else {
					have.total += c.total
					for n, v := range c.steps {
						have.steps[n] += v
					}
				}
			}
		}
		for text, c := range byText {
			out = append(out, Pattern{Text: text, Level: level, Total: c.total, Points: c.points(m.step)})
		}
	}
	slices.SortFunc(out, func(a, b Pattern) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Text, b.Text), cmp.Compare(a.Level, b.Level))
	})
	return out[:min(len(out), mineMerged)]
}

// points lists the counts from the first step to the last, with zeros between.
func (c *cluster) points(step int64) []Point {
	first, last := int64(1<<62), int64(-1<<62)
	for n := range c.steps {
		first, last = min(first, n), max(last, n)
	}
	var out []Point
	for n := first; n <= last; n++ {
		out = append(out, Point{Time: n * step, Value: float64(c.steps[n])})
	}
	return out
}
