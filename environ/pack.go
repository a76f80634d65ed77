// This file packs a request into the flat buffer a worker reads. See doc.go for the layout.

package environ

import (
	"encoding/binary"
	"math"
	"strconv"
)

// Append packs the environ of r behind dst and returns the longer slice, like append. It keeps nothing
// of r and allocates only when dst's capacity does not suffice.
//
// Written are the CGI variables of PEP 3333 ("environ Variables"), wsgi.url_scheme, REQUEST_URI and
// RAW_URI (both the request-target verbatim), REMOTE_PORT, and one HTTP_ variable per field name:
//
//   - PATH_INFO is percent-decoded to bytes and otherwise left alone: "//", "." and ".." stay. It is "*"
//     for OPTIONS *. A malformed escape, which no strict engine lets through, stays as it is.
//   - QUERY_STRING and REMOTE_ADDR are always there, if need be empty: applications read them unasked.
//   - CONTENT_TYPE is there when the field is. CONTENT_LENGTH is there when the request has the field, or
//     a body whose chunks were counted, and is written from ContentLength; never while that is -1.
//   - Fields that come several times are joined in order of arrival with ", ", Cookie with "; "
//     (RFC 9110 §5.3, RFC 9113 §8.2.3).
//   - Names with an underscore and the field Proxy are dropped; Host is written from r.Host.
//   - r.Connection is copied as it is.
//
// What never changes (wsgi.version, wsgi.errors, SERVER_SOFTWARE …) and wsgi.input are the worker's.
func Append(dst []byte, r *Request) []byte {
	dst = appendKnown(dst, keyRequestMethod, r.Method)
	dst = appendKnown(dst, keyScriptName, r.ScriptName)
	dst = appendPathInfo(dst, r.Path)
	dst = appendKnown(dst, keyQueryString, r.Query)
	dst = appendKnown(dst, keyRequestURI, r.Target)
	dst = appendKnown(dst, keyRawURI, r.Target)
	dst = appendKnown(dst, keyServerProtocol, r.Proto)
	dst = appendKnown(dst, keyServerName, r.ServerName)
	dst = appendKnown(dst, keyServerPort, r.ServerPort)
	dst = appendKnown(dst, keyRemoteAddr, r.RemoteAddr)
	dst = appendKnown(dst, keyRemotePort, r.RemotePort)
	dst = appendKnown(dst, keyURLScheme, r.Scheme)
	if len(r.RequestID) > 0 {
		dst = appendKnown(dst, keyRequestID, r.RequestID)
	}
	if len(r.Host) > 0 {
		dst = appendKnown(dst, keyHTTPHost, r.Host)
	}
	dst = appendContentLength(dst, r)
	dst = append(dst, r.Connection...)
	if longer, ok := appendDistinctFields(dst, r.Headers); ok {
		return longer
	}
	return appendJoinedFields(dst, r.Headers)
}

// AppendVariable packs one variable behind dst, for Request.Connection. The key must be none that Append
// writes itself. Each byte of the value becomes one character of the application's string (latin-1).
func AppendVariable(dst []byte, key, value string) []byte {
	dst = append(dst, keyOther, 0, byte(len(key)), byte(len(key)>>8))
	dst = append(dst, key...)
	dst = appendSize(dst, len(value))
	return append(dst, value...)
}

// appendKnown writes one entry with a well-known key.
func appendKnown[V string | []byte](dst []byte, key uint16, value V) []byte {
	dst = append(dst, byte(key), byte(key>>8))
	dst = appendSize(dst, len(value))
	return append(dst, value...)
}

// appendSize writes the size of a value. A value beyond 4 GiB cannot come from an engine with limits.
func appendSize(dst []byte, n int) []byte {
	return append(dst, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
}

// endValue fills in the size of the value that reaches from start to the end of dst; its four size
// bytes are before start.
func endValue(dst []byte, start int) {
	binary.LittleEndian.PutUint32(dst[start-4:], uint32(len(dst)-start))
}

// appendPathInfo writes PATH_INFO, percent-decoded.
func appendPathInfo(dst, path []byte) []byte {
	dst = append(dst, keyPathInfo, 0, 0, 0, 0, 0)
	start := len(dst)
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' && i+2 < len(path) {
			hi, lo := hexDigit[path[i+1]], hexDigit[path[i+2]]
			if hi|lo != notHex {
				c = hi<<4 | lo
				i += 2
			}
		}
		dst = append(dst, c)
	}
	endValue(dst, start)
	return dst
}

// notHex is what hexDigit holds for every byte that is no hexadecimal digit. All its bits are set, so
// that combining it with anything stays notHex.
const notHex = 0xff

