// This file undoes the chunked transfer coding (RFC 9112 §7.1), byte by byte if need be.

package http1

import "math"

const (
	// maxChunkLine bounds a chunk's size and extensions, in bytes.
	maxChunkLine = 2048
	// maxTrailer bounds the trailer section, in bytes.
	maxTrailer = 8192
	// chunkAllowance is how many bytes of chunk lines a body may have beyond what is proportionate to
	// its data. Without it one could send a thousand bytes of extensions with each byte of data.
	chunkAllowance = 8192
)

// chunkState is what the decoder expects next.
type chunkState uint8

const (
	atSize       chunkState = iota // first digit of a chunk's size
	inSize                         // another digit, ';' or CR
	atExtName                      // first character of an extension's name
	inExtName                      // another one, '=', ';' or CR
	atExtValue                     // first character of its value, a token or '"'
	inExtValue                     // another one of the token, ';' or CR
	inQuoted                       // inside a quoted string
	inQuotedPair                   // after a backslash in there
	afterQuoted                    // ';' or CR
	atSizeLF                       // LF after a chunk's size
	inData                         // data
	atDataCR                       // CR after the data
	atDataLF                       // LF after that
	atTrailer                      // first character of a trailer field or CR
	inName                         // another one of its name or ':'
	inValue                        // its value or CR
	atFieldLF                      // LF after a trailer field
	atEndLF                        // LF of the empty line that ends the body
	chunksDone                     // nothing: the body has ended
)

// chunkDecoder undoes the chunked coding incrementally. Its zero value is at the start of a body.
// Extensions and trailer fields must be well-formed and are dropped: PEP 3333 has no place for them.
type chunkDecoder struct {
	left    int64 // data bytes left of the current chunk; its size while that is read
	line    int   // bytes so far of the current chunk line, then of the trailer section
	digits  int   // digits of the current size
	surplus int   // bytes of chunk lines out of proportion, see chunkAllowance
	state   chunkState
}

// decode consumes coded bytes of src and puts data bytes into dst, until either is used up, the body has
// ended (d.done) or src is malformed: then ok is false and the decoder of no more use.
func (d *chunkDecoder) decode(dst, src []byte) (written, read int, ok bool) {
	for read < len(src) && d.state != chunksDone {
		if d.state != inData {
			if !d.step(src[read]) {
				return written, read, false
			}
			read++
			continue
		}
		if written == len(dst) {
			return written, read, true
		}
		n := copy(dst[written:], src[read:min(len(src), read+clampInt(d.left))])
		written += n
		read += n
		d.take(n)
	}
	return written, read, true
}

// clampInt brings a count into the range that can be added to an offset.
func clampInt(n int64) int { return int(min(n, math.MaxInt32)) }

// take notes that n bytes of data were taken.
func (d *chunkDecoder) take(n int) {
	if d.left -= int64(n); d.left == 0 {
		d.state = atDataCR
	}
}

// done tells whether the body has ended.
func (d *chunkDecoder) done() bool { return d.state == chunksDone }

// step moves on by one byte that is not data. It gives false when the byte cannot be there.
func (d *chunkDecoder) step(c byte) bool {
	if d.line++; d.line > maxChunkLine && d.state < atTrailer || d.line > maxTrailer {
		return false
	}
	switch {
	case d.state <= inSize:
		return d.stepSize(c)
	case d.state <= afterQuoted:
		return d.stepExtension(c)
	case d.state >= atTrailer:
		return d.stepTrailer(c)
	}
	switch d.state {
	case atSizeLF:
		return c == '\n' && d.begin()
	case atDataCR:
		d.state = atDataLF
		return c == '\r'
	default: // atDataLF
		d.state, d.line, d.left, d.digits = atSize, 0, 0, 0
		return c == '\n'
	}
}

// stepSize reads a chunk's size: 1*HEXDIG that fit in 63 bits, up to 16 of them.
func (d *chunkDecoder) stepSize(c byte) bool {
	if class[c]&hexByte == 0 {
		return d.state == inSize && d.endPart(c)
	}
	if d.digits++; d.digits > 16 || d.left > math.MaxInt64>>4 {
		return false
	}
	d.left = d.left<<4 | int64(hexValue(c))
	d.state = inSize
	return true
}

// endPart takes what may follow a size or an extension. White space there (BWS) is refused: it is only
// in the grammar for senders that are long gone.
func (d *chunkDecoder) endPart(c byte) bool {
	switch c {
	case '\r':
		d.state = atSizeLF
	case ';':
		d.state = atExtName
	default:
		return false
	}
	return true
}

// stepExtension reads chunk-ext-name [ "=" ( token / quoted-string ) ] (RFC 9112 §7.1.1).
func (d *chunkDecoder) stepExtension(c byte) bool {
	isToken := class[c]&tokenByte != 0
	switch d.state {
	case atExtName:
		d.state = inExtName
		return isToken
	case inExtName:
		if c == '=' {
			d.state = atExtValue
			return true
		}
		return isToken || d.endPart(c)
	case atExtValue:
		if c == '"' {
			d.state = inQuoted
			return true
		}
		d.state = inExtValue
		return isToken
	case inExtValue:
		return isToken || d.endPart(c)
	case inQuoted:
		switch c {
		case '"':
			d.state = afterQuoted
		case '\\':
			d.state = inQuotedPair
		}
		return class[c]&valueByte != 0
	case inQuotedPair:
		d.state = inQuoted
		return class[c]&valueByte != 0
	default: // afterQuoted
		return d.endPart(c)
	}
}

// begin starts a chunk's data, or the trailer section behind the last chunk.
func (d *chunkDecoder) begin() bool {
	// A chunk line of 16 bytes is always in proportion, and so is half a byte of it per byte of data.
	d.surplus = max(0, d.surplus+d.line-16-2*clampInt(min(d.left, chunkAllowance)))
	if d.surplus > chunkAllowance {
		return false
	}
	d.line = 0
	if d.left == 0 {
		d.state = atTrailer
	} else {
		d.state = inData
	}
	return true
}

// stepTrailer reads trailer fields (RFC 9112 §7.1.2) up to the empty line.
func (d *chunkDecoder) stepTrailer(c byte) bool {
	switch d.state {
	case atTrailer:
		if c == '\r' {
			d.state = atEndLF
			return true
		}
		d.state = inName
		return class[c]&tokenByte != 0
	case inName:
		if c == ':' {
			d.state = inValue
			return true
		}
		return class[c]&tokenByte != 0
	case inValue:
		if c == '\r' {
			d.state = atFieldLF
			return true
		}
		return class[c]&valueByte != 0
	case atFieldLF:
		d.state = atTrailer
		return c == '\n'
	default: // atEndLF
		d.state = chunksDone
		return c == '\n'
	}
}
