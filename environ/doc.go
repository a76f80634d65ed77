// Package environ turns a request into the environ of PEP 3333: CGI variables and HTTP_* names with
// native-string values, packed into one flat buffer that a worker unpacks into a Python dict.
//
// It holds the vocabulary that protocol engines, the gateway and the workers share. It imports nothing
// but the standard library and needs no cgo, so everything above it compiles and is tested without
// Python.
//
// # Packed layout
//
// A packed environ is a sequence of entries with no header, no count and no padding; its end is the end
// of the buffer. Integers are little endian and unaligned.
//
//	well-known key (number n is Keys[n-1])     any other key (number 0)
//	┌────────┬──────────┬────────────┐         ┌────────┬────────┬──────────┬──────────┬────────────┐
//	│ u16 n  │ u32 size │ size bytes │         │ u16 0  │ u16 k  │ k bytes  │ u32 size │ size bytes │
//	└────────┴──────────┴────────────┘         └────────┴────────┴──────────┴──────────┴────────────┘
//	  key      value                             key      name                value
//
// Every byte of a value is one code point of latin-1, which is what PEP 3333 calls a native string on
// Python 3 (section "Unicode Issues"). Names of other keys are ASCII: HTTP_ and the field name in upper
// case. No key appears twice.
package environ
