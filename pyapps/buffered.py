"""Uses wsgi.input as the file that a buffered body is, and says what came of it.

``/whole``
    Reads the body in every way a file can be read, going back in between. Answers a
    JSON object: ``length``, ``sha256``, ``declared`` (CONTENT_LENGTH), ``seekable``,
    ``file`` (size of the file behind ``fileno()``, or null), ``differs`` (the ways that
    gave something else than the first).
``/blind``
    Answers without a look at the body.
``/threads``
    Reads the body in four threads, one after the other and all at once, and answers
    how many got it as a whole: all of the former, of the latter those that did not
    find it in use.
``/held``
    Answers with the number of open descriptors of this process.
``/late``
    Keeps wsgi.input beyond the request; the next ``/late`` answers what reading the
    last one raises.
``/large?blocks=N&size=M[&mark=FILE]``
    N blocks of M bytes, as fast as they are taken. FILE gets a line when all have been,
    from close().
"""

import hashlib
import io
import json
import os
import threading
from urllib.parse import parse_qs

kept = []


def by_pieces(stream):
    return b"".join(iter(lambda: stream.read(7001), b""))


def by_readinto(stream):
    buffer = bytearray(100_003)
    pieces = []
    while True:
        n = stream.readinto(buffer)
        pieces.append(bytes(buffer[:n]))
        if n < len(buffer):
            return b"".join(pieces)


WAYS = {
    "read": lambda stream: stream.read(),
    "read-n": by_pieces,
    "readlines": lambda stream: b"".join(stream.readlines()),
    "iter": lambda stream: b"".join(stream),
    "readline-n": lambda stream: b"".join(iter(lambda: stream.readline(100), b"")),
    "readinto": by_readinto,
}


def size_of_file(stream):
    try:
        return os.fstat(stream.fileno()).st_size
    except io.UnsupportedOperation:
        return None


def jumps(stream, body):
    """Whether seek and tell go where they should."""
    half = len(body) // 2
    return (
        stream.seek(half) == half
        and stream.tell() == half
        and stream.read(10) == body[half : half + 10]
        and stream.seek(-3, os.SEEK_CUR) == stream.tell()
        and stream.seek(-5, os.SEEK_END) == len(body) - 5
        and stream.read() == body[-5:]
        and stream.seek(len(body) + 10) == len(body)
        and stream.read(1) == b""
    )


def whole(environ):
    stream = environ["wsgi.input"]
    body = stream.read()
    differs = []
    for name, way in WAYS.items():
        stream.seek(0)
        if way(stream) != body or stream.tell() != len(body):
            differs.append(name)
    if len(body) > 20 and not jumps(stream, body):
        differs.append("seek")
    size = size_of_file(stream)
    if size is not None:
        stream.seek(1)
        if os.read(stream.fileno(), 100) != body[1:101]:
            differs.append("fileno")
    return {
        "length": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "declared": environ.get("CONTENT_LENGTH"),
        "seekable": stream.seekable(),
        "file": size,
        "differs": differs,
    }


def threads(environ):
    stream = environ["wsgi.input"]
    length = int(environ["CONTENT_LENGTH"])
    lengths, refused = [], []

    def read():
        stream.seek(0)
        lengths.append(len(stream.read()))

    def try_to():
        try:
            stream.readline()
        except RuntimeError as error:
            refused.append(str(error))

    for _ in range(4):
        one = threading.Thread(target=read)
        one.start()
        one.join()
    several = [threading.Thread(target=try_to) for _ in range(4)]
    for one in several:
        one.start()
    for one in several:
        one.join()
    return {"whole": lengths.count(length), "refused": sorted(set(refused))}


def late(environ):
    told = {}
    if kept:
        try:
            told["read"] = len(kept.pop().read())
        except ValueError as error:
            told["raised"] = str(error)
    environ["wsgi.input"].read(10)
    kept.append(environ["wsgi.input"])
    return told


def held(environ):
    return {"descriptors": len(os.listdir("/proc/self/fd"))}


def blind(environ):
    return {}


class Large:
    """An iterable of equal blocks that says when it is closed."""

    def __init__(self, query):
        self.count = int(query.get("blocks", ["1"])[0])
        self.block = b"l" * int(query.get("size", ["65536"])[0])
        self.mark = query.get("mark", [None])[0]

    def __iter__(self):
        for _ in range(self.count):
            yield self.block

    def close(self):
        if self.mark:
            with open(self.mark, "a") as mark:
                mark.write("closed\n")


ANSWERS = {
    "/whole": whole,
    "/blind": blind,
    "/threads": threads,
    "/held": held,
    "/late": late,
}


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/large":
        large = Large(parse_qs(environ["QUERY_STRING"]))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return large
    if path not in ANSWERS:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"no such path\n"]
    body = json.dumps(ANSWERS[path](environ)).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
