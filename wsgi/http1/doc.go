// Package http1 speaks HTTP/1.0 and HTTP/1.1 with clients: strictly, in front of applications that must
// not have to distrust what they are told, and without allocating per request.
//
// A goroutine per connection reads a request's head, lends it to a Handler as an Exchange, and takes the
// answer from there. Everything about framing is decided here: where a request ends (RFC 9112 §6), how
// the answer is delimited, whether the connection lives on. What a proxy in front could read differently
// from us is refused (RFC 9112 §11.2, request smuggling); the list of refusals is the folder
// testdata/invalid.
//
//	server.go    listeners, the set of connections, shutdown
//	rules.go     limits and timers, which may change while serving     pace.go  the least rate of a body
//	admission.go how many connections may be open, and what the rest is told
//	conn.go      one connection: buffers, timers, one exchange after the other        wire.go  its socket
//	exchange.go  one request and its answer, from head to the next one
//	parser.go    a request's head, as a pure function over bytes       grammar.go  its character tables
//	body.go      the request's body as the handler reads it            chunked.go  its transfer coding
//	answer.go    the answer as the handler writes it                   date.go     its Date field
//	page.go      small error pages
//	errors.go    what can go wrong, and with whom
//	secure.go    what is different under TLS; handing over HTTP/2
//	semantics.go what holds for every version of HTTP
package http1
