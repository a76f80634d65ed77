package files

// Names of files in the paths of requests. A path is taken apart while it is
// still encoded: an encoded slash is no separator, and no file's name.

// below tells whether path is prefix or something below it, and returns what
// comes behind the slash. Letters of path may be percent-encoded; prefix is
// decoded and ends in no slash.
func below(path []byte, prefix string) (rest []byte, ok bool) {
	i := 0
	for j := 0; j < len(prefix); j++ {
		c, size := letter(path[i:])
		if size == 0 || c != prefix[j] || c == '/' && size > 1 {
			return nil, false
		}
		i += size
	}
	switch {
	case i == len(path):
		return nil, true
	case path[i] == '/':
		return path[i+1:], true
	}
	return nil, false
}

// letter decodes the first byte of path and tells how long it was: 1 or 3, 0 at
// the end. A malformed escape stands for itself.
func letter(path []byte) (c byte, size int) {
	if len(path) == 0 {
		return 0, 0
	}
	if path[0] == '%' && len(path) >= 3 {
		high, low := digit(path[1]), digit(path[2])
		if high|low < 16 {
			return high<<4 | low, 3
		}
	}
	return path[0], 1
}

// digit is the value of a hexadecimal digit, 255 of anything else.
func digit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// fileName decodes the path of a file below a folder. It refuses what could
// mean something else to a file system or to whoever looked at the path before:
// empty segments, "." and "..", control characters, backslashes, encoded
// slashes and escapes that are none; without hidden, every segment that begins
// with a dot.
func fileName(path []byte, hidden bool) (name string, ok bool) {
	decoded := make([]byte, 0, len(path))
	start := 0 // of the segment
	for i := 0; i < len(path); {
		c, size := letter(path[i:])
		i += size
		switch {
		case c == '/' && size == 1:
			if !goodSegment(decoded[start:], hidden) {
				return "", false
			}
			start = len(decoded) + 1
		case c == '/', c == '\\', c < ' ', c == 0x7f, c == '%' && size == 1:
			return "", false
		}
		decoded = append(decoded, c)
	}
	if !goodSegment(decoded[start:], hidden) {
		return "", false
	}
	return string(decoded), true
}

func goodSegment(segment []byte, hidden bool) bool {
	switch {
	case len(segment) == 0:
		return false
	case segment[0] != '.':
		return true
	}
	return hidden && string(segment) != "." && string(segment) != ".."
}