var hexDigit = func() (t [256]byte) {
	for i := range t {
		t[i] = notHex
	}
	for c := range 10 {
		t['0'+c] = byte(c)
	}
	for c := range 6 {
		t['a'+c] = byte(10 + c)
		t['A'+c] = byte(10 + c)
	}
	return t
}()

// appendContentLength writes CONTENT_LENGTH when the body's length is known and either came in a field
// or was counted from chunks.
func appendContentLength(dst []byte, r *Request) []byte {
	if r.ContentLength < 0 || r.ContentLength == 0 && !r.Chunked && !hasContentLength(r.Headers) {
		return dst
	}
	dst = append(dst, keyContentLength, 0, 0, 0, 0, 0)
	start := len(dst)
	dst = strconv.AppendInt(dst, r.ContentLength, 10)
	endValue(dst, start)
	return dst
}

// hasContentLength tells whether there is a Content-Length field.
func hasContentLength(headers []Header) bool {
	for i := range headers {
		name := headers[i].Name
		if len(name) == len("CONTENT_LENGTH") && isVariable(name, "CONTENT_LENGTH") {
			return true
		}
	}
	return false
}

// appendDistinctFields writes one variable per field. It gives up with ok == false at the first field
// that came before, which is rare: then the values have to be joined.
func appendDistinctFields(dst []byte, headers []Header) (longer []byte, ok bool) {
	var seen [(len(Keys) + 64) / 64]uint64 // one bit per key number
	for i := range headers {
		h := &headers[i]
		key := fieldKey(h.Name)
		switch {
		case key == keyDropped:
			continue
		case key != keyOther:
			bit := uint64(1) << (key % 64)
			if seen[key/64]&bit != 0 {
				return dst, false
			}
			seen[key/64] |= bit
			dst = appendKnown(dst, key, h.Value)
			continue
		}
		before := len(dst)
		dst, ok = appendOtherKey(dst, h.Name)
		if !ok {
			dst = dst[:before]
			continue
		}
		if findField(headers[:i], h.Name) >= 0 {
			return dst, false
		}
		dst = appendSize(dst, len(h.Value))
		dst = append(dst, h.Value...)
	}
	return dst, true
}

// appendJoinedFields writes one variable per field name, its values joined. The time it takes grows with
// the square of the number of fields, which engines limit.
func appendJoinedFields(dst []byte, headers []Header) []byte {
	for i := range headers {
		h := &headers[i]
		key := fieldKey(h.Name)
		if key == keyDropped || findField(headers[:i], h.Name) >= 0 {
			continue
		}
		before, ok := len(dst), true
		if key == keyOther {
			dst, ok = appendOtherKey(dst, h.Name)
		} else {
			dst = append(dst, byte(key), byte(key>>8))
		}
		if !ok {
			dst = dst[:before]
			continue
		}
		dst = append(dst, 0, 0, 0, 0)
		start := len(dst)
		dst = append(dst, h.Value...)
		dst = appendLaterValues(dst, headers[i+1:], h.Name)
		endValue(dst, start)
	}
	return dst
}

// appendLaterValues joins the values of the remaining fields of that name to the one already written.
func appendLaterValues(dst []byte, rest []Header, name []byte) []byte {
	separator := ", "
	if sameName(name, []byte("cookie")) {
		separator = "; "
	}
	for {
		i := findField(rest, name)
		if i < 0 {
			return dst
		}
		dst = append(dst, separator...)
		dst = append(dst, rest[i].Value...)
		rest = rest[i+1:]
	}
}

// appendOtherKey writes a key that is not well known: HTTP_ and the name. It reports false, having
// written something useless, when the name has an underscore or is too long for its size field.
func appendOtherKey(dst, name []byte) ([]byte, bool) {
	size := len("HTTP_") + len(name)
	if size > math.MaxUint16 {
		return dst, false
	}
	dst = append(dst, keyOther, 0, byte(size), byte(size>>8))
	dst = append(dst, "HTTP_"...)
	for _, c := range name {
		e := environByte[c]
		if e == 0 {
			return dst, false
		}
		dst = append(dst, e)
	}
	return dst, true
}

// findField gives the index of the first field of that name, -1 without one.
func findField(headers []Header, name []byte) int {
	for i := range headers {
		if len(headers[i].Name) == len(name) && sameName(headers[i].Name, name) {
			return i
		}
	}
	return -1
}

// sameName compares field names regardless of case.
func sameName(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if environByte[c] != environByte[b[i]] {
			return false
		}
	}
	return true
}
