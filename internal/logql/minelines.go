package logql

// LinePatterns mines the patterns of a few lines: element i of the result is the pattern
// of line i, "" for a line without words.
func LinePatterns(lines []string) []string {
	m := miner{}
	groups := map[uint64][]*cluster{}
	of := make([]*cluster, len(lines))
	for i, line := range lines {
		key, cut := m.split(line)
		if len(m.words) == 0 {
			continue
		}
		c := m.best(groups[key])
		if c == nil {
			c = m.newCluster(line, cut)
			groups[key] = append(groups[key], c)
		}
		c.join(m.words)
		of[i] = c
	}
	out := make([]string, len(lines))
	for i, c := range of {
		if c != nil {
			out[i] = c.text()
		}
	}
	return out
}
