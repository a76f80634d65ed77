"""Statuses and headers that a server must refuse, and odd ones that it must pass on.

/refused/NAME  an entry of REFUSED below: start_response raises, or the first block
               does; 500, nothing of the status or headers reaches the client. With
               ``caught=1`` the application catches the exception of start_response and
               answers 200 ``refused TYPE\\n`` (or ``taken\\n``).
/passed/NAME   an entry of PASSED below: 200 ``body\\n`` with exactly these headers.
/either/NAME   an entry of EITHER below, where servers may differ: 500, or a response
               that is well-formed.
/huge?size=N   one header with a value of N bytes (default 1 MiB): passed on or 500
/many?count=N  N headers X-H-0 … (default 70000): passed on or 500
/names         JSON: the names of each table, so that a test can go through them all
/changed       changes the list after start_response: either list, never a mixture
"""

from misbehave import answers
from misbehave.variants import field

OK = "200 OK"
PLAIN = ("Content-Type", "text/plain")


class OwnStr(str):
    """A str by inheritance only."""


class OwnTuple(tuple):
    """A tuple by inheritance only."""


def value(text):
    """Returns a status and headers with one odd header value."""
    return OK, [PLAIN, ("X-Odd", text)]


def name(text):
    """Returns a status and headers with one odd header name."""
    return OK, [PLAIN, (text, "value")]


def status(text):
    """Returns an odd status and ordinary headers."""
    return text, [PLAIN]


def item(odd):
    """Returns a status and headers with one odd item."""
    return OK, [PLAIN, odd]


# Each entry is called for a fresh (status, headers).
REFUSED = {
    "status-int": lambda: status(200),
    "status-bytes": lambda: status(b"200 OK"),
    "status-none": lambda: status(None),
    "status-empty": lambda: status(""),
    "status-word": lambda: status("abc"),
    "status-two-digits": lambda: status("20 OK"),
    "status-four-digits": lambda: status("2000 OK"),
    "status-no-space": lambda: status("200OK"),
    "status-sign": lambda: status("-20 OK"),
    "status-arabic-digits": lambda: status("\u0662\u0660\u0660 OK"),
    "status-crlf": lambda: status("200 OK\r\nX-Injected: 1"),
    "status-nul": lambda: status("200 O\x00K"),
    "status-wide": lambda: status("200 \u20ac"),
    "list-none": lambda: (OK, None),
    "list-tuple": lambda: (OK, (PLAIN,)),
    "list-dict": lambda: (OK, dict([PLAIN])),
    "list-iterator": lambda: (OK, iter([PLAIN])),
    "list-str": lambda: (OK, "Content-Type: text/plain"),
    "item-list": lambda: item(["X-Odd", "value"]),
    "item-one": lambda: item(("X-Odd",)),
    "item-three": lambda: item(("X-Odd", "value", "more")),
    "item-str": lambda: item("ab"),
    "item-none": lambda: item(None),
    "name-bytes": lambda: name(b"X-Odd"),
    "name-int": lambda: name(1),
    "name-none": lambda: name(None),
    "name-empty": lambda: name(""),
    "name-space": lambda: name("X Odd"),
    "name-colon": lambda: name("X-Odd:"),
    "name-crlf": lambda: name("X-Odd\r\nX-Injected"),
    "name-nul": lambda: name("X-\x00Odd"),
    "name-latin-1": lambda: name("X-\xe9"),
    "name-wide": lambda: name("X-\u20ac"),
    "value-bytes": lambda: value(b"value"),
    "value-int": lambda: value(1),
    "value-none": lambda: value(None),
    "value-crlf": lambda: value("a\r\nX-Injected: 1"),
    "value-lf": lambda: value("a\nX-Injected: 1"),
    "value-cr": lambda: value("a\rX-Injected: 1"),
    "value-folded": lambda: value("a\r\n b"),
    "value-nul": lambda: value("a\x00b"),
    "value-bell": lambda: value("a\x07b"),
    "value-delete": lambda: value("a\x7fb"),
    "value-wide": lambda: value("\u20ac"),
    "value-surrogate": lambda: value("\udc80"),
    # PEP 3333, Other HTTP Features: an application has no say in the connection.
    "hop-connection": lambda: item(("Connection", "close")),
    "hop-keep-alive": lambda: item(("Keep-Alive", "timeout=5")),
    "hop-proxy-authenticate": lambda: item(("Proxy-Authenticate", "Basic")),
    "hop-proxy-authorization": lambda: item(("Proxy-Authorization", "Basic eA==")),
    "hop-te": lambda: item(("TE", "trailers")),
    "hop-trailers": lambda: item(("Trailers", "X-Odd")),
    "hop-transfer-encoding": lambda: item(("Transfer-Encoding", "chunked")),
    "hop-transfer-encoding-case": lambda: item(("tRANSFER-eNCODING", "identity")),
    "hop-upgrade": lambda: item(("Upgrade", "websocket")),
}

