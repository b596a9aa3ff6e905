package dashboard

// Reading and changing a dashboard's text without touching the rest of it.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Info is what the library knows of a text.
type Info struct {
	UID     string
	ID      int64
	Title   string
	Tags    []string
	Version int64
}

// Parse reads a dashboard's text. Errors wrap [ErrInvalid].
func Parse(text string) (Info, error) {
	if err := checkText(text); err != nil {
		return Info{}, err
	}
	var raw struct {
		UID     *string         `json:"uid"`
		ID      json.RawMessage `json:"id"`
		Title   string          `json:"title"`
		Tags    []string        `json:"tags"`
		Version json.RawMessage `json:"version"`
	}
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return Info{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	info := Info{Title: strings.TrimSpace(raw.Title), ID: integer(raw.ID), Version: integer(raw.Version)}
	if raw.UID != nil {
		info.UID = *raw.UID
	}
	if info.Title == "" {
		return Info{}, fmt.Errorf("%w: the title is empty", ErrInvalid)
	}
	for _, tag := range raw.Tags {
		if tag = strings.TrimSpace(tag); tag != "" && !slices.Contains(info.Tags, tag) {
			info.Tags = append(info.Tags, tag)
		}
	}
	return info, checkUID(info.UID)
}

// integer reads a number; anything else is 0, since exports of old versions have all
// kinds of things there.
func integer(raw json.RawMessage) int64 {
	var n int64
	if json.Unmarshal(raw, &n) != nil {
		return 0
	}
	return n
}

// Unwrap returns the dashboard inside of text: text itself, or the object below
// "dashboard" when text is an answer of Grafana's API.
func Unwrap(text string) string {
	var outer map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &outer) != nil {
		return text
	}
	inner := bytes.TrimSpace(outer["dashboard"])
	if len(inner) == 0 || inner[0] != '{' || outer["panels"] != nil || outer["rows"] != nil {
		return text
	}
	return string(inner)
}

// SetFields returns text with top-level fields set and every other byte as it was.
func SetFields(text string, set map[string]any) (string, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return "", fmt.Errorf("%w: not an object", ErrInvalid)
	}
	head := dec.InputOffset()
	var b strings.Builder
	done := map[string]bool{}
	at := int64(0)
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		var old json.RawMessage
		if err := dec.Decode(&old); err != nil {
			return "", fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		name, _ := key.(string) // keys of objects are strings
		value, ok := set[name]
		if !ok {
			continue
		}
		enc, err := json.Marshal(value)
		if err != nil {
			return "", fmt.Errorf("field %s: %w", name, err)
		}
		end := dec.InputOffset()
		b.WriteString(text[at : end-int64(len(old))])
		b.Write(enc)
		at = end
		done[name] = true
	}
	b.WriteString(text[at:])
	var missing []string
	for name := range set {
		if !done[name] {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return insertFields(b.String(), int(head), missing, set)
}

// insertFields writes the fields that the object does not have at its beginning.
func insertFields(text string, head int, missing []string, set map[string]any) (string, error) {
	if len(missing) == 0 {
		return text, nil
	}
	var b strings.Builder
	for i, name := range missing {
		enc, err := json.Marshal(set[name])
		if err != nil {
			return "", fmt.Errorf("field %s: %w", name, err)
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", name, enc)
	}
	if rest := strings.TrimLeft(text[head:], " \t\r\n"); !strings.HasPrefix(rest, "}") {
		b.WriteByte(',')
	}
	return text[:head] + b.String() + text[head:], nil
}

// Slug is the readable end of a dashboard's address.
func Slug(title string) string {
	var b strings.Builder
	dash := false
	for _, r := range strings.ToLower(title) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			if dash && b.Len() > 0 {
				b.WriteByte('-')
			}
			dash = false
			b.WriteRune(r)
		} else {
			dash = true
		}
	}
	if b.Len() == 0 {
		return "dashboard"
	}
	return b.String()
}
