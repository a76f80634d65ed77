// Package peers finds out who is at the other end of a connection when proxies stand between: from what
// trusted ones say, and from nobody else.
//
// Two things can be said. The PROXY protocol speaks once for a whole connection, before its first byte;
// Listen reads it and gives connections whose addresses are the client's. Header fields speak for one
// request: Forwarded (RFC 7239), X-Forwarded-For, -Proto, -Host, -Port and -Prefix, and the request's id;
// Resolver puts what they say where PEP 3333 has a variable for it.
//
// The address that a PROXY header names counts as the peer's from then on: a proxy that only passes bytes
// on has not looked at the header fields in them, so they are believed if that address is trusted.
//
//	trust.go       whose word counts
//	resolver.go    a request: fields found, believed or removed
//	xforwarded.go  the X-Forwarded fields             forwarded.go  the field Forwarded
//	node.go        addresses and authorities as fields write them
//	mount.go       SCRIPT_NAME and PATH_INFO
//	proxy.go       the header of the PROXY protocol   listener.go   connections that begin with one
package peers
