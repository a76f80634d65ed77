"""start_response and write() called in every wrong, odd or old-fashioned way.

/never              not called, one block returned: 500
/never-empty        not called, no block: 500
/in-close           called only by close() of the iterable, one block yielded: 500
/late               called after the first block was yielded: 500, and that block is
                    not sent (PEP 3333: before the first body bytestring)
/lazy               called by the iterable's first step: 200, ``lazy\\n``
/twice              called again without exc_info: 500 (PEP 3333: a fatal error)
/twice-caught       the same, but the application catches what the server raises:
                    the first status stands, body ``refused AssertionError\\n`` (the
                    PEP leaves the type open)
/exc-info-none      as /twice-caught, with None as exc_info, which means none
/exc-info-first     the first call has exc_info already: 500 Custom, ``failed\\n``
/exc-info-before    called again with exc_info, nothing sent: status and headers are
                    replaced (500 Custom, X-Second, no X-First), ``replaced\\n``
/exc-info-after     called again with exc_info after a block was sent: the server
                    raises exc_info again; aborted after ``sent\\n``
/exc-info-same      the same, caught: body ``sent\\nsame ValueError\\n`` when it is the
                    very exception that comes back
/exc-info-wrong     exc_info is a str: as /twice-caught, any exception type
/no-arguments       start_response() without arguments: a TypeError, caught:
                    ``refused TypeError\\n``
/write              two write() calls, nothing returned: ``one\\ntwo\\n``
/write-before       two write() calls, then two blocks: all four, in that order
/write-within       write() between the blocks of a generator, which the PEP forbids
                    the application: blocks in the order they were made, or aborted
/write-empty        write(b"") and then a block: 200, ``after\\n``
/write-str          write("text"): raises in the application; caught:
                    ``refused TypeError\\n`` (or AssertionError)
/write-exc-info     write(), then start_response with exc_info: raised again; aborted
                    after ``one\\n``
/write-in-close     close() calls write(): the response has ended and stays as it was
/write-sync         write(b"first\\n"), then waits until the file named by ``file``
                    exists, then write(b"second\\n"): ``first`` must reach the client
                    before (write() transmits at once)
"""

import os
import sys
import time

from misbehave import answers
from misbehave.marks import marker
from misbehave.variants import by_path, field

PLAIN = [("Content-Type", "text/plain")]
PATIENCE = 10.0  # seconds that /write-sync waits


def never(environ, start_response):
    return [b"without a status\n"]


def never_empty(environ, start_response):
    return []


class StartsInClose:
    """An iterable of one block that thinks of its headers when it is closed."""

    def __init__(self, start_response):
        self.start_response = start_response

    def __iter__(self):
        yield b"too early\n"

    def close(self):
        self.start_response("200 OK", PLAIN[:])


def in_close(environ, start_response):
    return StartsInClose(start_response)


def late(environ, start_response):
    yield b"too early\n"
    start_response("200 OK", PLAIN[:])
    yield b"late\n"


def lazy(environ, start_response):
    start_response("200 OK", PLAIN[:])
    yield b"lazy\n"


def twice(environ, start_response):
    start_response("200 OK", PLAIN[:])
    start_response("200 Again", PLAIN[:])
    return [b"twice\n"]


def refused_by(call):
    """Returns ``refused TYPE\\n`` for what call raises, ``taken\\n`` for nothing."""
    try:
        call()
    except Exception as error:
        return f"refused {type(error).__name__}\n".encode("ascii")
    return b"taken\n"


def twice_caught(environ, start_response):
    start_response("200 OK", PLAIN[:])
    return [refused_by(lambda: start_response("200 Again", PLAIN[:]))]


def exc_info_none(environ, start_response):
    start_response("200 OK", PLAIN[:])
    return [refused_by(lambda: start_response("200 Again", PLAIN[:], None))]


def exc_info_wrong(environ, start_response):
    start_response("200 OK", PLAIN[:])
    return [refused_by(lambda: start_response("200 Again", PLAIN[:], "wrong"))]


def no_arguments(environ, start_response):
    block = refused_by(lambda: start_response())
    start_response("200 OK", PLAIN[:])
    return [block]


