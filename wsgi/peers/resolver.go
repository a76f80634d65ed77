// This file looks at the fields of a request in which proxies speak: it believes them or removes them.

package peers

import (
	"bytes"
	"slices"

	"gowsgi/environ"
)

// Options says whom a Resolver believes what.
type Options struct {
	// Trust lists the peers whose fields are believed.
	Trust *Trust
	// RequestID is the name of the field that carries a request's id; empty: there is none.
	RequestID string
	// Mount is where the application is, as ParseMount gives it; empty at the root.
	Mount string
}

// Resolver gives requests the addresses that clients see. It may be used by any number of goroutines.
type Resolver struct {
	trust     *Trust
	requestID []byte
	mount     string
}

// NewResolver makes one.
func NewResolver(o Options) *Resolver {
	return &Resolver{o.Trust, []byte(o.RequestID), o.Mount}
}

// claim is what a field says, or would have us believe.
type claim uint16

const (
	claimFor      claim = 1 << iota // X-Forwarded-For
	claimProto                      // X-Forwarded-Proto
	claimHost                       // X-Forwarded-Host
	claimPort                       // X-Forwarded-Port
	claimPrefix                     // X-Forwarded-Prefix
	claimStandard                   // Forwarded
	claimOther                      // X-Forwarded-Anything, X-Real-IP: nothing to us, but applications read them
	claimID                         // the request's id

	claimOutside = claimFor | claimProto | claimHost | claimPort // what Forwarded could say as well
)

var xForwarded = []byte("x-forwarded-")

// claimOf tells the fields apart, other than that of the request's id. 0 is any field no proxy speaks in.
func claimOf(name []byte) claim {
	switch name[0] | 0x20 {
	case 'f':
		if bytes.EqualFold(name, []byte("forwarded")) {
			return claimStandard
		}
	case 'x':
		if len(name) > len(xForwarded) && bytes.EqualFold(name[:len(xForwarded)], xForwarded) {
			return claimOfSuffix(name[len(xForwarded):])
		}
		if bytes.EqualFold(name, []byte("x-real-ip")) {
			return claimOther
		}
	}
	return 0
}

func claimOfSuffix(suffix []byte) claim {
	switch {
	case bytes.EqualFold(suffix, []byte("for")):
		return claimFor
	case bytes.EqualFold(suffix, []byte("proto")):
		return claimProto
	case bytes.EqualFold(suffix, []byte("host")):
		return claimHost
	case bytes.EqualFold(suffix, []byte("port")):
		return claimPort
	case bytes.EqualFold(suffix, []byte("prefix")):
		return claimPrefix
	}
	return claimOther
}

// Resolve changes r into the request that the client has sent to the outermost trusted proxy, and puts it
// under the mount point. r must be as the engine made it.
//
// From a peer that is not trusted, every field in which a proxy could speak is removed, so that the
// application finds none that nobody vouches for. From a trusted one they stay, and say:
//
//   - X-Forwarded-For: RemoteAddr and RemotePort, see Trust.walk; the port is empty where none is told.
//   - X-Forwarded-Proto (http or https, ws or wss): Scheme.
//   - X-Forwarded-Host: Host and ServerName. X-Forwarded-Port: ServerPort, and Host where that has no port
//     and the port is not the scheme's own. Without it, ServerPort is that of Host, or the scheme's own.
//   - X-Forwarded-Prefix: ScriptName, in place of the configured mount point.
//   - Forwarded says for, proto and host likewise, but only where none of X-Forwarded-For, -Proto, -Host
//     and -Port is there: else it is removed. A proxy that sets one kind lets the other pass from its
//     client, and nearly all that set one set those.
//   - The field of the request's id: RequestID, if there is one such field and it has 1 to 128 letters,
//     digits or characters of "-_.~:/+=@". It is always removed: whoever has the id adds it again.
//
// What is malformed says nothing, and changes nothing else.
func (v *Resolver) Resolve(r *environ.Request) {
	found := v.find(r.Headers)
	prefix := ""
	switch {
	case found == 0:
	case v.trust.includesText(r.RemoteAddr):
		prefix = v.believe(r, found)
	default:
		v.remove(r, ^claim(0))
	}
	if prefix == "" {
		prefix = v.mount
	}
	mount(r, prefix)
}

// find tells what the fields claim.
func (v *Resolver) find(headers []environ.Header) (found claim) {
	for i := range headers {
		found |= v.claim(headers[i].Name)
	}
	return found
}

