/*
 * channel.c: the worker's side of the shared memory.
 *
 * Nothing here needs the GIL or touches a Python object.
 */
#include "gowsgi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE(word) ((word)&0xff)
#define WITH_STATE(word, state)                                               \
    (((word) & ~(uint64_t)0xff) | (uint64_t)(state))
#define TICKET(word) ((uint32_t)((word) >> 32))

/*
 * gw_segment_attach: map the segment behind `fd` and check its header.
 *
 * returns  0 and *segment, mapped until the process ends; -1 with the reason
 *          in `why`. The sizes must be those this binary was compiled with:
 *          front and worker are the same file, so anything else is damage.
 */
int
gw_segment_attach(int fd, struct gw_segment **segment, char *why,
                  size_t why_size)
{
    struct stat st;
    struct gw_segment *s;
    uint64_t need;

    if (fstat(fd, &st) < 0 || (uint64_t)st.st_size < sizeof(*s)) {
        snprintf(why, why_size, "segment too small or unreadable");
        return -1;
    }
    s = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
             0);
    if (s == MAP_FAILED) {
        snprintf(why, why_size, "mmap: %s", strerror(errno));
        return -1;
    }
    need = s->slot_offset + s->slot_stride * s->slots;
    if (s->magic != GW_MAGIC || s->layout != GW_LAYOUT || s->slots == 0 ||
        s->slots > GW_MAX_SLOTS || s->slot_offset < sizeof(*s) ||
        s->slot_stride < sizeof(struct gw_slot) + (uint64_t)s->environ_bytes +
                             s->body_bytes + s->reply_bytes + s->fault_bytes ||
        need > (uint64_t)st.st_size) {
        snprintf(why, why_size, "segment header does not match this binary");
        return -1;
    }
    *segment = s;
    return 0;
}

/* Point the exchange at slot `index` of the worker's segment. */
static void
exchange_open(struct gw_exchange *exchange, uint32_t index, uint64_t word)
{
    struct gw_segment *s = gw_worker.segment;
    unsigned char *base =
        (unsigned char *)s + s->slot_offset + s->slot_stride * index;

    exchange->slot = (struct gw_slot *)base;
    exchange->index = index;
    exchange->word = word;
    exchange->environ = base + sizeof(struct gw_slot);
    exchange->body = exchange->environ + s->environ_bytes;
    exchange->reply = exchange->body + s->body_bytes;
    exchange->fault = (char *)exchange->reply + s->reply_bytes;
    exchange->head_length = 0;
    exchange->head_set = 0;
    exchange->head_sent = 0;
    exchange->dropped = 0;
    exchange->writing = 0;
    exchange->written = 0;
    exchange->items = -1;
    exchange->after = NULL;
}

/* The READY slot with the oldest ticket, or -1. */
static int
oldest_ready(uint64_t *word)
{
    struct gw_segment *s = gw_worker.segment;
    int best = -1;

    for (uint32_t i = 0; i < s->slots; i++) {
        uint64_t w = __atomic_load_n(&s->state[i], __ATOMIC_ACQUIRE);
        if (STATE(w) != GW_READY)
            continue;
        if (best < 0 || (int32_t)(TICKET(w) - TICKET(*word)) < 0) {
            best = (int)i;
            *word = w;
        }
    }
    return best;
}

/*
 * gw_slot_take: begin the oldest request nobody has begun.
 *
 * returns  1 with `exchange` opened on it; 0 when there is none. The front
 *          may take the slot back at the same moment: the compare-and-swap
 *          decides, and the loser looks again.
 */
int
gw_slot_take(uint32_t owner, struct gw_exchange *exchange)
{
    struct gw_segment *s = gw_worker.segment;
    uint64_t word = 0;
    int index;

    while ((index = oldest_ready(&word)) >= 0) {
        uint64_t mine =
            WITH_STATE(word & ~((uint64_t)0xffff << 8), GW_RUNNING) |
            (uint64_t)(owner & 0xffff) << 8;
        if (__atomic_compare_exchange_n(&s->state[index], &word, mine, 0,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            exchange_open(exchange, (uint32_t)index, mine);
            return 1;
        }
    }
    return 0;
}

/* gw_slot_any_ready: whether a request waits to be begun. */
int
gw_slot_any_ready(void)
{
    uint64_t word = 0;

    return oldest_ready(&word) >= 0;
}

/* gw_slot_aborted: whether the front has given this exchange up. */
int
gw_slot_aborted(struct gw_exchange *exchange)
{
    uint64_t word = __atomic_load_n(&gw_worker.segment->state[exchange->index],
                                    __ATOMIC_ACQUIRE);

    return STATE(word) == GW_ABORTED;
}

/*
 * The application has closed our descriptors, as a daemon would that closes
 * every one it does not know. Nobody would hear from this worker again, so it
 * ends here: its death is noticed, answered for, and made good.
 */
static _Noreturn void
bell_lost(void)
{
    static const char complaint[] =
        "gowsgi: the application has closed a descriptor it did not open; "
        "this worker cannot reach the server any more and ends [GW108]\n";

    if (write(STDERR_FILENO, complaint, sizeof(complaint) - 1) < 0)
        _exit(GW_EXIT_CHANNEL);
    _exit(GW_EXIT_CHANNEL);
}

/*
 * gw_bell_ring: tell the front that slot `index` has news.
 *
 * The bit is set before front_sleeps is looked at; the front does the two in
 * the other order, so one of us always sees the other. The eventfd is written
 * only for a sleeping front: under load this costs no system call.
 */
void
gw_bell_ring(uint32_t index)
{
    struct gw_segment *s = gw_worker.segment;
    uint64_t one = 1;

    __atomic_or_fetch(&s->bells[index / 64], (uint64_t)1 << (index % 64),
                      __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&s->front_sleeps, __ATOMIC_SEQ_CST) &&
        __atomic_exchange_n(&s->front_sleeps, 0, __ATOMIC_SEQ_CST)) {
        ssize_t n;
        do
            n = write(gw_worker.bell, &one, sizeof(one));
        while (n < 0 && errno == EINTR);
        if (n < 0)
            bell_lost();
    }
}

