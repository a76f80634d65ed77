/* wait.c: sleeping and waking across processes, and the pause of a spin. */
#include "gowsgi.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * gw_futex_wait: sleep while *word is still `seen`.
 *
 * GIL      not needed; a caller that holds it releases it first
 * returns  at a wake, a signal, after timeout_ms (-1: never), or at once when
 *          *word differs: the caller looks again in every case
 * source   futex(2); not FUTEX_PRIVATE, the front is another process
 */
void
gw_futex_wait(uint32_t *word, uint32_t seen, long timeout_ms)
{
    struct timespec limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000000};

    syscall(SYS_futex, word, FUTEX_WAIT, seen, timeout_ms < 0 ? NULL : &limit,
            NULL, 0);
}

/* gw_futex_wake: wake up to `count` sleepers on *word. GIL: not needed. */
void
gw_futex_wake(uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

/* gw_pause: one step of a spin, cheap for the core's other thread. */
void
gw_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static int64_t
nanoseconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/*
 * gw_spin_limit: how many pauses last about `nanoseconds` here; 0 where
 * spinning cannot help because nothing else could run meanwhile.
 */
long
gw_spin_limit(long nanoseconds)
{
    enum { SAMPLE = 500 };
    int64_t began = nanoseconds_now(), each;
    cpu_set_t mine;

    if (sched_getaffinity(0, sizeof(mine), &mine) == 0 && CPU_COUNT(&mine) < 2)
        return 0;
    for (int i = 0; i < SAMPLE; i++)
        gw_pause();
    each = (nanoseconds_now() - began) / SAMPLE;
    return each < 1 ? nanoseconds : (long)(nanoseconds / each);
}