func (v *Resolver) claim(name []byte) claim {
	if len(name) == len(v.requestID) && bytes.EqualFold(name, v.requestID) {
		return claimID
	}
	return claimOf(name)
}

// remove takes the fields of some kinds out.
func (v *Resolver) remove(r *environ.Request, kinds claim) {
	r.Headers = slices.DeleteFunc(r.Headers, func(h environ.Header) bool { return v.claim(h.Name)&kinds != 0 })
}

// believe applies what is claimed, and gives the prefix that is.
func (v *Resolver) believe(r *environ.Request, found claim) (prefix string) {
	depth := 0
	switch {
	case found&claimOutside != 0:
		depth = v.believeFields(r)
		if found&claimStandard != 0 {
			v.remove(r, claimStandard)
		}
	case found&claimStandard != 0:
		v.believeForwarded(r)
	}
	if found&claimPrefix != 0 {
		prefix = parsePrefix(pick(r.Headers, claimPrefix, depth))
	}
	if found&claimID != 0 {
		v.takeID(r)
	}
	return prefix
}

// believeFields applies the X-Forwarded fields and gives the depth of the client.
func (v *Resolver) believeFields(r *environ.Request) (depth int) {
	client, depth := v.trust.walk(r.Headers)
	setClient(r, client)
	setOutside(r, pick(r.Headers, claimProto, depth), pick(r.Headers, claimHost, depth), pick(r.Headers, claimPort, depth))
	return depth
}

// believeForwarded applies the fields Forwarded: the walk is that of X-Forwarded-For, and the proxy that
// saw the client is the one to say scheme and host. A malformed line ends the walk as a malformed member
// would; a client that sends one hides only what stands before it.
func (v *Resolver) believeForwarded(r *environ.Request) {
	var outermost hop
	var client node
walk:
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if claimOf(r.Headers[i].Name) != claimStandard {
			continue
		}
		hops, ok := parseForwarded(r.Headers[i].Value)
		if !ok {
			break
		}
		for _, h := range slices.Backward(hops) {
			outermost = h
			n, ok := parseNode(h.client)
			if !ok {
				break walk
			}
			client = n
			if !v.trust.Includes(n.addr) {
				break walk
			}
		}
	}
	setClient(r, client)
	setOutside(r, outermost.proto, outermost.host, nil)
}

// setClient says who the client is, if that is known.
func setClient(r *environ.Request, client node) {
	if client.addr.IsValid() {
		r.RemoteAddr, r.RemotePort = client.addr.String(), client.port
	}
}

// setOutside says how the client has addressed the outermost proxy. Each part may be empty or malformed.
func setOutside(r *environ.Request, proto, authority, port []byte) {
	scheme := schemeOf(proto)
	name, _, named := splitAuthority(authority)
	ported := isPort(port)
	if scheme == "" && !named && !ported {
		return
	}
	if scheme != "" {
		r.Scheme = scheme
	}
	if named {
		r.Host, r.ServerName = authority, string(name)
	}
	host, hostPort, hosted := splitAuthority(r.Host)
	own := defaultPort(r.Scheme)
	switch {
	case ported:
		r.ServerPort = string(port)
		if hosted && len(hostPort) == 0 && r.ServerPort != own {
			r.Host = slices.Concat(host, []byte{':'}, port)
		}
	case hosted && len(hostPort) > 0:
		r.ServerPort = string(hostPort)
	default:
		r.ServerPort = own
	}
}

// schemeOf reads a scheme; a WebSocket's handshake is a request like any other.
func schemeOf(proto []byte) string {
	switch {
	case bytes.EqualFold(proto, []byte("https")), bytes.EqualFold(proto, []byte("wss")):
		return "https"
	case bytes.EqualFold(proto, []byte("http")), bytes.EqualFold(proto, []byte("ws")):
		return "http"
	}
	return ""
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// longestID is how long an id may be that others have made.
const longestID = 128

// takeID believes the id of the request if there is exactly one and it is harmless wherever ids are
// written, and removes the field.
func (v *Resolver) takeID(r *environ.Request) {
	var id []byte
	seen := 0
	for i := range r.Headers {
		if v.claim(r.Headers[i].Name) == claimID {
			id = r.Headers[i].Value
			seen++
		}
	}
	if seen == 1 && isID(id) {
		r.RequestID = id
	}
	v.remove(r, claimID)
}

func isID(id []byte) bool {
	for _, c := range id {
		if !isAlphanumeric(c) && bytes.IndexByte([]byte("-_.~:/+=@"), c) < 0 {
			return false
		}
	}
	return len(id) > 0 && len(id) <= longestID
}
