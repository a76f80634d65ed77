// This file writes frames. One goroutine at a time holds the pen; what it wrote leaves when it asks for it
// and nobody waits to write more, so that answers that are ready together leave together.

package http2

import (
	"bufio"
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// frameSize is the largest frame that is sent, and that is taken: what every peer takes.
	frameSize = 16 << 10
	// penSize is what is collected before it is sent.
	penSize = 16 << 10
)

// pen is the writing half of a connection.
type pen struct {
	waiting atomic.Int32 // goroutines that want it

	mu      sync.Mutex
	out     *bufio.Writer
	framer  *h2.Framer
	encoder *hpack.Encoder
	block   bytes.Buffer // the header block that is being encoded
	asked   bool         // somebody wants it sent
	err     error        // what broke the connection, for good
}

func (p *pen) open(nc net.Conn, timeout time.Duration) {
	p.out = bufio.NewWriterSize(&dated{conn: nc, timeout: timeout}, penSize)
	p.framer = h2.NewFramer(p.out, nil)
	p.encoder = hpack.NewEncoder(&p.block)
}

// take waits for the pen. When it gives an error there is nobody to write to, and no need to put it down.
func (p *pen) take() error {
	p.waiting.Add(1)
	p.mu.Lock()
	p.waiting.Add(-1)
	if p.err != nil {
		defer p.mu.Unlock()
		return p.err
	}
	return nil
}

// put puts the pen down; send says that what was written so far has to leave. err is what went wrong with
// the pen in hand.
func (p *pen) put(send bool, err error) error {
	defer p.mu.Unlock()
	p.asked = p.asked || send
	if err == nil && p.asked && p.waiting.Load() == 0 {
		p.asked = false
		err = p.out.Flush()
	}
	if err != nil && p.err == nil {
		p.err = err
	}
	return p.err
}

// snap sends what was left for somebody else to send, and makes every later attempt to write fail.
func (p *pen) snap(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		_ = p.out.Flush()
		p.err = err
	}
}

// settings tells the client what is expected of it.
func (p *pen) settings(s ...h2.Setting) error {
	if err := p.take(); err != nil {
		return err
	}
	return p.put(true, p.framer.WriteSettings(s...))
}

func (p *pen) settingsAck() error {
	if err := p.take(); err != nil {
		return err
	}
	return p.put(true, p.framer.WriteSettingsAck())
}

func (p *pen) ping(ack bool, data [8]byte) error {
	if err := p.take(); err != nil {
		return err
	}
	return p.put(true, p.framer.WritePing(ack, data))
}

func (p *pen) goAway(last uint32, code h2.ErrCode) error {
	if err := p.take(); err != nil {
		return err
	}
	return p.put(true, p.framer.WriteGoAway(last, code, nil))
}

// resetUnknown resets a stream that nobody here writes to.
func (p *pen) resetUnknown(id uint32, code h2.ErrCode) error {
	if err := p.take(); err != nil {
		return err
	}
	return p.put(true, p.framer.WriteRSTStream(id, code))
}

// windowUpdates grants bytes of the connection, and of a stream where that is not 0.
func (p *pen) windowUpdates(connection, id, stream uint32) error {
	if err := p.take(); err != nil {
		return err
	}
	var err error
	if connection > 0 {
		err = p.framer.WriteWindowUpdate(0, connection)
	}
	if stream > 0 && err == nil {
		err = p.framer.WriteWindowUpdate(id, stream)
	}
	return p.put(true, err)
}

// tableSize takes over the client's SETTINGS_HEADER_TABLE_SIZE. Ours is never larger than the default: a
// table costs memory for each connection.
func (p *pen) tableSize(n uint32) error {
	if err := p.take(); err != nil {
		return err
	}
	p.encoder.SetMaxDynamicTableSize(min(n, 4096))
	return p.put(false, nil)
}

// headers encodes fields and writes them as HEADERS and, when they are long, CONTINUATION frames. The
// caller has the pen.
func (p *pen) headers(id uint32, fields []hpack.HeaderField, end bool) error {
	p.block.Reset()
	for i := range fields {
		if err := p.encoder.WriteField(fields[i]); err != nil {
			return err
		}
	}
	block := p.block.Bytes()
	first := block[:min(len(block), frameSize)]
	block = block[len(first):]
	err := p.framer.WriteHeaders(h2.HeadersFrameParam{
		StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(block) == 0,
	})
	for err == nil && len(block) > 0 {
		next := block[:min(len(block), frameSize)]
		block = block[len(next):]
		err = p.framer.WriteContinuation(id, len(block) == 0, next)
	}
	return err
}

// dated writes to a connection that has to take something within timeout each time. Setting a deadline is
// not free: one is set a little later than wanted, and then does for a while.
type dated struct {
	conn    net.Conn
	timeout time.Duration
	by      time.Time
}

func (d *dated) Write(b []byte) (int, error) {
	if d.timeout > 0 {
		if wanted := time.Now().Add(d.timeout); d.by.Before(wanted) {
			d.by = wanted.Add(min(d.timeout/4, time.Second))
			_ = d.conn.SetWriteDeadline(d.by) // fails only on a closed connection, and so will the write
		}
	}
	n, err := d.conn.Write(b)
	if err != nil {
		_ = d.conn.Close() // whoever reads learns it so
	}
	return n, err
}
