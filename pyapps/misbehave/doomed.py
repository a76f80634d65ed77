"""Answers with what belongs to one request only, and dies in the middle if asked.

``/?token=T&size=N`` answers N bytes (default 64): the sha256 of T in hex, over and
over. The token comes back as X-Token, the sha256 of the request body as X-Body. A
correct server never gives a client bytes of another token, however many workers die
around it.

``shape=``, how the answer is made:

list     (default) a list with one block
blocks   a generator of blocks of 1000 bytes, without Content-Length
length   the same with Content-Length
write    the callable that start_response returns
echo     the request body instead, block by block as it is read; X-Body is empty

``die=``, how the process ends: exit (os._exit), abort, segv, kill. ``when=`` the
moment: call (default), started (start_response was called), half (half of the blocks
are out). Before the first block the client is due a 502, afterwards a broken answer.
"""

import hashlib
import os
import signal
from urllib.parse import parse_qs

BLOCK = 1000


def send(number):
    """Returns a function that sends signal number to the own process."""

    def die():
        os.kill(os.getpid(), number)
        while True:  # it may arrive at another thread, a bit later
            signal.pause()

    return die


WAYS = {
    "exit": lambda: os._exit(1),
    "abort": os.abort,
    "segv": send(signal.SIGSEGV),
    "kill": send(signal.SIGKILL),
}


def content(token, size):
    """Returns the bytes that belong to a token."""
    text = hashlib.sha256(token.encode("latin-1")).hexdigest().encode("ascii")
    return (text * (size // len(text) + 1))[:size]


def digest(stream):
    """Reads a request body to its end and returns its sha256 in hex."""
    seen = hashlib.sha256()
    while block := stream.read(16 * 1024):
        seen.update(block)
    return seen.hexdigest()


def blocks(body, die):
    """Yields body in blocks and calls die at half of them."""
    half = len(body) // 2
    for start in range(0, len(body), BLOCK):
        if start <= half < start + BLOCK:
            die()
        yield body[start : start + BLOCK]


def echo(stream):
    """Yields a request body as it is read."""
    while block := stream.read(16 * 1024):
        yield block


def application(environ, start_response):
    """Answers as the query says."""
    query = {k: v[-1] for k, v in parse_qs(environ["QUERY_STRING"]).items()}
    shape = query.get("shape", "list")
    when = query.get("when", "call")
    die = WAYS.get(query.get("die"), lambda: None)
    if when == "call":
        die()
    token, size = query.get("token", ""), int(query.get("size", "64"))
    stream = environ["wsgi.input"]
    headers = [("Content-Type", "text/plain"), ("X-Token", token)]
    headers.append(("X-Body", "" if shape == "echo" else digest(stream)))
    if shape == "length":
        headers.append(("Content-Length", str(size)))
    write = start_response("200 OK", headers)
    if when == "started":
        die()
    at_half = die if when == "half" else lambda: None
    if shape == "echo":
        return echo(stream)
    body = content(token, size)
    if shape == "list":
        at_half()
        return [body]
    if shape == "write":
        for block in blocks(body, at_half):
            write(block)
        return []
    return blocks(body, at_half)
