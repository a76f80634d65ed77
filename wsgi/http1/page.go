// This file makes the small error pages of the engine and of those above it.

package http1

import "gowsgi/environ"

// reasons names the statuses that error pages are made for (RFC 9110 §15).
var reasons = map[int]string{
	400: "Bad Request",
	403: "Forbidden",
	404: "Not Found",
	405: "Method Not Allowed",
	408: "Request Timeout",
	411: "Length Required",
	413: "Content Too Large",
	414: "URI Too Long",
	417: "Expectation Failed",
	429: "Too Many Requests",
	431: "Request Header Fields Too Large",
	500: "Internal Server Error",
	501: "Not Implemented",
	502: "Bad Gateway",
	503: "Service Unavailable",
	504: "Gateway Timeout",
	505: "HTTP Version Not Supported",
	507: "Insufficient Storage",
}

// Refuse answers with a small text/plain page, a status and one line of why, and ends the exchange. It
// can be used until WriteHead has been; fields, such as Retry-After, are added.
//
// A status of 4xx also ends the connection, for what the client sends next is not to be relied on. After
// 5xx, which is our fault, the connection lives on if the rest of the body is little.
func (x *Exchange) Refuse(status int, why string, fields ...environ.Header) error {
	if status < 500 {
		x.keep = false
	}
	return x.page(status, why, fields)
}

var (
	contentType = environ.Header{Name: []byte("Content-Type"), Value: []byte("text/plain; charset=utf-8")}
	noStore     = environ.Header{Name: []byte("Cache-Control"), Value: []byte("no-store")}
)

func (x *Exchange) page(status int, why string, fields []environ.Header) error {
	text, described := Page(status, why)
	all := append(described, fields...)
	if err := x.WriteHead(status, []byte(reasons[status]), all, int64(len(text))); err != nil {
		return err
	}
	if _, err := x.Write(text); err != nil {
		return err
	}
	return x.Finish()
}
