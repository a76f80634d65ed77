// This file keeps the windows of flow control (RFC 9113 §5.2): what the client takes, and what it may send.

package http2

import (
	"time"

	h2 "golang.org/x/net/http2"

	"gowsgi/wsgi/http1"
)

// grow takes a WINDOW_UPDATE.
func (c *conn) grow(id, increment uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id == 0 {
		if c.send += int64(increment); c.send > maxWindow {
			return h2.ConnectionError(h2.ErrCodeFlowControl)
		}
		for _, st := range c.streams {
			st.wakeWriter()
		}
		return nil
	}
	st := c.find(id)
	switch {
	case st == nil && id > c.last:
		return h2.ConnectionError(h2.ErrCodeProtocol) // RFC 9113 §5.1, idle
	case st == nil || st.gone:
		return nil // it may have been on its way
	}
	if st.send += int64(increment); st.send > maxWindow {
		return h2.StreamError{StreamID: id, Code: h2.ErrCodeFlowControl}
	}
	st.wakeWriter()
	return nil
}

// startWith takes a SETTINGS_INITIAL_WINDOW_SIZE, which changes all streams there are (RFC 9113 §6.9.2).
func (c *conn) startWith(window uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	change := int64(window) - c.initial
	c.initial = int64(window)
	for _, st := range c.streams {
		if st.send += change; st.send > maxWindow {
			return h2.ConnectionError(h2.ErrCodeFlowControl)
		}
		st.wakeWriter()
	}
	return nil
}

// reserve waits until the client takes bytes of st's body, and reserves up to want of them, at most a
// frame's worth.
func (st *stream) reserve(want int) (int, error) {
	c := st.c
	var late <-chan time.Time
	for {
		c.mu.Lock()
		n := int(min(int64(want), frameSize, st.send, c.send))
		gone := st.gone
		if n > 0 && !gone {
			st.send -= int64(n)
			c.send -= int64(n)
		}
		c.mu.Unlock()
		switch {
		case gone:
			return 0, http1.ErrClientGone
		case n > 0:
			return n, nil
		}
		if late == nil {
			if err := st.flush(); err != nil { // what the client waits for, before it grants more
				return 0, err
			}
			if d := c.srv.rules.Load().Send; d > 0 {
				timer := time.NewTimer(d)
				defer timer.Stop()
				late = timer.C
			}
		}
		select {
		case <-st.room:
		case <-late:
			return 0, http1.ErrSendTimeout
		}
	}
}

// admit counts a DATA frame of the given size, padding included, against both windows. c.mu is held.
func (c *conn) admit(st *stream, size int64) error {
	if size > c.receive {
		return h2.ConnectionError(h2.ErrCodeFlowControl)
	}
	c.receive -= size
	if st == nil {
		return nil
	}
	if size > st.receive {
		return h2.StreamError{StreamID: st.id, Code: h2.ErrCodeFlowControl}
	}
	st.receive -= size
	return nil
}

// consumed notes that size bytes of a body need no room any more, and grants the client as much again once
// that is worth a frame. A stream whose body has ended needs none.
func (c *conn) consumed(st *stream, size int64) error {
	c.mu.Lock()
	var connection, stream int64
	c.used += size
	if c.used >= connectionWindow/4 {
		connection, c.used = c.used, 0
		c.receive += connection
	}
	id := uint32(0)
	if st != nil && !st.ended && !st.gone {
		id = st.id
		st.used += size
		if st.used >= streamWindow/4 {
			stream, st.used = st.used, 0
			st.receive += stream
		}
	}
	c.mu.Unlock()
	if connection == 0 && stream == 0 {
		return nil
	}
	return c.pen.windowUpdates(uint32(connection), id, uint32(stream))
}
