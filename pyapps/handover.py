"""Has a server send what is not in the body: files, and hints before the answer.

/named    answers "from the application\\n" and names a file in a header. Options:
          ``header=``  the header's name: X-Sendfile (the default), X-Accel-Redirect
          ``value=``   its value
          ``status=``  the status, "200 OK" if not given
          ``mark=``    a file that gets a line when close() is called

/file     answers with ``wsgi.file_wrapper`` of a file of 256 KiB, 3 × 256 KiB for
          ``times=3``, whose bytes are b"0123456789abcdef" again and again. Options:
          ``kind=``  how it is read: open (the default), raw, update, temporary,
                     named, spooled, small (1 KiB), gzip, memory, override (a file
                     object with its own read: upper case), subclass (likewise),
                     delegate (an object whose read is a file's), pipe, proc
                     (/proc/self/status)
          ``skip=``  bytes read before, which are then not in the answer
          ``length=``  the Content-Length, none if not given
          ``path=``  the file to send instead
          ``mark=``  a file that gets a line when close() is called, and when a
                     function given to gowsgi.after_response runs, with ``after=1``
          ``first=``  is given to write() before

/hints    gives two early hints, if the server takes them, and answers "hinted\\n".
          Options:
          ``gate=``  a FIFO that is opened between hints and answer
          ``kind=``  what is wrong, and the answer is then the name of the exception:
                     late (after start_response), type, name, control, hop, huge;
                     or empty, many, fails (raises after the hints), which are not
"""

import gzip
import io
import os
import tempfile
from wsgiref.util import FileWrapper

from afterwards import gowsgi
from misbehave.marks import marker
from misbehave.variants import by_path, field


class Closing:
    """An iterable that says when it is closed."""

    def __init__(self, blocks, mark):
        self.blocks = blocks
        self.mark = mark

    def __iter__(self):
        return iter(self.blocks)

    def close(self):
        self.mark("closed")


def named(environ, start_response):
    name = field(environ, "header", "X-Sendfile")
    headers = [("Content-Type", "text/plain"), ("Set-Cookie", "a=1")]
    headers.append((name, field(environ, "value", "")))
    start_response(field(environ, "status", "200 OK"), headers)
    return Closing([b"from the ", b"application\n"], marker(environ))


BLOCK = b"0123456789abcdef" * (1 << 14)


class Upper(io.FileIO):
    def read(self, size=-1):
        return super().read(size).upper()


class Delegate:
    """Reads by a file's own method, and has no fileno of its own."""

    def __init__(self, file):
        self.file = file
        self.close = file.close

    @property
    def read(self):
        return self.file.read


def stored(content):
    """Returns the path of a file that is removed when it is opened."""
    descriptor, path = tempfile.mkstemp()
    with open(descriptor, "wb") as file:
        file.write(content)
    return path


def filled(file, content):
    file.write(content)
    file.seek(0)
    return file


def opened(opener, content):
    path = stored(content)
    file = opener(path)
    os.unlink(path)
    return file


def overridden(content):
    file = opened(lambda path: open(path, "rb"), content)
    read = file.read
    file.read = lambda size=-1: read(size).upper()
    return file


def piped(content):
    out, into = os.pipe()
    os.write(into, content[:1024])
    os.close(into)
    return open(out, "rb")


def compressed(content):
    return opened(lambda path: gzip.open(path, "rb"), gzip.compress(content))


KINDS = {
    "open": lambda content: opened(lambda path: open(path, "rb"), content),
    "raw": lambda content: opened(lambda path: open(path, "rb", 0), content),
    "update": lambda content: opened(lambda path: open(path, "r+b"), content),
    "temporary": lambda content: filled(tempfile.TemporaryFile(), content),
    "named": lambda content: filled(tempfile.NamedTemporaryFile(), content),
    "spooled": lambda content: filled(tempfile.SpooledTemporaryFile(1000), content),
    "small": lambda content: opened(lambda path: open(path, "rb"), content[:1024]),
    "gzip": compressed,
    "memory": io.BytesIO,
    "override": overridden,
    "subclass": lambda content: opened(Upper, content),
    "delegate": lambda c: Delegate(opened(lambda path: open(path, "rb"), c)),
    "pipe": piped,
    "proc": lambda content: open("/proc/self/status", "rb"),
}


def wrapped(environ, start_response):
    path = field(environ, "path")
    if path is not None:
        file = open(path, "rb")
    else:
        content = BLOCK * int(field(environ, "times", "1"))
        file = KINDS[field(environ, "kind", "open")](content)
    file.read(int(field(environ, "skip", "0")))
    headers = [("Content-Type", "application/octet-stream")]
    length = field(environ, "length")
    if length is not None:
        headers.append(("Content-Length", length))
    if field(environ, "after"):
        gowsgi.after_response(marker(environ), "after")
    write = start_response("200 OK", headers)
    if field(environ, "first"):
        write(field(environ, "first").encode("ascii"))
    mark, close = marker(environ), file.close

    def closing():
        mark("closed")
        close()

    wrapper = environ.get("wsgi.file_wrapper", FileWrapper)(file, 65536)
    wrapper.close = closing
    return wrapper


PLAIN = [("Content-Type", "text/plain")]
LINKS = [
    [("Link", "</style.css>; rel=preload; as=style"), ("X-Hint", "1")],
    [("Link", "</script.js>; rel=preload; as=script")],
]
WRONG = {
    "type": (("Link", "</a>"),),
    "name": [("Li nk", "</a>")],
    "control": [("Link", "</a>\r\nX: y")],
    "hop": [("Connection", "close")],
    "huge": [("Link", "x" * (1 << 20))],
    "empty": [],
}


def hints(environ, start_response):
    give = environ.get("wsgi.early_hints", lambda headers: None)
    kind = field(environ, "kind")
    if kind in WRONG or kind == "late":
        if kind == "late":
            start_response("200 OK", PLAIN[:])
        try:
            give(WRONG.get(kind, LINKS[0]))
            said = "nothing"
        except Exception as error:
            said = type(error).__name__
        if kind != "late":
            start_response("200 OK", PLAIN[:])
        return [said.encode("ascii")]
    for headers in LINKS * (50 if kind == "many" else 1):
        give(headers)
    if kind == "fails":
        raise RuntimeError("handover fails as asked")
    gate = field(environ, "gate")
    if gate:
        with open(gate, "rb"):
            pass
    start_response("200 OK", PLAIN[:])
    return [b"hinted\n"]


application = by_path({"/named": named, "/hints": hints, "/file": wrapped})
