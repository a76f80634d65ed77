"""Files by way of wsgi.file_wrapper as PEP 3333 describes it.

Every file has ``size`` bytes (default 1000003), byte N being N mod 251, so a test knows
what to expect. ``mark=FILE`` gets the line ``closed`` whenever the file is closed:
once under a correct server.

/file      a real temporary file, unlinked, with Content-Length
/unsized   the same without Content-Length: the server may add it, or use chunked coding
/offset    a file positioned at ``at`` (default 10): the rest from there
/cut       Content-Length is half of what the file has: exactly that much is sent
/memory    a BytesIO, which has no descriptor
/reader    an object with read() only, without close() and descriptor
/pipe      the read end of a pipe: a descriptor, but no file and no size
/loop      the wrapper is iterated over by the application, not returned
/wrapped   JSON: whether the server has wsgi.file_wrapper at all, and which type
/block     file_wrapper(file, ``block``), default 10: the size is a suggestion

Without wsgi.file_wrapper in the environ, wsgiref's FileWrapper is used.
"""

import io
import json
import os
import tempfile
import threading
from urllib.parse import parse_qs
from wsgiref.util import FileWrapper

PERIOD = bytes(range(251))
OCTETS = ("Content-Type", "application/octet-stream")


def content(size):
    """Returns the size bytes of a file."""
    return (PERIOD * (size // len(PERIOD) + 1))[:size]


class Marked:
    """A file that notes when it is closed; everything else is the file's own."""

    def __init__(self, file, mark):
        self.file = file
        self.mark = mark

    def __getattr__(self, name):
        return getattr(self.file, name)

    def close(self):
        self.file.close()
        if self.mark:
            with open(self.mark, "a") as mark:
                mark.write("closed\n")


class OnlyReads:
    """The least that PEP 3333 asks of a file-like object."""

    def __init__(self, data):
        self.read = io.BytesIO(data).read


def real_file(data, position=0):
    """Returns an open, unlinked file with that content."""
    file = tempfile.TemporaryFile()
    file.write(data)
    file.flush()
    file.seek(position)
    return file


def pipe(data):
    """Returns the read end of a pipe that a thread writes the content into."""
    reading, writing = os.pipe()

    def fill():
        try:
            with open(writing, "wb") as end:
                end.write(data)
        except BrokenPipeError:
            pass  # the client left, so the server closed its end

    threading.Thread(target=fill, daemon=True).start()
    return open(reading, "rb")


def loop(wrapper, file):
    """Yields the blocks of a wrapped file, and closes it."""
    try:
        yield from wrapper(file)
    finally:
        file.close()


def file_and_length(path, data, query):
    """Returns what the path sends, and its Content-Length or None."""
    if path == "/offset":
        at = int(query.get("at", 10))
        return real_file(data, at), max(len(data) - at, 0)
    if path == "/cut":
        return real_file(data), len(data) // 2
    if path == "/unsized":
        return real_file(data), None
    if path == "/memory":
        return io.BytesIO(data), len(data)
    if path == "/reader":
        return OnlyReads(data), len(data)
    if path == "/pipe":
        return pipe(data), None
    return real_file(data), len(data)


def says(start_response, status, told):
    """Answers a small JSON value."""
    body = json.dumps(told).encode("ascii")
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
    ]
    start_response(status, headers)
    return [body]


def send(environ, start_response, path, query):
    """Answers the file that the path picks."""
    data = content(int(query.get("size", 1_000_003)))
    file, length = file_and_length(path, data, query)
    if path != "/reader":
        file = Marked(file, query.get("mark"))
    headers = [OCTETS]
    if length is not None:
        headers.append(("Content-Length", str(length)))
    start_response("200 OK", headers)
    wrapper = environ.get("wsgi.file_wrapper", FileWrapper)
    if path == "/block":
        return wrapper(file, int(query.get("block", 10)))
    if path == "/loop":
        return loop(wrapper, file)
    return wrapper(file)


PATHS = {
    "/file",
    "/unsized",
    "/offset",
    "/cut",
    "/memory",
    "/reader",
    "/pipe",
    "/loop",
    "/block",
}


def application(environ, start_response):
    """Sends the file that the path picks."""
    path = environ.get("PATH_INFO")
    fields = parse_qs(environ.get("QUERY_STRING", ""))
    query = {name: values[-1] for name, values in fields.items()}
    if path == "/wrapped":
        wrapper = environ.get("wsgi.file_wrapper")
        told = {"there": wrapper is not None, "type": type(wrapper).__name__}
        return says(start_response, "200 OK", told)
    if path not in PATHS:
        return says(start_response, "404 Not Found", {"error": "no such variant"})
    return send(environ, start_response, path, query)
