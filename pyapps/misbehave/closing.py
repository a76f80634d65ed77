"""Iterables with close(): it is called exactly once, whatever happens (PEP 3333).

Each call of close() appends ``closed`` to the mark file and counts in the process;
``/counts`` answers the counts by path as JSON. Under a correct server every variant
leaves one line, with GET and with HEAD.

/normal         two blocks: ``one\\ntwo\\n``
/empty          no block
/unstarted      start_response never called: 500
/bad-headers    the headers are refused when the first block comes, or before: the
                iterable was returned, 500
/raises-before  the first step raises: 500
/raises-after   the second step raises: aborted after ``one\\n``
/wrong-block    yields a str: 500
/cut            Content-Length 4, endless blocks: the server takes no more than needed,
                the body is ``one\\n``
/endless        blocks of 64 KiB for ever: the client leaves, iteration stops
/waits?file=F   ``one\\n``, then waits (at most 10 s) for file F, then endless blocks:
                the client has left before the worker could know
/separate       close() on the iterable, another on the iterator it gives: only the
                iterable's counts; the iterator's would append ``iterator closed``
/close-raises   close() raises after the body ``one\\n`` is out: logged, body complete
                or aborted, worker alive
/both-raise     the second step raises, then close() raises: aborted, both logged
/not-callable   close is the int 1: logged, worker alive, no line
/generator      a generator with try/finally, left in the middle by Content-Length 4:
                the finally block runs (its line is ``closed``)
/exits          close() calls sys.exit(): as /close-raises
"""

import os
import sys
import threading
import time

from misbehave import answers
from misbehave.marks import marker
from misbehave.variants import by_path, field

PLAIN = [("Content-Type", "text/plain")]
PATIENCE = 10.0  # seconds that /waits waits

counts = {}
counts_lock = threading.Lock()


class Closable:
    """An iterable over blocks that records each close(), then calls after (if any)."""

    def __init__(self, environ, blocks, after=None):
        self.path = environ["PATH_INFO"]
        self.mark = marker(environ)
        self.blocks = blocks
        self.after = after

    def __iter__(self):
        return iter(self.blocks)

    def close(self):
        with counts_lock:
            counts[self.path] = counts.get(self.path, 0) + 1
        self.mark("closed")
        if self.after is not None:
            self.after()


class IteratorWithClose:
    """An iterator whose close() is nobody's to call."""

    def __init__(self, environ):
        self.mark = marker(environ)
        self.left = iter([b"one\n", b"two\n"])

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.left)

    def close(self):
        self.mark("iterator closed")


def fails(where):
    """Raises, naming where."""
    raise RuntimeError(f"closing fails in {where}")


def raises_before():
    fails("the first step")
    yield b"not to be sent\n"


def raises_after():
    yield b"one\n"
    fails("the second step")


def endless():
    block = b"e" * 65536
    while True:
        yield block


def ones():
    while True:
        yield b"one\n"


def waits_for(path):
    yield b"one\n"
    deadline = time.monotonic() + PATIENCE
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.005)
    yield from endless()


def closable(blocks, after=None, headers=PLAIN):
    """Returns an application that starts 200 and returns a Closable of blocks()."""

    def variant(environ, start_response):
        start_response("200 OK", headers[:])
        return Closable(environ, blocks(), after)

    return variant


def unstarted(environ, start_response):
    return Closable(environ, [b"one\n"])


def bad_headers(environ, start_response):
    def blocks():
        start_response("200 OK", [("X-Wrong", 1)])
        yield b"one\n"

    return Closable(environ, blocks())


def waits(environ, start_response):
    path = field(environ, "file")
    if path is None:
        return answers.text(start_response, "want file=FILE\n", "400 Bad Request")
    start_response("200 OK", PLAIN[:])
    return Closable(environ, waits_for(path))


def separate(environ, start_response):
    start_response("200 OK", PLAIN[:])
    return Closable(environ, IteratorWithClose(environ))


def not_callable(environ, start_response):
    start_response("200 OK", PLAIN[:])
    iterable = Closable(environ, [b"one\n"])
    iterable.close = 1
    return iterable


def generator(environ, start_response):
    mark = marker(environ)
    start_response("200 OK", FOUR_BYTES[:])
    try:
        yield from ones()
    finally:
        mark("closed")


def show_counts(environ, start_response):
    with counts_lock:
        return answers.as_json(start_response, counts)


FOUR_BYTES = PLAIN + [("Content-Length", "4")]

application = by_path(
    {
        "/normal": closable(lambda: [b"one\n", b"two\n"]),
        "/empty": closable(lambda: []),
        "/unstarted": unstarted,
        "/bad-headers": bad_headers,
        "/raises-before": closable(raises_before),
        "/raises-after": closable(raises_after),
        "/wrong-block": closable(lambda: ["text\n"]),
        "/cut": closable(ones, headers=FOUR_BYTES),
        "/endless": closable(endless),
        "/waits": waits,
        "/separate": separate,
        "/close-raises": closable(lambda: [b"one\n"], lambda: fails("close()")),
        "/both-raise": closable(raises_after, lambda: fails("close()")),
        "/not-callable": not_callable,
        "/generator": generator,
        "/exits": closable(lambda: [b"one\n"], sys.exit),
        "/counts": show_counts,
    }
)
