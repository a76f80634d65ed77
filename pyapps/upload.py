"""Reads wsgi.input in every way PEP 3333 gives, and says what came.

``/?how=HOW[&n=SIZE][&hash=no]`` answers a JSON object: ``how``, ``length`` (bytes
read), ``sha256`` (of those bytes, or null with ``hash=no``, for measuring throughput)
and ``calls`` (how often the input was asked).

======== ==========================================================================
HOW      what is called until the body has ended
======== ==========================================================================
read-n   ``read(SIZE)``; the default, in constant memory, under any server
read     ``read()`` once: the whole body, although no size was named
readline ``readline()``, or ``readline(SIZE)`` when n is given
readlines ``readlines()``, or ``readlines(SIZE)`` as a hint, until it gives nothing
iter     ``for line in input``
readinto ``readinto(bytearray(SIZE))``
none     nothing: the body is left unread, and a correct server still finds the next
         request on the connection (or closes it)
half     ``read(CONTENT_LENGTH // 2)`` once
past-end ``read()``, then everything again at the end of the input; the answer has
         ``after_end``, the repr() of each further result. A correct server gives
         b'' or [] each time and never blocks nor hands out the next request's bytes
======== ==========================================================================

SIZE defaults to 65536 bytes. Other values of how give 400.
"""

import hashlib
import json
from urllib.parse import parse_qs

READ_SIZE = 64 * 1024


def by_read_n(stream, size, length):
    """Yields blocks; stops at length when the client named one (see echo.read_body)."""
    size = size or READ_SIZE
    while length is None or length > 0:
        block = stream.read(size if length is None else min(size, length))
        yield block
        if not block:
            return
        if length is not None:
            length -= len(block)


def by_read(stream, size, length):
    """Yields the whole body as one block."""
    yield stream.read()


def by_readline(stream, size, length):
    """Yields lines, or pieces of lines not longer than size."""
    while True:
        line = stream.readline(size) if size else stream.readline()
        yield line
        if not line:
            return


def by_readlines(stream, size, length):
    """Yields the lines of each readlines() joined to one block."""
    while True:
        lines = stream.readlines(size) if size else stream.readlines()
        yield b"".join(lines)
        if not lines:
            return


def by_iter(stream, size, length):
    """Yields what iterating over the input yields."""
    yield from stream


def by_readinto(stream, size, length):
    """Yields copies of what readinto left in one buffer."""
    buffer = bytearray(size or READ_SIZE)
    while True:
        count = stream.readinto(buffer)
        yield bytes(buffer[:count])
        if not count:
            return


def by_none(stream, size, length):
    """Yields nothing and leaves the body where it is."""
    return iter(())


def by_half(stream, size, length):
    """Yields the first half of a body whose length the client named."""
    yield stream.read((length or 0) // 2)


WAYS = {
    "read-n": by_read_n,
    "read": by_read,
    "readline": by_readline,
    "readlines": by_readlines,
    "iter": by_iter,
    "readinto": by_readinto,
    "none": by_none,
    "half": by_half,
    "past-end": by_read,
}


def after_end(stream):
    """Returns the repr() of each way of reading an input that has ended."""
    results = [
        stream.read(10),
        stream.read(),
        stream.readline(),
        stream.readlines(),
        list(stream),
        stream.read(0),
    ]
    return [repr(result) for result in results]


def body_length(environ):
    """Returns the length the client named; 0 when there can be no body; else None."""
    length = environ.get("CONTENT_LENGTH")
    if length:
        return int(length)
    return None if environ.get("wsgi.input_terminated") else 0


def report(environ, how, size, hashed):
    """Reads the body and returns the object of the module's docstring."""
    stream = environ["wsgi.input"]
    digest = hashlib.sha256()
    length = calls = 0
    for block in WAYS[how](stream, size, body_length(environ)):
        calls += 1
        length += len(block)
        if hashed:
            digest.update(block)
    told = {"how": how, "length": length, "calls": calls}
    told["sha256"] = digest.hexdigest() if hashed else None
    if how == "past-end":
        told["after_end"] = after_end(stream)
    return told


def answer(environ):
    """Returns status and object for the query."""
    query = parse_qs(environ.get("QUERY_STRING", ""))
    how = query.get("how", ["read-n"])[-1]
    if how not in WAYS:
        return "400 Bad Request", {"error": f"how is one of {', '.join(WAYS)}"}
    size = query.get("n", ["0"])[-1]
    if not size.isdecimal():
        return "400 Bad Request", {"error": "n is a number of bytes"}
    hashed = query.get("hash", ["yes"])[-1] != "no"
    return "200 OK", report(environ, how, int(size), hashed)


def application(environ, start_response):
    """Reads the body in the way the query picks and answers what it was."""
    status, told = answer(environ)
    body = json.dumps(told).encode("ascii")
    start_response(
        status,
        [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
    )
    return [body]
