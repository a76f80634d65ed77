// Package http2 speaks HTTP/2 (RFC 9113) with clients, as strictly as package http1 speaks HTTP/1 and with
// the same limits, timers and refusals.
//
// It has no listener: package http1 accepts connections, and hands over those whose client has chosen
// HTTP/2, by ALPN or by starting with its preface. One goroutine reads a connection's frames; each stream
// has one that runs the Handler with an Exchange, and whoever has something to write takes the pen.
// Frames and HPACK are golang.org/x/net's; what they mean is decided here.
//
//	server.go    options, the set of connections, saying goodbye
//	conn.go      one connection: reading frames, streams, timers, its end
//	frames.go    what each kind of frame does
//	window.go    flow control, both directions
//	abuse.go     clients that make work without asking for anything
//	pen.go       writing frames, by one goroutine at a time
//	stream.go    one stream, from its first frame to the end of its handler
//	head.go      from header fields to an environ.Request
//	exchange.go  one request and its answer, as a handler sees them: the body
//	answer.go    the answer
package http2
