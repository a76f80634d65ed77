"""A body of any size down, a body of any size up, and nothing else to measure.

GET /?size=N    answers N zero bytes, yielded in blocks of 64 KiB, with
                Content-Length: one block is made once, so that the server's
                copying is measured and not Python's allocating. With &file=1 they
                are those of a file, by wsgi.file_wrapper.
POST /          reads the body in blocks of 64 KiB and answers its length.
"""

import os
import tempfile
from urllib.parse import parse_qs

BLOCK = bytes(65536)
KEPT = tempfile.TemporaryFile()


def application(environ, start_response):
    """Route by method: POST is up, everything else is down."""
    if environ["REQUEST_METHOD"] == "POST":
        return _up(environ, start_response)
    return _down(environ, start_response)


def _down(environ, start_response):
    query = parse_qs(environ.get("QUERY_STRING", ""))
    size = int(query.get("size", ["0"])[0])
    start_response(
        "200 OK",
        [("Content-Type", "application/octet-stream"), ("Content-Length", str(size))],
    )
    if "file" in query:
        return environ["wsgi.file_wrapper"](_file(size), 65536)
    return _blocks(size)


def _file(size):
    """Open the one file that is kept, as large as the largest asked for."""
    if os.fstat(KEPT.fileno()).st_size < size:
        KEPT.truncate(size)
    return open(f"/proc/self/fd/{KEPT.fileno()}", "rb")


def _blocks(size):
    for _ in range(size // len(BLOCK)):
        yield BLOCK
    if size % len(BLOCK):
        yield BLOCK[: size % len(BLOCK)]


def _up(environ, start_response):
    total = 0
    while block := environ["wsgi.input"].read(len(BLOCK)):
        total += len(block)
    body = b"%d\n" % total
    start_response(
        "200 OK",
        [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))],
    )
    return [body]
