package channel

// The values and structs below mirror embed/channel.h, name for name.

const (
	magic  = 0x69677367
	layout = 1

	// MaxSlots is the most slots a segment can have: the room its header has
	// for state words.
	MaxSlots = 256
)

// State is where a slot is in its life; the low byte of its state word.
type State uint8

// The states of a slot, and who moves it there.
const (
	Free      State = 0 // front: everything has been read
	Ready     State = 1 // front: a request is laid out
	Running   State = 2 // worker: a thread has begun it
	Answering State = 3 // worker: the head is published
	Aborted   State = 4 // front: nobody wants the rest
	Done      State = 5 // worker: close() has been called
)

var stateNames = [...]string{"free", "ready", "running", "answering", "aborted", "done"}

// String returns the state's name for logs.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "damaged"
}

// Outcome is how an exchange ended; valid once it is Done or Answered.
type Outcome uint32

// The outcomes of an exchange.
const (
	Complete Outcome = 0 // the iterable was exhausted and closed
	Raised   Outcome = 1 // the application failed; Fault says how
	Dropped  Outcome = 2 // stopped because the front aborted it
)

// Status is the life of the worker itself.
type Status uint32

// The statuses of a worker.
const (
	Booting Status = 0 // importing the application
	Serving Status = 1
	Leaving Status = 2 // told to leave, running Python's own shutdown
)

// What the front knows of a request body.
const (
	bodyMore   = 0
	bodyEnd    = 1
	bodyBroken = 2
)

// What the front wants of a worker.
const (
	orderServe = 0
	orderLeave = 1
)

// Waits says which goroutines of the front sleep on a slot.
type Waits uint32

// The two goroutines that may wait on one exchange.
const (
	WaitReply Waits = 1 // for the head, for body bytes, for the end
	WaitRoom  Waits = 2 // for room in the request body ring
)

type header struct {
	// written once by the front, before the fork
	magic        uint32
	layout       uint32
	slots        uint32
	threads      uint32
	environBytes uint32
	bodyBytes    uint32
	replyBytes   uint32
	faultBytes   uint32
	slotOffset   uint64
	slotStride   uint64
	_            [16]byte

	// written by the front
	kick  uint32
	order uint32
	_     [56]byte

	// written by the worker
	sleepers uint32
	status   uint32
	_        [56]byte

	frontSleeps uint32
	_           [60]byte

	bells [MaxSlots / 64]uint64
	_     [32]byte

	state [MaxSlots]uint64
}

type slotHeader struct {
	// written by the front
	environLength uint32
	bodyState     uint32
	bodyWritten   uint64
	replyConsumed uint64
	bodyLength    int64
	alone         uint32
	sent          uint32
	bodyFile      uint32
	_             [20]byte

	// written by the worker
	bodyConsumed uint64
	replyWritten uint64
	replyLength  int64
	hinted       uint64
	headLength   uint32
	outcome      uint32
	faultLength  uint32
	bodyWanted   uint32
	answered     uint32
	replyFile    uint32
	replyOffset  int64

	waits        uint32
	nudge        uint32
	threadSleeps uint32
	_            [52]byte
}
