"""Leaves holes all over its memory when it is imported, as large imports do.

/small   keeps ``blocks`` new objects of the size CPython's own allocator deals in
/large   the same with objects it takes from malloc

Both answer the bytes of these objects.
"""

import sys

from misbehave import answers
from misbehave.variants import by_path, field

SMALL, LARGE = 31, 991  # with the head of a bytes object: 64 bytes, 1 KiB

kept = [bytes(SMALL) for _ in range(100_000)]
del kept[::8]
kept += [bytes(LARGE) for _ in range(10_000)]
del kept[-10_000::4]


def growing(size):
    """Returns an application that keeps blocks of so many bytes."""

    def variant(environ, start_response):
        blocks = int(field(environ, "blocks") or 0)
        kept.append([bytes(size) for _ in range(blocks)])
        return answers.text(start_response, f"{blocks * sys.getsizeof(bytes(size))}\n")

    return variant


application = by_path({"/small": growing(SMALL), "/large": growing(LARGE)})
