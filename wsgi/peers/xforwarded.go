// This file reads the X-Forwarded fields: lists to which every proxy may add its word at the end.

package peers

import (
	"bytes"
	"iter"

	"gowsgi/environ"
)

// members gives the members of all fields of a kind, the last one first: that is what the nearest proxy
// has written. Empty ones are left out (RFC 9110 §5.6.1.2).
func members(headers []environ.Header, kind claim) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := len(headers) - 1; i >= 0; i-- {
			if claimOf(headers[i].Name) != kind {
				continue
			}
			for list := headers[i].Value; len(list) > 0; {
				comma := bytes.LastIndexByte(list, ',')
				member := bytes.Trim(list[comma+1:], " \t")
				list = list[:max(comma, 0)]
				if len(member) > 0 && !yield(member) {
					return
				}
			}
		}
	}
}

// walk goes through X-Forwarded-For from the right, past trusted proxies, to the first address that is
// none of them, or to the last one there is. A member that is no address ends the walk before it: what
// stands further left nobody vouches for. depth is the client's place, counted from the right.
func (t *Trust) walk(headers []environ.Header) (client node, depth int) {
	i := 0
	for member := range members(headers, claimFor) {
		n, ok := parseLooseNode(member)
		if !ok {
			break
		}
		client, depth = n, i
		if !t.Includes(n.addr) {
			break
		}
		i++
	}
	return client, depth
}

// pick gives the member of a list that the proxy at that depth has written, the one which saw the client.
// A shorter list is one that not all proxies add to: then its first member is the outermost one's.
func pick(headers []environ.Header, kind claim, depth int) (word []byte) {
	for member := range members(headers, kind) {
		word = member
		if depth--; depth < 0 {
			break
		}
	}
	return word
}