/* gw_slot_tell: ring for the goroutines that said they sleep, of `waits`. */
void
gw_slot_tell(struct gw_exchange *exchange, uint32_t waits)
{
    struct gw_slot *slot = exchange->slot;

    /* the fence orders what was published before the look at waits: the
     * front sets waits first and then looks at what was published */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&slot->waits, __ATOMIC_SEQ_CST) & waits) {
        __atomic_and_fetch(&slot->waits, ~waits, __ATOMIC_SEQ_CST);
        gw_bell_ring(exchange->index);
    }
}

/*
 * gw_slot_answered: the answer is complete, but there is more to run once the
 * client has it. The fault area holds what the front is to be told now; more
 * may be added before gw_slot_finish.
 */
void
gw_slot_answered(struct gw_exchange *exchange, uint32_t outcome)
{
    exchange->slot->outcome = outcome;
    __atomic_store_n(&exchange->slot->answered, 1, __ATOMIC_SEQ_CST);
    gw_slot_tell(exchange, GW_WAIT_REPLY | GW_WAIT_ROOM);
}

/* gw_slot_sent: whether the client has the whole answer, or has gone. */
int
gw_slot_sent(struct gw_exchange *exchange)
{
    return __atomic_load_n(&exchange->slot->sent, __ATOMIC_SEQ_CST) ||
           gw_slot_aborted(exchange);
}

/*
 * gw_slot_doze, gw_slot_sleep: wait until the front nudges this slot's
 * threads.
 *
 * Call gw_slot_doze, look once more at what is waited for, then gw_slot_sleep
 * with its value; gw_slot_wake ends either case, unless the exchange is over:
 * then the next Offer does. The front publishes first and looks at
 * thread_sleeps second, so a nudge cannot be missed. It is a count, because
 * one thread may read the request body while another writes the answer.
 * GIL: released by the caller around gw_slot_sleep, which is therefore given
 * the slot: without the GIL the exchange may become another one's.
 */
uint32_t
gw_slot_doze(struct gw_exchange *exchange)
{
    uint32_t nudge = __atomic_load_n(&exchange->slot->nudge, __ATOMIC_SEQ_CST);

    __atomic_add_fetch(&exchange->slot->thread_sleeps, 1, __ATOMIC_SEQ_CST);
    return nudge;
}

void
gw_slot_sleep(struct gw_slot *slot, uint32_t nudge)
{
    gw_futex_wait(&slot->nudge, nudge, -1);
}

void
gw_slot_wake(struct gw_exchange *exchange)
{
    __atomic_sub_fetch(&exchange->slot->thread_sleeps, 1, __ATOMIC_SEQ_CST);
}

/* gw_slot_nudge: wake whichever of our own threads sleeps on this slot. */
void
gw_slot_nudge(struct gw_exchange *exchange)
{
    __atomic_add_fetch(&exchange->slot->nudge, 1, __ATOMIC_SEQ_CST);
    gw_futex_wake(&exchange->slot->nudge, INT32_MAX);
}

/*
 * gw_slot_finish: the last thing done with a slot; it is the front's after.
 *
 * The end of an aborted exchange is always told: a block that was written
 * just after the abort may have used up the front's announcement.
 */
void
gw_slot_finish(struct gw_exchange *exchange, uint32_t outcome)
{
    struct gw_slot *slot = exchange->slot;
    uint64_t *state = &gw_worker.segment->state[exchange->index];
    uint64_t before;
    uint32_t waits;

    slot->outcome = outcome;
    before = __atomic_exchange_n(state, WITH_STATE(exchange->word, GW_DONE),
                                 __ATOMIC_SEQ_CST);
    /* from here on the front may reuse the slot: `waits` may already belong
     * to its next exchange, and then this is one bell too many, no harm */
    waits = __atomic_exchange_n(&slot->waits, 0, __ATOMIC_SEQ_CST);
    if (waits || STATE(before) == GW_ABORTED)
        gw_bell_ring(exchange->index);
}
