// This file numbers the well-known environ keys and finds the number of a field name.

package environ

// Keys lists the well-known environ keys; Keys[i] is written as key number i+1. A worker turns the whole
// list into interned Python strings once, so that an entry costs it no key construction. Both ends are
// the same binary: the order may change between versions.
var Keys = [...]string{
	keyRequestMethod - 1:  "REQUEST_METHOD",
	keyScriptName - 1:     "SCRIPT_NAME",
	keyPathInfo - 1:       "PATH_INFO",
	keyQueryString - 1:    "QUERY_STRING",
	keyRequestURI - 1:     "REQUEST_URI",
	keyRawURI - 1:         "RAW_URI",
	keyServerProtocol - 1: "SERVER_PROTOCOL",
	keyServerName - 1:     "SERVER_NAME",
	keyServerPort - 1:     "SERVER_PORT",
	keyRemoteAddr - 1:     "REMOTE_ADDR",
	keyRemotePort - 1:     "REMOTE_PORT",
	keyURLScheme - 1:      "wsgi.url_scheme",
	keyContentType - 1:    "CONTENT_TYPE",
	keyContentLength - 1:  "CONTENT_LENGTH",
	keyRequestID - 1:      "gowsgi.request_id",
	keyHTTPHost - 1:       "HTTP_HOST",

	firstFieldKey - 1: "HTTP_ACCEPT",
	"HTTP_ACCEPT_CHARSET",
	"HTTP_ACCEPT_ENCODING",
	"HTTP_ACCEPT_LANGUAGE",
	"HTTP_ACCESS_CONTROL_REQUEST_HEADERS",
	"HTTP_ACCESS_CONTROL_REQUEST_METHOD",
	"HTTP_AUTHORIZATION",
	"HTTP_CACHE_CONTROL",
	"HTTP_CONNECTION",
	"HTTP_CONTENT_ENCODING",
	"HTTP_COOKIE",
	"HTTP_DATE",
	"HTTP_DNT",
	"HTTP_EXPECT",
	"HTTP_FORWARDED",
	"HTTP_FROM",
	"HTTP_IF_MATCH",
	"HTTP_IF_MODIFIED_SINCE",
	"HTTP_IF_NONE_MATCH",
	"HTTP_IF_RANGE",
	"HTTP_IF_UNMODIFIED_SINCE",
	"HTTP_KEEP_ALIVE",
	"HTTP_MAX_FORWARDS",
	"HTTP_ORIGIN",
	"HTTP_PRAGMA",
	"HTTP_PRIORITY",
	"HTTP_PROXY_AUTHORIZATION",
	"HTTP_RANGE",
	"HTTP_REFERER",
	"HTTP_SEC_CH_UA",
	"HTTP_SEC_CH_UA_MOBILE",
	"HTTP_SEC_CH_UA_PLATFORM",
	"HTTP_SEC_FETCH_DEST",
	"HTTP_SEC_FETCH_MODE",
	"HTTP_SEC_FETCH_SITE",
	"HTTP_SEC_FETCH_USER",
	"HTTP_TE",
	"HTTP_TRACEPARENT",
	"HTTP_TRACESTATE",
	"HTTP_TRANSFER_ENCODING",
	"HTTP_UPGRADE",
	"HTTP_UPGRADE_INSECURE_REQUESTS",
	"HTTP_USER_AGENT",
	"HTTP_VIA",
	"HTTP_X_CSRFTOKEN",
	"HTTP_X_FORWARDED_FOR",
	"HTTP_X_FORWARDED_HOST",
	"HTTP_X_FORWARDED_PORT",
	"HTTP_X_FORWARDED_PREFIX",
	"HTTP_X_FORWARDED_PROTO",
	"HTTP_X_REAL_IP",
	"HTTP_X_REQUESTED_WITH",
	"HTTP_X_REQUEST_ID",
}

// Key numbers of the variables Append writes itself; 0 announces a key that is not well known.
const (
	keyOther = iota
	keyRequestMethod
	keyScriptName
	keyPathInfo
	keyQueryString
	keyRequestURI
	keyRawURI
	keyServerProtocol
	keyServerName
	keyServerPort
	keyRemoteAddr
	keyRemotePort
	keyURLScheme
	keyContentType
	keyContentLength
	keyRequestID
	keyHTTPHost
	firstFieldKey
)

// keyDropped is what fieldKey answers for fields that are no variable of their own: Host and
// Content-Length come from the Request, Proxy would set the variable HTTP_PROXY that CGI scripts take
// for the proxy to use (CVE-2016-5385, "httpoxy").
const keyDropped = 0xffff

// environByte maps each byte of a field name to its byte in the variable's name (RFC 3875 §4.1.18):
// upper case, '-' to '_'. It is 0 for '_' itself: X_Real_IP must not pass for X-Real-IP, so such names
// are dropped.
var environByte = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c] = byte(c - 'a' + 'A')
	}
	t['-'] = '_'
	t['_'] = 0
	return t
}()

// knownField is one slot of fieldTable; key 0 marks an empty one.
type knownField struct {
	name string // as in the variable, without HTTP_
	key  uint16
}

// fieldTable is an open-addressed hash table of the field names whose variable is well known. It is
// four times as large as its content, so most searches end at the first slot.
var fieldTable = func() (t [256]knownField) {
	add := func(name string, key uint16) {
		i := fieldHash([]byte(name))
		for t[i].key != 0 {
			i++
		}
		t[i] = knownField{name, key}
	}
	for i := firstFieldKey - 1; i < len(Keys); i++ {
		add(Keys[i][len("HTTP_"):], uint16(i+1))
	}
	add("CONTENT_TYPE", keyContentType)
	add("CONTENT_LENGTH", keyDropped)
	add("HOST", keyDropped)
	add("PROXY", keyDropped)
	return t
}()

// fieldHash hashes a non-empty field name regardless of case and of '-' versus '_'.
func fieldHash(name []byte) uint8 {
	// The low five bits tell letters apart and fold their case; '-' and '_' differ in them, hence the
	// middle byte is left out when it is not a letter.
	n := len(name)
	h := uint8(n)*7 + name[0]&31*5 + name[n-1]&31*37
	if c := name[n/2]; c >= 'A' && c != '_' {
		h += c & 31 * 11
	}
	return h
}

// fieldKey gives the key number of a field name, keyOther when it is not well known and keyDropped when
// the field must not be written as it came.
func fieldKey(name []byte) uint16 {
	if len(name) == 0 {
		return keyDropped
	}
	for i := fieldHash(name); ; i++ {
		slot := &fieldTable[i]
		if slot.key == 0 {
			return keyOther
		}
		if len(slot.name) == len(name) && isVariable(name, slot.name) {
			return slot.key
		}
	}
}

// isVariable tells whether a field name becomes the given variable name, which has the same length.
func isVariable(name []byte, variable string) bool {
	for i, c := range name {
		if environByte[c] != variable[i] {
			return false
		}
	}
	return true
}
