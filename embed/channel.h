/*
 * channel.h: the shared memory between the front and one worker, as C sees it.
 *
 * The same layout is drawn in Go in embed/channel/layout.go; a test in embed
 * compares every size and offset. All integers are native. Fields are grouped
 * by writer, each group on cache lines of its own. A field that both sides
 * touch while the other may look is read and written atomically.
 *
 *   segment  one page-aligned header, then `slots` slots of `slot_stride`
 *   slot     struct gw_slot, environ area, body ring, reply ring, fault area
 *
 * The worker may believe what the front writes. The front believes nothing
 * that the worker writes.
 */
#ifndef GOWSGI_CHANNEL_H
#define GOWSGI_CHANNEL_H

#include <stdint.h>

#define GW_MAGIC 0x69677367u /* "gsgi" */
#define GW_LAYOUT 1u
#define GW_MAX_SLOTS 256u

/*
 * Life of a slot. The low byte of its state word; bits 8-23 hold the number
 * of the thread that runs it, bits 32-63 the ticket of this dispatch, which
 * orders READY slots and tells one use of a slot from the next.
 *
 *   FREE -> READY              front   a request is laid out
 *   READY -> FREE              front   taken back before a thread began it
 *   READY -> RUNNING           worker  a thread begins it
 *   RUNNING -> ANSWERING       worker  head (and perhaps a block) is published
 *   RUNNING, ANSWERING -> ABORTED  front  nobody wants the rest
 *   RUNNING, ANSWERING, ABORTED -> DONE  worker  close() has been called
 *   DONE -> FREE               front   everything is read
 *
 * Before DONE, a worker that has functions to run after the response says so:
 * `answered` is set once close() has been called and nothing follows. The
 * front answers with `sent` when the client has everything or is gone (ABORTED
 * says the latter, too); only then the functions run. The front need not wait
 * for DONE, but the slot and its thread stay taken until then.
 */
enum gw_state {
    GW_FREE = 0,
    GW_READY = 1,
    GW_RUNNING = 2,
    GW_ANSWERING = 3,
    GW_ABORTED = 4,
    GW_DONE = 5,
};

/* How an exchange ended; valid once the state is DONE or `answered` is set. */
enum gw_outcome {
    GW_COMPLETE = 0, /* the iterable was exhausted and closed */
    GW_RAISED = 1,   /* the application failed; the fault area says how */
    GW_DROPPED = 2,  /* stopped because the front aborted it */
};

/* Request body, as far as the front has it. */
enum gw_body {
    GW_BODY_MORE = 0,
    GW_BODY_END = 1,
    GW_BODY_BROKEN = 2, /* the client went away or sent garbage */
};

/* Life of the worker itself. */
enum gw_status { GW_BOOTING = 0, GW_SERVING = 1, GW_LEAVING = 2 };

/* What the front wants of the worker: values of gw_segment.order. */
#define GW_SERVE 0u
#define GW_LEAVE 1u

/* Bits of gw_slot.waits: which goroutine of the front is asleep. */
#define GW_WAIT_REPLY 1u
#define GW_WAIT_ROOM 2u

struct gw_segment {
    /* written once by the front, before the fork */
    uint32_t magic;
    uint32_t layout;
    uint32_t slots;
    uint32_t threads;
    uint32_t environ_bytes;
    uint32_t body_bytes;  /* a power of two */
    uint32_t reply_bytes; /* a power of two */
    uint32_t fault_bytes;
    uint64_t slot_offset;
    uint64_t slot_stride;
    uint8_t pad0[16];

    /* written by the front */
    uint32_t kick;  /* futex; +1 for each READY slot and each new order */
    uint32_t order; /* futex; GW_SERVE, then GW_LEAVE */
    uint8_t pad1[56];

    /* written by the worker */
    uint32_t sleepers; /* threads inside the futex wait on kick */
    uint32_t status;   /* enum gw_status */
    uint8_t pad2[56];

    /* 1: the front sleeps and wants the eventfd written */
    uint32_t front_sleeps;
    uint8_t pad3[60];

    /* a bit per slot that has news for the front */
    uint64_t bells[GW_MAX_SLOTS / 64];
    uint8_t pad4[32];

    uint64_t state[GW_MAX_SLOTS];
};

/*
 * A message on the socket of one worker, which descriptors travel by. Each
 * GW_ASK_BODY is answered by one GW_BODY_FILE with the same slot and ticket:
 * with the descriptor of the request's body, which is the worker's to close,
 * or without one when that request is over.
 *
 * GW_REPLY_FILE comes from the worker and has no answer: its descriptor is the
 * body of the response, whose head follows in the slot.
 */
struct gw_passing {
    uint32_t kind; /* enum gw_passing_kind */
    uint32_t slot;
    uint32_t ticket;
};

enum gw_passing_kind {
    GW_ASK_BODY = 1,
    GW_BODY_FILE = 2,
    GW_REPLY_FILE = 3,
};

struct gw_slot {
    /* written by the front */
    uint32_t environ_length;
    uint32_t body_state; /* enum gw_body */
    uint64_t body_written;
    uint64_t reply_consumed;
    int64_t body_length; /* declared length, -1 when not known */
    uint32_t alone;      /* 1: the front has no other request just now */
    uint32_t sent;       /* 1: the client has the whole answer, or is gone */
    uint32_t body_file;  /* 1: the body is a file, see struct gw_passing */
    uint8_t pad0[20];

    /* written by the worker */
    uint64_t body_consumed;
    uint64_t reply_written;
    int64_t reply_length; /* body length the gateway may declare, or -1 */
    uint64_t hinted;      /* bytes at the start of the ring that are hints */
    uint32_t head_length; /* packed status and headers, behind the hints */
    uint32_t outcome;     /* enum gw_outcome */
    uint32_t fault_length;
    uint32_t body_wanted; /* 1 once the application waits for more body */
    uint32_t answered;    /* 1: outcome and fault are valid before DONE */
    uint32_t reply_file;  /* 1: the body is a file, see struct gw_passing */
    int64_t reply_offset; /* where in that file it begins */

    /* who sleeps, and the futex the front wakes this slot's threads with */
    uint32_t waits; /* GW_WAIT_*: set by the front, cleared by the worker */
    uint32_t nudge; /* futex */
    uint32_t
        thread_sleeps; /* threads of the slot in, or near, the futex wait */
    uint8_t pad2[52];
};

#endif
