"""Says, as JSON, what the server put into the environ and into wsgi.input.

Any method, any path: 200, application/json, one object:

``environ``
    every key whose value JSON can carry: str, int, float, bool, and tuples of those
    (``wsgi.version`` comes back as a list). Native strings hold latin-1 (PEP 3333,
    Unicode Issues): the character U+00E9 in a value is the byte 0xE9 on the wire.
``types``
    the name of the type of every value, those left out of ``environ`` included.
``environ_type``
    the type of the environ itself; PEP 3333 wants the builtin ``dict``, no subclass.
``odd_keys``
    repr() of the keys that are not str; empty under a correct server.
``input_methods``
    which of the methods a file-like input may have are there and callable.
``errors_methods``
    the same for wsgi.errors.
``url``
    the URL that wsgiref makes of the environ (PEP 3333, URL Reconstruction).
``body``
    ``length``, ``sha256`` and ``hex`` of the request body, read to its end.

Meant for bodies of some kilobytes: the whole body and its hex are held in memory.
``read_body`` is what the other applications here read small bodies with.
"""

import hashlib
import json
from wsgiref.util import request_uri

INPUT_METHODS = ("read", "readline", "readlines", "readinto", "__iter__", "close")
ERRORS_METHODS = ("write", "writelines", "flush")
READ_SIZE = 64 * 1024


def read_body(environ):
    """Returns the request body as bytes, under any server.

    Without Content-Length (a chunked request) only a server that sets
    wsgi.input_terminated may be read to the end: others would block.
    """
    stream = environ["wsgi.input"]
    length = environ.get("CONTENT_LENGTH") or ""
    if not length and not environ.get("wsgi.input_terminated"):
        return b""
    missing = int(length) if length else None
    blocks = []
    while missing is None or missing > 0:
        block = stream.read(READ_SIZE if missing is None else min(READ_SIZE, missing))
        if not block:
            break
        blocks.append(block)
        if missing is not None:
            missing -= len(block)
    return b"".join(blocks)


def is_plain(value):
    """Tells whether JSON carries value without changing what it means."""
    if type(value) is tuple:
        return all(is_plain(part) for part in value)
    return type(value) in (str, int, float, bool)


def methods_of(stream, names):
    """Returns those of names that stream can be called by."""
    return [name for name in names if callable(getattr(stream, name, None))]


def description(environ):
    """Returns what the module's docstring lists, as a dict ready for JSON."""
    named = {key: value for key, value in environ.items() if type(key) is str}
    body = read_body(environ)
    return {
        "environ": {key: value for key, value in named.items() if is_plain(value)},
        "types": {key: type(value).__name__ for key, value in named.items()},
        "environ_type": type(environ).__name__,
        "odd_keys": [repr(key) for key in environ if type(key) is not str],
        "input_methods": methods_of(environ["wsgi.input"], INPUT_METHODS),
        "errors_methods": methods_of(environ["wsgi.errors"], ERRORS_METHODS),
        "url": request_uri(environ),
        "body": {
            "length": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "hex": body.hex(),
        },
    }


def application(environ, start_response):
    """Answers the description of its own environ."""
    body = json.dumps(description(environ), sort_keys=True).encode("ascii")
    start_response(
        "200 OK",
        [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
    )
    return [body]
