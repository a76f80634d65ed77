"""Answers block by block, from one small block to gigabytes.

``/?blocks=N&size=M[&delay=S][&length=1][&mark=FILE]``
    N blocks (default 3) of M bytes (default 65536) each, S seconds apart (default 0).
    The same bytes object is yielded each time, so the worker's memory does not grow:
    ``blocks=16384&size=65536`` is 1 GiB. With ``length=1`` a Content-Length is sent;
    without, a correct server uses chunked coding for HTTP/1.1 and closes the
    connection after the body for HTTP/1.0.

``/sync?file=FILE[&mark=FILE]``
    Yields ``first\\n``, then waits until FILE exists, then yields ``second\\n``.
    PEP 3333, Buffering and Streaming: a block is transmitted before the next one is
    asked for. The client must therefore see ``first`` although nobody has made FILE;
    a server that holds blocks back gets ``gave up\\n`` as its second block, after
    PATIENCE seconds.

``/gate?id=NAME[&mark=FILE]`` and ``/release?id=NAME``
    The same with another request as the signal: /gate waits for /release of the same
    NAME. Both must reach the same process, so the server needs one worker and at
    least two threads. /release may come first.

``mark=FILE`` appends the line ``closed after K blocks`` to FILE each time close() is
called on the iterable: exactly once under a correct server, also when the client goes
away in the middle. FILE is opened as named: not an application to show to strangers.

Parameters that are not numbers give 400; other paths 404.
"""

import os
import threading
import time
from urllib.parse import parse_qs

PATIENCE = 10.0  # seconds that /sync and /gate wait for their signal
POLL = 0.005  # seconds between two looks at the file of /sync

gates = {}
gates_lock = threading.Lock()


class Blocks:
    """An iterable over blocks (an iterator of bytes) that tells FILE when closed."""

    def __init__(self, blocks, mark):
        self.blocks = blocks
        self.mark = mark
        self.yielded = 0

    def __iter__(self):
        for block in self.blocks:
            self.yielded += 1
            yield block

    def close(self):
        if self.mark:
            with open(self.mark, "a") as mark:
                mark.write(f"closed after {self.yielded} blocks\n")


def repeated(block, count, delay):
    """Yields the same block count times, delay seconds apart."""
    for number in range(count):
        if delay and number:
            time.sleep(delay)
        yield block


def appears(path):
    """Waits up to PATIENCE seconds for a file to exist; tells whether it does."""
    deadline = time.monotonic() + PATIENCE
    while not os.path.exists(path):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def gate(name):
    """Returns the one threading.Event of that name."""
    with gates_lock:
        return gates.setdefault(name, threading.Event())


def passes(name):
    """Waits up to PATIENCE seconds at a gate, then forgets it."""
    opened = gate(name).wait(PATIENCE)
    with gates_lock:
        gates.pop(name, None)
    return opened


def two_blocks(wait):
    """Yields first, calls wait, and yields second when the signal has come."""
    yield b"first\n"
    yield b"second\n" if wait() else b"gave up\n"


def plain(start_response, status, text):
    """Answers one line of text with its length."""
    body = text.encode("utf-8") + b"\n"
    start_response(
        status,
        [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))],
    )
    return [body]


def many(query, start_response):
    """Answers the blocks that /?blocks=N&size=M asks for."""
    count = int(query.get("blocks", 3))
    size = int(query.get("size", 64 * 1024))
    delay = float(query.get("delay", 0))
    if count < 0 or size < 0 or delay < 0:
        raise ValueError("blocks, size and delay are not negative")
    headers = [("Content-Type", "application/octet-stream")]
    if query.get("length"):
        headers.append(("Content-Length", str(count * size)))
    start_response("200 OK", headers)
    return Blocks(repeated(b"x" * size, count, delay), query.get("mark"))


def signalled(query, start_response, wait):
    """Answers first and, after wait() is true, second."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Blocks(two_blocks(wait), query.get("mark"))


def answer(path, query, start_response):
    """Picks the variant; KeyError and ValueError mean a wrong query."""
    if path == "/":
        return many(query, start_response)
    if path == "/sync":
        file = query["file"]
        return signalled(query, start_response, lambda: appears(file))
    if path == "/gate":
        name = query["id"]
        return signalled(query, start_response, lambda: passes(name))
    if path == "/release":
        gate(query["id"]).set()
        return plain(start_response, "200 OK", "released")
    return plain(start_response, "404 Not Found", "no such variant")


def application(environ, start_response):
    """Answers the variant that path and query pick."""
    fields = parse_qs(environ.get("QUERY_STRING", ""))
    query = {name: values[-1] for name, values in fields.items()}
    path = environ.get("PATH_INFO") or "/"
    try:
        return answer(path, query, start_response)
    except (KeyError, ValueError) as error:
        return plain(start_response, "400 Bad Request", f"wrong query: {error}")
