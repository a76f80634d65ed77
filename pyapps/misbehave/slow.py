"""Takes its time.

``seconds=S`` (default 60) says how long; ``mark=FILE`` gets ``began PID`` before and
``ended`` after, so a test need not guess whether the request has reached the worker.

/sleep     sleeps in the call: the GIL is free, other threads serve
/busy      computes in Python: the GIL is passed on every few milliseconds
/gil       sleeps in C holding the GIL: no thread of this process can do anything
/stubborn  sleeps on, whatever exception is raised into it (BaseException included)
/blocks    ``tick\\n`` every tenth of a second, for S seconds
/stalled   ``tick\\n``, then sleeps, then ``tock\\n``
/closing   ``body\\n``, then sleeps in close(): a client that has its Content-Length
           need not wait for it

A server answers 504 once its request timeout has passed (aborted when a block was sent)
and replaces the worker; requests to other workers and threads do not notice.
"""

import ctypes
import os
import time

from misbehave import answers
from misbehave.marks import marker
from misbehave.variants import by_path, field

PLAIN = [("Content-Type", "text/plain")]
TICK = 0.1  # seconds between the blocks of /blocks


def busy(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


def holding_gil(seconds):
    # PyDLL, unlike CDLL, calls without releasing the GIL; sleep(3) has whole seconds.
    end = time.monotonic() + seconds
    library = ctypes.PyDLL(None)
    while time.monotonic() < end:
        library.usleep(int(min(0.5, seconds) * 1e6))


def stubborn(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            time.sleep(0.01)
        except BaseException:
            continue


def duration(environ):
    return float(field(environ, "seconds", "60"))


def spends(spend):
    """Returns an application that calls spend(seconds) and then answers."""

    def variant(environ, start_response):
        mark = marker(environ)
        mark(f"began {os.getpid()}")
        spend(duration(environ))
        mark("ended")
        return answers.text(start_response, "done\n")

    return variant


def blocks(environ, start_response):
    mark = marker(environ)
    start_response("200 OK", PLAIN[:])
    mark(f"began {os.getpid()}")
    end = time.monotonic() + duration(environ)
    while time.monotonic() < end:
        yield b"tick\n"
        time.sleep(TICK)
    mark("ended")


def stalled(environ, start_response):
    mark = marker(environ)
    start_response("200 OK", PLAIN[:])
    yield b"tick\n"
    mark(f"began {os.getpid()}")
    time.sleep(duration(environ))
    mark("ended")
    yield b"tock\n"


class SlowToClose:
    """An iterable of one block whose close() sleeps."""

    def __init__(self, environ):
        self.seconds = duration(environ)
        self.mark = marker(environ)

    def __iter__(self):
        return iter([b"body\n"])

    def close(self):
        self.mark(f"began {os.getpid()}")
        time.sleep(self.seconds)
        self.mark("ended")


def closing(environ, start_response):
    start_response("200 OK", PLAIN + [("Content-Length", "5")])
    return SlowToClose(environ)


application = by_path(
    {
        "/sleep": spends(time.sleep),
        "/busy": spends(busy),
        "/gil": spends(holding_gil),
        "/stubborn": spends(stubborn),
        "/blocks": blocks,
        "/stalled": stalled,
        "/closing": closing,
    }
)
