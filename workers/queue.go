package workers

// queue holds calls that no worker has room for, oldest first. It is a list
// through the calls themselves: queueing allocates nothing.
type queue struct {
	head, tail *Call
	length     int
}

func (q *queue) push(c *Call) {
	c.next, c.previous = nil, q.tail
	if q.tail == nil {
		q.head = c
	} else {
		q.tail.next = c
	}
	q.tail = c
	c.queued = true
	q.length++
}

// pushInOrder puts a call back that has waited before: behind older ones only.
func (q *queue) pushInOrder(c *Call) {
	after := q.head
	for after != nil && older(after.ticket, c.ticket) {
		after = after.next
	}
	if after == nil {
		q.push(c)
		return
	}
	c.next, c.previous = after, after.previous
	if after.previous == nil {
		q.head = c
	} else {
		after.previous.next = c
	}
	after.previous = c
	c.queued = true
	q.length++
}

// pop returns the oldest call, nil when there is none.
func (q *queue) pop() *Call {
	c := q.head
	if c != nil {
		q.remove(c)
	}
	return c
}

func (q *queue) remove(c *Call) {
	if c.previous == nil {
		q.head = c.next
	} else {
		c.previous.next = c.next
	}
	if c.next == nil {
		q.tail = c.previous
	} else {
		c.next.previous = c.previous
	}
	c.next, c.previous, c.queued = nil, nil, false
	q.length--
}

// older compares tickets, which wrap around.
func older(a, b uint32) bool { return int32(a-b) < 0 }
