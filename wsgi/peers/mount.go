// This file puts a request under the application's mount point.

package peers

import (
	"errors"
	"net/url"
	"strings"

	"gowsgi/environ"
)

// ParseMount reads a mount point, /shop: not percent-encoded, a slash at its end is left out. "/" is the
// root, which is "".
func ParseMount(path string) (string, error) {
	if path == "/" || path == "" {
		return "", nil
	}
	path = strings.TrimSuffix(path, "/")
	if !isMount(path) {
		return "", errors.New("not a mount point (want a path like /shop, without \"?\", \"#\", \"//\", \".\" or \"..\" in it)")
	}
	return path, nil
}

// isMount tells whether a decoded path can be a SCRIPT_NAME. One that begins with two slashes would make
// another host of it in a URL; "." and ".." segments would make clients ask for another path than is meant.
func isMount(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
	}
	return !strings.ContainsFunc(path, func(c rune) bool { return c < ' ' || c == 0x7f || c == '?' || c == '#' || c == '\\' })
}

// parsePrefix reads X-Forwarded-Prefix, a percent-encoded path. It gives "" for one that is malformed, or
// the root.
func parsePrefix(text []byte) string {
	path, err := url.PathUnescape(strings.TrimSuffix(string(text), "/"))
	if err != nil || !isMount(path) {
		return ""
	}
	return path
}

// mount sets ScriptName, and takes it off the path where that begins with it: whether the proxy in front
// leaves it on makes no difference. The asterisk of OPTIONS is below no mount point.
func mount(r *environ.Request, prefix string) {
	if prefix == "" || string(r.Path) == "*" {
		r.ScriptName = ""
		return
	}
	r.ScriptName = prefix
	if rest, ok := cutMount(r.Path, prefix); ok {
		r.Path = rest
	}
}

// cutMount cuts a decoded prefix off a percent-encoded path, at the end of a segment.
func cutMount(path []byte, prefix string) (rest []byte, ok bool) {
	rest = path
	for i := range len(prefix) {
		c, n := nextByte(rest)
		if n == 0 || c != prefix[i] {
			return nil, false
		}
		rest = rest[n:]
	}
	if c, n := nextByte(rest); n > 0 && c != '/' {
		return nil, false
	}
	return rest, true
}

// nextByte decodes the first byte of a percent-encoded path and tells how many it takes, 0 at the end.
func nextByte(path []byte) (c byte, n int) {
	if len(path) == 0 {
		return 0, 0
	}
	if path[0] == '%' && len(path) > 2 {
		hi, lo := hexValue(path[1]), hexValue(path[2])
		if hi < 16 && lo < 16 {
			return hi<<4 | lo, 3
		}
	}
	return path[0], 1
}

// hexValue is the value of a hexadecimal digit, 16 for anything else.
func hexValue(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 16
}
