package files

// What a request's fields say about files.

import (
	"bytes"

	"gowsgi/environ"
)

// asked holds the values of the fields that matter, lent by the request. Those
// that are lists are joined when they come several times.
type asked struct {
	ifMatch, ifNoneMatch                []byte
	ifModifiedSince, ifUnmodifiedSince  []byte
	acceptEncoding, rangeField, ifRange []byte
}

func readAsked(fields []environ.Header) (a asked) {
	for i := range fields {
		name, value := fields[i].Name, fields[i].Value
		switch len(name) {
		case 5:
			keepOnly(&a.rangeField, name, "Range", value)
		case 8:
			keepOnly(&a.ifRange, name, "If-Range", value)
			keepList(&a.ifMatch, name, "If-Match", value)
		case 13:
			keepList(&a.ifNoneMatch, name, "If-None-Match", value)
		case 15:
			keepList(&a.acceptEncoding, name, "Accept-Encoding", value)
		case 17:
			keepOnly(&a.ifModifiedSince, name, "If-Modified-Since", value)
		case 19:
			keepOnly(&a.ifUnmodifiedSince, name, "If-Unmodified-Since", value)
		}
	}
	return a
}

// keepOnly keeps the value of a field that may come once. One that comes twice
// is nonsense, and nonsense in these fields is ignored.
func keepOnly(kept *[]byte, name []byte, wanted string, value []byte) {
	if !fieldNamed(name, wanted) {
		return
	}
	if *kept != nil {
		value = []byte{}
	}
	*kept = value
}

func keepList(kept *[]byte, name []byte, wanted string, value []byte) {
	if !fieldNamed(name, wanted) {
		return
	}
	if *kept != nil {
		value = bytes.Join([][]byte{*kept, value}, []byte(", "))
	}
	*kept = value
}

func fieldNamed(name []byte, wanted string) bool {
	return len(name) == len(wanted) && bytes.EqualFold(name, []byte(wanted))
}
