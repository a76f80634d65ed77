/*
 * settle.c: the zygote's memory made ready to be shared, once the application
 * is loaded and before the first fork.
 *
 * A worker shares a page with the zygote until it writes to it. Loading an
 * application leaves freed blocks all over its pages; each that a worker
 * allocates again costs it a page of its own, and the zygote keeps the other
 * copy; malloc even writes to all of its holes when it sorts them. So the
 * zygote uses the holes up first: what a worker allocates then lies together,
 * in pages that were nobody's before.
 */
#include "gowsgi.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>

/* CPython's small blocks: sizes in steps of 16 bytes, cut from pools. */
#define SMALL_STEP 16
#define SMALL_MOST 512
#if PY_VERSION_HEX >= 0x030A0000 && UINTPTR_MAX > 0xffffffffu
#define POOL_BYTES 16384
#else
#define POOL_BYTES 4096
#endif
#define POOL_HEAD 64

/* How far the search for holes of one size goes before it is given up. */
#define SMALL_LIMIT (16u << 20)

/* A block taken to fill a hole: all it holds is the way to the one before. */
struct plug {
    struct plug *before;
};

/* Free the last `count` blocks of the chain. */
static void
plugs_free(struct plug *last, size_t count)
{
    while (count-- > 0 && last != NULL) {
        struct plug *before = last->before;
        PyObject_Free(last);
        last = before;
    }
}

/*
 * Use up the free blocks of one size. Blocks that follow each other without a
 * gap, as many as a pool has, are a pool nothing was in: the holes before it
 * were the last, and it is given back. An allocator that never gives such a
 * row is not CPython's own and gets all of it back. Returns the bytes used
 * up, or -1 for such an allocator.
 */
static Py_ssize_t
fill_small(size_t size)
{
    struct plug *last = NULL;
    size_t row = 0;

    for (size_t taken = 1; taken <= SMALL_LIMIT / size; taken++) {
        struct plug *block = PyObject_Malloc(size);

        if (block == NULL)
            break;
        row = (char *)block == (char *)last + size ? row + 1 : 1;
        block->before = last;
        last = block;
        if ((row + 1) * size > POOL_BYTES - POOL_HEAD) {
            plugs_free(last, row);
            return (Py_ssize_t)((taken - row) * size);
        }
    }
    plugs_free(last, SIZE_MAX);
    return -1;
}

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
/*
 * Use up the holes of malloc, from which CPython takes its larger blocks: all
 * that lies below a block from the top of the heap. The largest come first,
 * so that none is cut up for a smaller one, and never more is taken than
 * malloc says is free. Returns the bytes used up.
 */
static size_t
fill_large(void)
{
    enum { TOP = 120000, LARGEST = 64 << 10, SMALLEST = 24 };
    struct mallinfo2 info = mallinfo2();
    size_t budget = info.fordblks - info.keepcost;
    char *top = malloc(TOP);

    for (size_t size = LARGEST; top != NULL && size >= SMALLEST;) {
        char *block = size <= budget ? malloc(size) : NULL;

        if (block != NULL && block < top) {
            budget -= size; /* and never freed: it is the filling */
            continue;
        }
        free(block);
        size -= size > 4096 ? 1024 : size > 1024 ? 128 : 16;
    }
    free(top);
    return info.fordblks - info.keepcost - budget;
}
#else
static size_t
fill_large(void)
{
    return 0;
}
#endif

/*
 * gw_settle: make the most of the zygote's memory shareable. Costs about a
 * millisecond.
 *
 * The cache of attribute look-ups goes, too: it holds names that only loading
 * needed, and a worker would write to each as it is replaced.
 *
 * GIL      held
 * returns  the bytes of holes that were used up
 */
size_t
gw_settle(void)
{
    size_t filled = 0;
    Py_ssize_t small = 0;

    PyType_ClearCache();
    for (size_t size = SMALL_STEP; size <= SMALL_MOST && small >= 0;
         size += SMALL_STEP) {
        small = fill_small(size);
        if (small > 0)
            filled += (size_t)small;
    }
    return filled + fill_large();
}
