package tests

// A client that gives errors back instead of ending the test: for goroutines.

import (
	"bufio"
	"io"
	"net"
	"time"
)

// connect is Dial for a goroutine that closes the connection itself.
func connect(s *Server) (*Conn, error) {
	network, address := s.Address()
	raw, err := net.DialTimeout(network, address, patience)
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: raw, T: s.T, reader: bufio.NewReader(raw)}, nil
}

// exchange sends a whole request and reads its response.
func (c *Conn) exchange(request, method string) (*Response, error) {
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c.Conn, request); err != nil {
		return nil, err
	}
	r, err := readHead(c.reader, method)
	if err == nil {
		c.ReadBody(r)
	}
	return r, err
}
