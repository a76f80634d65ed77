// This file knows what is different about a connection under TLS, and hands over those that speak HTTP/2.

package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"gowsgi/environ"
)

// recordSize is the most that TLS puts into one record (RFC 8446 §5.1).
const recordSize = 16 << 10

// alpnHTTP2 is the name of HTTP/2 in ALPN (RFC 9113 §3.2).
const alpnHTTP2 = "h2"

// preface is what a client of HTTP/2 starts with (RFC 9113 §3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// secure does the handshake of a TLS connection; of any other there is nothing to do. It gives false when
// the connection is not to be served. Until then it counts as idle: a shutdown does not wait for it.
func (c *conn) secure() bool {
	nc, ok := c.nc.(*tls.Conn)
	if !ok {
		return true
	}
	if d := c.rules.Header; d > 0 {
		_ = nc.SetDeadline(time.Now().Add(d)) // fails only on a closed connection, as will the handshake
	}
	if err := nc.HandshakeContext(context.Background()); err != nil {
		c.explainPlain(err)
		return false
	}
	_ = nc.SetDeadline(time.Time{})
	c.secured = true
	if c.srv.o.Variables != nil {
		c.ends.variables = c.srv.o.Variables(nc.ConnectionState())
	}
	return true
}

// explainPlain answers a client that speaks HTTP where TLS is spoken, and logs any other failure.
func (c *conn) explainPlain(err error) {
	c.know()
	var plain tls.RecordHeaderError
	if errors.As(err, &plain) && plain.Conn != nil && isToken(plain.RecordHeader[:3]) {
		c.nc = plain.Conn
		c.wire.open(c.nc)
		_ = c.nc.SetDeadline(time.Time{})
		c.refuse(refuse(400, "this port speaks TLS: the address starts with https"))
		return
	}
	c.srv.log.Debug("TLS handshake failed", "client", c.ends.remoteAddr, "error", err)
}

// chooseHTTP2 serves the connection as HTTP/2 if the client has said so in the handshake, or if nothing else
// is spoken here. It tells whether there is nothing left to do.
func (c *conn) chooseHTTP2() bool {
	if c.srv.o.HTTP2 == nil {
		return false
	}
	nc, secured := c.nc.(*tls.Conn)
	chosen := secured && nc.ConnectionState().NegotiatedProtocol == alpnHTTP2
	switch {
	case chosen, c.srv.o.OnlyHTTP2 && !secured:
		if c.state.CompareAndSwap(connIdle, connBusy) {
			c.handOver()
		}
		return true
	}
	return c.srv.o.OnlyHTTP2
}

// startsHTTP2 looks whether the first bytes of a plain connection are HTTP/2's preface, and serves it then.
func (c *conn) startsHTTP2() bool {
	c.fresh = false
	if c.srv.o.HTTP2 == nil || c.secured {
		return false
	}
	for {
		have := c.buf[c.r:c.w]
		n := min(len(have), len(preface))
		if string(have[:n]) != preface[:n] {
			return false
		}
		if n == len(preface) {
			c.handOver()
			return true
		}
		c.setReadDeadline(c.rules.Header)
		if c.readMore() != nil {
			return false // what reads on meets the same, and knows what to answer
		}
	}
}

// handOver serves the connection as HTTP/2, to its end.
func (c *conn) handOver() {
	_ = c.nc.SetReadDeadline(time.Time{})
	var common environ.Request
	c.ends.tell(&common)
	c.srv.o.HTTP2.ServeConn(c.nc, c.buf[c.r:c.w], common)
}

// cut closes the connection so that under TLS, too, the client sees it broken: without the alert that says
// this is the end.
func (c *conn) cut() {
	_ = under(c.nc).Close()
}

// under gives the socket below TLS, or the connection itself.
func under(nc net.Conn) net.Conn {
	if over, ok := nc.(interface{ NetConn() net.Conn }); ok {
		return over.NetConn()
	}
	return nc
}

// sendRecords sends blocks as one, in as few records as possible: each costs a system call.
func (c *conn) sendRecords(blocks ...[]byte) error {
	record := largeBuffers.Get().(*[largeBuffer]byte)
	defer largeBuffers.Put(record)
	n := 0
	for _, block := range blocks {
		for len(block) > 0 {
			took := copy(record[n:recordSize], block)
			block = block[took:]
			if n += took; n == recordSize {
				if err := c.sendOne(record[:n]); err != nil {
					return err
				}
				n = 0
			}
		}
	}
	if n == 0 {
		return nil
	}
	return c.sendOne(record[:n])
}
