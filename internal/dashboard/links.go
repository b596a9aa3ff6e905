package dashboard

// Short links to addresses that are too long to be pasted into a chat.

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pharos-o11y/pharos/internal/model"
)

// ErrLink means that an address cannot be a short link.
var ErrLink = errors.New("invalid short link")

// maxLink is the longest address that is kept, in bytes.
const maxLink = 64 << 10

// Shorten keeps an address within the interface, such as logs?q=…, and returns the uid
// that [Library.Expand] takes. The same address has the same uid.
func (l *Library) Shorten(ctx context.Context, tenant model.Tenant, path string) (string, error) {
	path = strings.TrimPrefix(path, "/")
	switch {
	case path == "":
		return "", fmt.Errorf("%w: the path is empty", ErrLink)
	case len(path) > maxLink:
		return "", fmt.Errorf("%w: the path is longer than %d bytes", ErrLink, maxLink)
	case strings.HasPrefix(path, "/"), strings.HasPrefix(path, `\`), !utf8.ValidString(path), strings.ContainsFunc(path, func(r rune) bool { return r < ' ' }):
		return "", fmt.Errorf("%w: it leads to a path of this server, not to %.60q", ErrLink, path)
	}
	sum := sha256.Sum256([]byte(path))
	uid := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:14])
	return uid, l.opts.DB.SaveLink(ctx, tenant, uid, path)
}

// Expand returns the address behind a uid of [Library.Shorten], from its first slash on.
func (l *Library) Expand(ctx context.Context, tenant model.Tenant, uid string) (string, error) {
	path, err := l.opts.DB.Link(ctx, tenant, uid)
	return "/" + path, err
}
