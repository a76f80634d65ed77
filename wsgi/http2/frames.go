// This file does what the client's frames say. Errors are h2.ConnectionError and h2.StreamError, or what
// writing an acknowledgement met with.

package http2

import (
	h2 "golang.org/x/net/http2"
)

func (c *conn) process(f h2.Frame) error {
	if !c.greeted {
		if s, ok := f.(*h2.SettingsFrame); !ok || s.IsAck() {
			return h2.ConnectionError(h2.ErrCodeProtocol) // RFC 9113 §3.4
		}
		c.greeted = true
	}
	switch f := f.(type) {
	case *h2.MetaHeadersFrame:
		return c.processHeaders(f)
	case *h2.DataFrame:
		return c.processData(f)
	case *h2.RSTStreamFrame:
		return c.processReset(f)
	case *h2.PushPromiseFrame:
		return h2.ConnectionError(h2.ErrCodeProtocol) // RFC 9113 §8.4
	}
	if c.wasted() {
		return h2.ConnectionError(h2.ErrCodeEnhanceYourCalm)
	}
	switch f := f.(type) {
	case *h2.SettingsFrame:
		return c.processSettings(f)
	case *h2.WindowUpdateFrame:
		return c.grow(f.StreamID, f.Increment)
	case *h2.PingFrame:
		return c.processPing(f)
	case *h2.PriorityFrame:
		if f.StreamDep == f.StreamID {
			return h2.StreamError{StreamID: f.StreamID, Code: h2.ErrCodeProtocol}
		}
	}
	return nil // GOAWAY: streams it has begun are answered still; unknown types: RFC 9113 §4.1
}

// processHeaders begins a stream, or ends one by trailers.
func (c *conn) processHeaders(f *h2.MetaHeadersFrame) error {
	id := f.StreamID
	if id%2 != 1 {
		return h2.ConnectionError(h2.ErrCodeProtocol)
	}
	c.mu.Lock()
	st, last, final := c.find(id), c.last, c.final
	c.mu.Unlock()
	switch {
	case st != nil:
		return c.processTrailers(st, f)
	case id <= last:
		return h2.ConnectionError(h2.ErrCodeStreamClosed)
	case f.HasPriority() && f.Priority.StreamDep == id:
		c.noteMalformed(h2.StreamError{StreamID: id, Code: h2.ErrCodeProtocol})
		return h2.StreamError{StreamID: id, Code: h2.ErrCodeProtocol}
	case id > final:
		if c.wasted() {
			return h2.ConnectionError(h2.ErrCodeEnhanceYourCalm)
		}
		return nil // the client has been told that this one will not be served
	}
	c.moved()
	return c.begin(f)
}

// processTrailers ends a request's body. What the fields say is dropped: WSGI has no place for them.
func (c *conn) processTrailers(st *stream, f *h2.MetaHeadersFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case st.ended || st.gone:
		return h2.StreamError{StreamID: st.id, Code: h2.ErrCodeStreamClosed}
	case !f.StreamEnded() || len(f.PseudoFields()) > 0:
		return h2.StreamError{StreamID: st.id, Code: h2.ErrCodeProtocol}
	}
	return st.endLocked()
}

func (c *conn) processData(f *h2.DataFrame) error {
	size, data := int64(f.Length), f.Data()
	c.mu.Lock()
	st := c.find(f.StreamID)
	idle := f.StreamID > c.last
	if st != nil && (st.ended || st.gone) {
		st = nil
	}
	err := c.admit(st, size)
	room := size
	if err == nil && st != nil {
		room -= int64(len(data))
		if !st.putLocked(data) {
			room = size // nobody wants it
		}
		if f.StreamEnded() {
			err = st.endLocked()
		} else if st.tooLong() {
			err = h2.StreamError{StreamID: st.id, Code: h2.ErrCodeProtocol}
		}
	}
	c.mu.Unlock()
	switch {
	case idle:
		return h2.ConnectionError(h2.ErrCodeProtocol)
	case err == nil && st == nil:
		err = h2.StreamError{StreamID: f.StreamID, Code: h2.ErrCodeStreamClosed}
	}
	if room > 0 {
		if failed := c.consumed(st, room); failed != nil {
			return failed
		}
	}
	if len(data) > 0 {
		c.moved()
	} else if !f.StreamEnded() && c.wasted() {
		return h2.ConnectionError(h2.ErrCodeEnhanceYourCalm)
	}
	return err
}

func (c *conn) processReset(f *h2.RSTStreamFrame) error {
	c.mu.Lock()
	st := c.find(f.StreamID)
	idle := f.StreamID > c.last
	if st != nil {
		st.breakLocked(errGone)
	}
	c.mu.Unlock()
	switch {
	case idle:
		return h2.ConnectionError(h2.ErrCodeProtocol)
	case st == nil && c.wasted(), st != nil && c.reset():
		return h2.ConnectionError(h2.ErrCodeEnhanceYourCalm)
	}
	return nil
}

// processSettings takes the settings in their order, the same one several times if it comes so
// (RFC 9113 §6.5.3).
func (c *conn) processSettings(f *h2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	for i := range f.NumSettings() {
		s := f.Setting(i)
		err := s.Valid()
		switch {
		case err != nil:
		case s.ID == h2.SettingInitialWindowSize:
			err = c.startWith(s.Val)
		case s.ID == h2.SettingHeaderTableSize:
			err = c.pen.tableSize(s.Val)
		}
		if err != nil {
			return err
		}
	}
	return c.pen.settingsAck()
}

func (c *conn) processPing(f *h2.PingFrame) error {
	if !f.IsAck() {
		return c.pen.ping(true, f.Data)
	}
	if f.Data == goodbye {
		c.lastCall()
	}
	return nil
}
