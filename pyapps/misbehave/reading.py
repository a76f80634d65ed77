"""Reads the request body at odd moments and in odd ways (see also upload.py).

Answers JSON unless said otherwise.

/ignored      does not read: ``ignored\\n``, the next request on the connection intact
/late         yields ``early\\n`` first, then reads all: second block ``LENGTH\\n``
/in-close     ``body\\n``; close() reads all and marks ``read LENGTH``: the rest of the
              body, or nothing
/duplex       yields every block of 1000 bytes back as it is read: the body; a client
              that sends it all before it reads must not be blocked for ever
/bytewise     read(1) until the end: ``length``, the number of calls before b''
/zero         read(0), readline(0): ``results``, each b'', nothing is consumed; then
              ``length`` of the rest
/enormous     read(2**62): ``length``; no such buffer is allocated
/negative     read(-1), like read(): ``length``
/none         read(None), like read(): ``length``
/arguments    wrong arguments of read, readline, readlines, readinto: ``raised``, the
              type each raises, TypeError by and large; then ``length`` of the body,
              still unread
/closes       calls input.close() if there is one, and reads: ``closed`` (whether there
              was), ``after`` (repr of a read or ``raised TYPE``); the server goes on
/marks        read(1000) until the end or an exception; marks ``block LENGTH`` for each
              block, then ``end LENGTH`` or ``raised TYPE LENGTH``: what the
              application learns of a client that goes away in the middle of its body
              (an exception, or it is never called; no quiet b''). With ``file=FILE``
              it waits for FILE, 10 s at most, after each block.
"""

import os
import time

from misbehave import answers
from misbehave.marks import marker
from misbehave.variants import by_path, field

PLAIN = [("Content-Type", "text/plain")]
READ_SIZE = 1000
PATIENCE = 10.0  # seconds that /marks waits for its file


def ignored(environ, start_response):
    return answers.text(start_response, "ignored\n")


def late(environ, start_response):
    start_response("200 OK", PLAIN[:])
    yield b"early\n"
    yield b"%d\n" % len(environ["wsgi.input"].read())


class ReadsInClose:
    """An iterable of one block whose close() reads the body."""

    def __init__(self, environ):
        self.input = environ["wsgi.input"]
        self.mark = marker(environ)

    def __iter__(self):
        return iter([b"body\n"])

    def close(self):
        self.mark(f"read {len(self.input.read())}")


def in_close(environ, start_response):
    start_response("200 OK", PLAIN + [("Content-Length", "5")])
    return ReadsInClose(environ)


def blocks_of(stream):
    """Yields what read(READ_SIZE) gives until it gives nothing."""
    return iter(lambda: stream.read(READ_SIZE), b"")


def duplex(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return blocks_of(environ["wsgi.input"])


def bytewise(environ, start_response):
    stream = environ["wsgi.input"]
    length = sum(1 for _ in iter(lambda: stream.read(1), b""))
    return answers.as_json(start_response, {"length": length})


def zero(environ, start_response):
    stream = environ["wsgi.input"]
    results = [repr(stream.read(0)), repr(stream.readline(0))]
    told = {"results": results, "length": len(stream.read())}
    return answers.as_json(start_response, told)


def reading(*arguments):
    """Returns an application that answers the length of read(*arguments)."""

    def variant(environ, start_response):
        length = len(environ["wsgi.input"].read(*arguments))
        return answers.as_json(start_response, {"length": length})

    return variant


def outcome(call):
    """Returns the repr() of what call returns, or ``raised TYPE``."""
    try:
        return repr(call())
    except Exception as error:
        return f"raised {type(error).__name__}"


def arguments(environ, start_response):
    stream = environ["wsgi.input"]
    calls = {
        "read-str": lambda: stream.read("1"),
        "read-float": lambda: stream.read(1.0),
        "read-two": lambda: stream.read(1, 2),
        "readline-str": lambda: stream.readline("1"),
        "readlines-str": lambda: stream.readlines("1"),
        "readinto-bytes": lambda: stream.readinto(b"1234"),
        "readinto-none": lambda: stream.readinto(None),
    }
    raised = {name: outcome(call) for name, call in calls.items()}
    told = {"raised": raised, "length": len(stream.read())}
    return answers.as_json(start_response, told)


def closes(environ, start_response):
    stream = environ["wsgi.input"]
    close = getattr(stream, "close", None)
    if close is not None:
        close()
    told = {"closed": close is not None, "after": outcome(lambda: stream.read(10))}
    return answers.as_json(start_response, told)


def wait_for(path):
    """Waits until the file path exists, PATIENCE seconds at most."""
    deadline = time.monotonic() + PATIENCE
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.005)


def marks(environ, start_response):
    mark = marker(environ)
    path = field(environ, "file")
    length = 0
    try:
        for block in blocks_of(environ["wsgi.input"]):
            length += len(block)
            mark(f"block {len(block)}")
            if path is not None:
                wait_for(path)
    except Exception as error:
        mark(f"raised {type(error).__name__} {length}")
        raise
    mark(f"end {length}")
    return answers.as_json(start_response, {"length": length})


application = by_path(
    {
        "/ignored": ignored,
        "/late": late,
        "/in-close": in_close,
        "/duplex": duplex,
        "/bytewise": bytewise,
        "/zero": zero,
        "/enormous": reading(2**62),
        "/negative": reading(-1),
        "/none": reading(None),
        "/arguments": arguments,
        "/closes": closes,
        "/marks": marks,
    }
)