PASSED = {
    "none": lambda: (OK, []),
    "value-latin-1": lambda: value("caf\xe9 \xff"),
    "value-empty": lambda: value(""),
    "value-tab": lambda: value("a\tb"),
    "value-long": lambda: value("v" * 4096),
    "name-every-token-character": lambda: name("X!#$%&'*+-.^_`|~09aZ"),
    "cookies": lambda: (OK, [PLAIN, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]),
    "own-date": lambda: item(("Date", "Thu, 01 Jan 1970 00:00:00 GMT")),
    "own-server": lambda: item(("Server", "somebody else")),
    "reason-odd": lambda: status("200 Quite all right, caf\xe9"),
    "reason-empty": lambda: status("200 "),
    "status-unassigned": lambda: status("299 Unassigned"),
}

EITHER = {
    "status-bare": lambda: status("200"),
    "status-999": lambda: status("999 Unassigned"),
    "status-000": lambda: status("000 Nothing"),
    "status-subclass": lambda: status(OwnStr(OK)),
    "name-status": lambda: name("Status"),
    "name-subclass": lambda: name(OwnStr("X-Odd")),
    "value-subclass": lambda: value(OwnStr("value")),
    "value-spaces": lambda: value("  value  "),
    "item-subclass": lambda: item(OwnTuple(("X-Odd", "value"))),
    "hop-trailer": lambda: item(("Trailer", "X-Odd")),
    "hop-proxy-connection": lambda: item(("Proxy-Connection", "close")),
}

TABLES = {"refused": REFUSED, "passed": PASSED, "either": EITHER}


def from_table(environ, start_response, make):
    """Starts what an entry of a table gives and returns one block."""
    odd_status, odd_headers = make()
    if not field(environ, "caught"):
        start_response(odd_status, odd_headers)
        return [b"body\n"]
    try:
        start_response(odd_status, odd_headers)
    except Exception as error:
        return answers.text(start_response, f"refused {type(error).__name__}\n")
    return [b"taken\n"]


def huge(environ, start_response):
    size = int(field(environ, "size", 1 << 20))
    start_response(*value("h" * size))
    return [b"body\n"]


def many(environ, start_response):
    count = int(field(environ, "count", 70_000))
    start_response(OK, [(f"X-H-{number}", "v") for number in range(count)])
    return [b"body\n"]


def changed(environ, start_response):
    headers = [PLAIN, ("X-Before", "1")]
    start_response(OK, headers)
    headers[:] = [("X-After", 1)] * 1000
    return [b"body\n"]


def names(environ, start_response):
    return answers.as_json(
        start_response, {table: list(TABLES[table]) for table in TABLES}
    )


SINGLE = {"huge": huge, "many": many, "changed": changed, "names": names}


def application(environ, start_response):
    """Answers the variant of the path."""
    kind, _, entry = environ["PATH_INFO"].strip("/").partition("/")
    if kind in SINGLE and not entry:
        return SINGLE[kind](environ, start_response)
    make = TABLES.get(kind, {}).get(entry)
    if make is None:
        return answers.text(start_response, "no such variant\n", "404 Not Found")
    return from_table(environ, start_response, make)
