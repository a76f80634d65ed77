package workers

import "sync"

// mailbox brings what has happened to the one goroutine that deals with it, as
// functions to run there, in order. Posting never waits, so it may be done
// with any lock held.
type mailbox struct {
	mu    sync.Mutex
	posts []func()
	news  chan struct{} // has room for one: something was posted
}

func newMailbox() *mailbox { return &mailbox{news: make(chan struct{}, 1)} }

func (m *mailbox) post(what func()) {
	m.mu.Lock()
	m.posts = append(m.posts, what)
	m.mu.Unlock()
	select {
	case m.news <- struct{}{}:
	default: // its owner has been told and will take everything
	}
}

// take waits until something was posted and returns all of it.
func (m *mailbox) take() []func() {
	<-m.news
	m.mu.Lock()
	defer m.mu.Unlock()
	posts := m.posts
	m.posts = nil
	return posts
}
