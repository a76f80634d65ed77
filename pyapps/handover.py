"""Has a server send what is not in the body: files, and hints before the answer.

/named    answers "from the application\\n" and names a file in a header. Options:
          ``header=``  the header's name: X-Sendfile (the default), X-Accel-Redirect
          ``value=``   its value
          ``status=``  the status, "200 OK" if not given
          ``mark=``    a file that gets a line when close() is called

/hints    gives two early hints, if the server takes them, and answers "hinted\\n".
          Options:
          ``gate=``  a FIFO that is opened between hints and answer
          ``kind=``  what is wrong, and the answer is then the name of the exception:
                     late (after start_response), type, name, control, hop, huge;
                     or empty, many, fails (raises after the hints), which are not
"""

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


application = by_path({"/named": named, "/hints": hints})
