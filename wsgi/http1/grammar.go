// This file holds the character classes of the HTTP grammar as tables.

package http1

import "encoding/binary"

// Bits of class. A byte may be in several classes.
const (
	tokenByte  = 1 << iota // tchar (RFC 9110 §5.6.2)
	valueByte              // field-vchar, SP, HTAB (RFC 9110 §5.5), obs-text included
	targetByte             // what a request-target may hold, see below
	hostByte               // unreserved / sub-delims (RFC 3986 §3.2.2)
	hexByte                // HEXDIG in either case
)

// class says of each byte which parts of a message it may be in.
//
// targetByte is wider than RFC 3986 §2: every visible ASCII character but '#'. Browsers leave '|', '{',
// '"' and a few more unescaped in queries (WHATWG URL §1.3), and no two servers disagree on where such
// a target ends. White space, control characters and bytes beyond ASCII are refused.
var class = func() (t [256]uint8) {
	mark := func(bit uint8, members string) {
		for i := range len(members) {
			t[members[i]] |= bit
		}
	}
	const digits, letters = "0123456789", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	mark(tokenByte, digits+letters+"!#$%&'*+-.^_`|~")
	mark(hostByte, digits+letters+"-._~"+"!$&'()*+,;=")
	mark(hexByte, digits+"abcdefABCDEF")
	for c := 0x21; c < 0x7f; c++ {
		t[c] |= valueByte | targetByte
	}
	for c := 0x80; c <= 0xff; c++ {
		t[c] |= valueByte
	}
	mark(valueByte, " \t")
	t['#'] &^= targetByte
	return t
}()

// hexValue gives the value of a byte that is in hexByte.
func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

// all tells whether every byte is in the class.
func all(s []byte, bit uint8) bool {
	for _, c := range s {
		if class[c]&bit == 0 {
			return false
		}
	}
	return true
}

// isValue tells whether every byte may be in a field value: no control character but HTAB.
func isValue(s []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for len(s) >= 8 {
		// Eight at a time: subtracting 0x20 from each byte borrows into its high bit when the byte is
		// smaller, and subtracting 1 from its difference to DEL when that is 0. A borrow may spill into
		// the next byte and raise a false alarm there, but the lowest culprit is never missed; the table
		// has the last word.
		w := binary.LittleEndian.Uint64(s)
		if ((w-ones*0x20)|((w^ones*0x7f)-ones))&^w&highs != 0 && !all(s[:8], valueByte) {
			return false
		}
		s = s[8:]
	}
	return all(s, valueByte)
}

// isToken tells whether s is a token (RFC 9110 §5.6.2).
func isToken(s []byte) bool { return len(s) > 0 && all(s, tokenByte) }

// equalsLower compares s, whose letters may be of either case, with a word of lower-case letters and
// '-'. s must be a token: beyond tokens, other bytes fold to '-' too.
func equalsLower(s []byte, word string) bool {
	if len(s) != len(word) {
		return false
	}
	for i, c := range s {
		if c|0x20 != word[i] {
			return false
		}
	}
	return true
}

// isSpace tells whether c is SP or HTAB, the white space of RFC 9110 §5.6.3.
func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// trimSpace removes white space at both ends.
func trimSpace(s []byte) []byte {
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// hasToken tells whether a comma-separated list has a token, given in lower case (RFC 9110 §5.6.1).
func hasToken(list []byte, token string) bool {
	for len(list) > 0 {
		end := 0
		for end < len(list) && list[end] != ',' {
			end++
		}
		if member := trimSpace(list[:end]); isToken(member) && equalsLower(member, token) {
			return true
		}
		list = list[min(end+1, len(list)):]
	}
	return false
}
