package workers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// contents walks a queue in both directions and returns its tickets.
func contents(t *testing.T, q *queue) []uint32 {
	t.Helper()
	var forth, back []uint32
	for c := q.head; c != nil; c = c.next {
		forth = append(forth, c.ticket)
		if !c.queued {
			t.Errorf("call %d is in the queue and does not know", c.ticket)
		}
	}
	for c := q.tail; c != nil; c = c.previous {
		back = append(back, c.ticket)
	}
	slices.Reverse(back)
	if !slices.Equal(forth, back) || len(forth) != q.length {
		t.Errorf("the queue is %v from its head, %v from its tail, and has length %d", forth, back, q.length)
	}
	return forth
}

// TestQueue_KeepsItsOrder compares random operations with a plain slice.
func TestQueue_KeepsItsOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(10, 11))
	for _, first := range []uint32{0, 1<<32 - 50} {
		var q queue
		var want []*Call
		ticket := first
		for range 2000 {
			switch random.IntN(5) {
			case 0, 1:
				ticket++
				c := &Call{ticket: ticket}
				q.push(c)
				want = append(want, c)
			case 2:
				got := q.pop()
				if len(want) == 0 {
					if got != nil {
						t.Fatalf("pop() of an empty queue = call %d, want nil", got.ticket)
					}
					continue
				}
				if got != want[0] || got.queued || got.next != nil || got.previous != nil {
					t.Fatalf("pop() = %+v, want call %d, out of the queue", got, want[0].ticket)
				}
				want = want[1:]
			case 3:
				if len(want) > 0 {
					i := random.IntN(len(want))
					q.remove(want[i])
					want = slices.Delete(want, i, i+1)
				}
			case 4: // one of them was laid out ahead and comes back
				if len(want) > 0 {
					i := random.IntN(len(want))
					c := want[i]
					q.remove(c)
					q.pushInOrder(c)
				}
			}
			got := contents(t, &q)
			if len(got) != len(want) {
				t.Fatalf("the queue has %v, want %d calls", got, len(want))
			}
			for i := range got {
				if got[i] != want[i].ticket {
					t.Fatalf("the queue is %v, want call %d at %d", got, want[i].ticket, i)
				}
			}
		}
	}
}

func TestOlder_SurvivesWrappingAround(t *testing.T) {
	for _, c := range []struct {
		a, b uint32
		want bool
	}{{1, 2, true}, {2, 1, false}, {5, 5, false}, {1<<32 - 1, 0, true}, {0, 1<<32 - 1, false}, {1<<32 - 5, 5, true}} {
		t.Run(fmt.Sprint(c.a, " ", c.b), func(t *testing.T) {
			if got := older(c.a, c.b); got != c.want {
				t.Errorf("older(%d, %d) = %v, want %v", c.a, c.b, got, c.want)
			}
		})
	}
}