def exc_info_first(environ, start_response):
    try:
        raise ValueError("before anything")
    except ValueError:
        start_response("500 Custom", PLAIN[:], sys.exc_info())
    return [b"failed\n"]


def exc_info_before(environ, start_response):
    start_response("200 OK", PLAIN + [("X-First", "1")])
    try:
        raise ValueError("before output")
    except ValueError:
        start_response("500 Custom", PLAIN + [("X-Second", "2")], sys.exc_info())
    return [b"replaced\n"]


def exc_info_after(environ, start_response):
    start_response("200 OK", PLAIN[:])
    yield b"sent\n"
    try:
        raise ValueError("after output")
    except ValueError:
        start_response("500 Custom", PLAIN[:], sys.exc_info())
    yield b"not to be sent\n"


def exc_info_same(environ, start_response):
    start_response("200 OK", PLAIN[:])
    yield b"sent\n"
    try:
        raise ValueError("after output")
    except ValueError as first:
        try:
            start_response("500 Custom", PLAIN[:], sys.exc_info())
            word = "taken"
        except Exception as second:
            word = "same" if second is first else "another"
            word += " " + type(second).__name__
    yield f"{word}\n".encode("ascii")


def write(environ, start_response):
    send = start_response("200 OK", PLAIN[:])
    send(b"one\n")
    send(b"two\n")
    return []


def write_before(environ, start_response):
    send = start_response("200 OK", PLAIN[:])
    send(b"one\n")
    send(b"two\n")
    return [b"three\n", b"four\n"]


def write_within(environ, start_response):
    send = start_response("200 OK", PLAIN[:])
    yield b"one\n"
    send(b"two\n")
    yield b"three\n"


def write_empty(environ, start_response):
    send = start_response("200 OK", PLAIN[:])
    send(b"")
    return [b"after\n"]


def write_str(environ, start_response):
    send = start_response("200 OK", PLAIN[:])
    return [refused_by(lambda: send("text\n"))]


def write_exc_info(environ, start_response):
    start_response("200 OK", PLAIN[:])(b"one\n")
    try:
        raise ValueError("after write")
    except ValueError:
        start_response("500 Custom", PLAIN[:], sys.exc_info())
    return [b"not to be sent\n"]


class WritesInClose:
    """An iterable of one block whose close() tries to add another by write()."""

    def __init__(self, send, mark):
        self.send = send
        self.mark = mark

    def __iter__(self):
        yield b"body\n"

    def close(self):
        self.mark(refused_by(lambda: self.send(b"after the end\n")).decode().strip())


def write_in_close(environ, start_response):
    """Marks ``refused TYPE`` or ``taken``, what write() made of it."""
    return WritesInClose(start_response("200 OK", PLAIN[:]), marker(environ))


def write_sync(environ, start_response):
    path = field(environ, "file")
    if path is None:
        return answers.text(start_response, "want file=FILE\n", "400 Bad Request")
    send = start_response("200 OK", PLAIN[:])
    send(b"first\n")
    deadline = time.monotonic() + PATIENCE
    while not os.path.exists(path):
        if time.monotonic() > deadline:
            send(b"gave up\n")
            return []
        time.sleep(0.005)
    send(b"second\n")
    return []


application = by_path(
    {
        "/never": never,
        "/never-empty": never_empty,
        "/in-close": in_close,
        "/late": late,
        "/lazy": lazy,
        "/twice": twice,
        "/twice-caught": twice_caught,
        "/exc-info-none": exc_info_none,
        "/exc-info-wrong": exc_info_wrong,
        "/no-arguments": no_arguments,
        "/exc-info-first": exc_info_first,
        "/exc-info-before": exc_info_before,
        "/exc-info-after": exc_info_after,
        "/exc-info-same": exc_info_same,
        "/write": write,
        "/write-before": write_before,
        "/write-within": write_within,
        "/write-empty": write_empty,
        "/write-str": write_str,
        "/write-exc-info": write_exc_info,
        "/write-in-close": write_in_close,
        "/write-sync": write_sync,
    }
)
