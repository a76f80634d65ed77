package changes

import "sync"

// mailbox holds what the watcher's goroutine is to do, in order. Posting never
// waits: the watcher's own callbacks may do it.
type mailbox struct {
	mu      sync.Mutex
	held    []func()
	arrived chan struct{} // has room for one
}

func (m *mailbox) post(what func()) {
	m.mu.Lock()
	m.held = append(m.held, what)
	m.mu.Unlock()
	select {
	case m.arrived <- struct{}{}:
	default: // it will be found with the others
	}
}

func (m *mailbox) take() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	held := m.held
	m.held = nil
	return held
}
