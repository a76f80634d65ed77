// This file describes a request the way a protocol engine knows it, before it becomes an environ.

package environ

// Header is one field line as received or to be sent. Both slices belong to whoever filled them in: a
// protocol engine lends those of a request until the exchange ends.
type Header struct {
	Name  []byte // field name in the case it came in, not empty, without colon
	Value []byte // field value without surrounding white space, may be empty
}

// Request is what a protocol engine knows about one request. All byte slices are lent by the engine
// until the exchange ends; the strings live as long as the connection.
type Request struct {
	// Method is the request method, verbatim (RFC 9110 §9: case matters).
	Method []byte
	// Target is the request-target as received (RFC 9112 §3.2), in any of its forms.
	Target []byte
	// Path is the path of the target, still percent-encoded, starting with '/'. It is "*" for the
	// asterisk form (OPTIONS *). With a mount point, ScriptName is not part of it any more, and it is
	// empty where the target ends with that.
	Path []byte
	// Query is the query of the target, still percent-encoded and without '?'; empty when there is none.
	Query []byte
	// Proto is the protocol version, such as "HTTP/1.1".
	Proto []byte
	// Host is the effective authority: the one of an absolute-form target, else the Host field. It is
	// empty when the client named none (HTTP/1.0 only).
	Host []byte
	// Headers holds all field lines in order of arrival, Host and Content-Length included.
	Headers []Header
	// ContentLength is the body's size in bytes, 0 without a body, -1 when it is not known (chunked).
	// Whoever has counted a chunked body may put the count here before packing.
	ContentLength int64
	// Chunked tells that the body came, or is coming, in chunks.
	Chunked bool
	// Scheme is "http" or "https".
	Scheme string
	// RemoteAddr and RemotePort are the peer's address and port; both empty on a unix socket.
	RemoteAddr, RemotePort string
	// ServerName and ServerPort are those of the listener, or of the proxy that a client has addressed; the
	// Host field does not change the name. An IPv6 address is in brackets (RFC 3875 §4.1.14).
	ServerName, ServerPort string
	// ScriptName is the mount point of the application, decoded; empty at the root.
	ScriptName string
	// RequestID identifies the request in logs and in its application; not packed when empty. The gateway
	// makes one for a request that comes without.
	RequestID []byte
	// Connection holds variables that all requests of the connection have, such as SSL_PROTOCOL, packed
	// by AppendVariable. No field can set or replace them: what comes from a field is called HTTP_…
	Connection []byte
}
