package channeltest

// The structs of embed/channel.h.

const (
	magic  = 0x69677367
	layout = 1
)

// The states of a slot, enum gw_state.
const (
	Free      = 0
	Ready     = 1
	Running   = 2
	Answering = 3
	Aborted   = 4
	Done      = 5
)

// How an exchange ended, enum gw_outcome.
const (
	Complete = 0
	Raised   = 1
	Dropped  = 2
)

const (
	bodyMore   = 0
	bodyEnd    = 1
	bodyBroken = 2

	statusServing = 1
	orderLeave    = 1

	waitReply = 1
	waitRoom  = 2
)

type segmentHeader struct {
	magic, layout, slots, threads                   uint32
	environBytes, bodyBytes, replyBytes, faultBytes uint32
	slotOffset, slotStride                          uint64
	_                                               [16]byte

	kick, order uint32
	_           [56]byte

	sleepers, status uint32
	_                [56]byte

	frontSleeps uint32
	_           [60]byte

	bells [4]uint64
	_     [32]byte

	state [256]uint64
}

type slotHeader struct {
	environLength, bodyState   uint32
	bodyWritten, replyConsumed uint64
	bodyLength                 int64
	_, sent, bodyFile          uint32
	_                          [20]byte

	bodyConsumed, replyWritten uint64
	replyLength                int64
	hinted                     uint64
	headLength, outcome        uint32
	faultLength, bodyWanted    uint32
	answered, replyFile        uint32
	replyOffset                int64

	waits, nudge, threadSleeps uint32
	_                          [52]byte
}

const slotHeaderBytes = 192
