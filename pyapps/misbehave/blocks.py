"""Iterables and blocks of every shape.

Right, though unusual; 200 and the named body:

/one            a list of one block, no Content-Length (the server may add one):
                ``one\\n``
/several        a list of three blocks, no Content-Length: ``one\\ntwo\\nthree\\n``
/tuple          a tuple of two blocks: ``one\\ntwo\\n``
/none-yielded   an empty list: empty body
/all-empty      three empty blocks: empty body, and no chunk that ends the body early
/empty-between  empty blocks before, between and after: ``one\\ntwo\\n``
/empty-replaced an empty block, then start_response with exc_info: headers are not out
                yet (PEP 3333: only with the first non-empty bytestring), so
                500 Custom and ``replaced\\n``
/len-one        an iterable of its own whose len() is 1: ``one\\n``
/getitem        an old sequence, __getitem__ without __iter__: ``one\\ntwo\\n``
/bytes-subclass blocks of a subclass of bytes with a __len__ that lies: ``one\\n``; 500
                is right too (PEP 3333 asks for bytes)
/big?size=M     one block of M bytes (default 64 MiB)
/tiny?count=N   N blocks of one byte (default 100000)

Wrong:

/len-lies       len() is 1, two blocks come: ``one\\ntwo\\n``, or a response that has
                the length it says and the next request on the connection intact
/len-raises     len() raises: 200 ``one\\n`` or 500
/bytes          the bytes object itself, whose items are int: 500
/str            a str: 500
/none           None: 500
/number         an int: 500
/iter-raises    __iter__ raises: 500
/iter-none      __iter__ returns None: 500
/yields?what=W  one block of the wrong type W: str, none, int, float, list, bytearray,
                memoryview. 500; with ``after=1`` a good block ``good\\n`` comes first:
                aborted after it
"""

import sys

from misbehave.variants import by_path, field

PLAIN = [("Content-Type", "text/plain")]


class LengthOf:
    """An iterable over blocks that says its len() is whatever it was told."""

    def __init__(self, length, blocks):
        self.length = length
        self.blocks = blocks

    def __len__(self):
        if self.length is None:
            raise RuntimeError("no length is known")
        return self.length

    def __iter__(self):
        return iter(self.blocks)


class OldSequence:
    """Iterable only by asking for item 0, 1, 2 …"""

    def __getitem__(self, index):
        return (b"one\n", b"two\n")[index]


class LyingBytes(bytes):
    """Bytes whose Python-level length is not their length."""

    def __len__(self):
        return 1 << 20


class RefusesIteration:
    """An iterable in name only."""

    def __iter__(self):
        raise RuntimeError("blocks refuse to be iterated")


class IteratesOverNone:
    """Its __iter__ gives no iterator."""

    def __iter__(self):
        return None


def returning(make):
    """Returns an application that starts 200 and returns make(environ)."""

    def variant(environ, start_response):
        start_response("200 OK", PLAIN[:])
        return make(environ)

    return variant


def empty_replaced(environ, start_response):
    start_response("200 OK", PLAIN[:])
    yield b""
    try:
        raise ValueError("after an empty block")
    except ValueError:
        start_response("500 Custom", PLAIN[:], sys.exc_info())
    yield b"replaced\n"


WRONG = {
    "str": "text\n",
    "none": None,
    "int": 1,
    "float": 1.5,
    "list": [b"one\n"],
    "bytearray": bytearray(b"one\n"),
    "memoryview": memoryview(b"one\n"),
}


def yields(environ):
    if field(environ, "after"):
        yield b"good\n"
    yield WRONG[field(environ, "what", "str")]


def big(environ):
    return [b"b" * int(field(environ, "size", 64 << 20))]


def tiny(environ):
    return (b"t" for _ in range(int(field(environ, "count", 100_000))))


application = by_path(
    {
        "/one": returning(lambda environ: [b"one\n"]),
        "/several": returning(lambda environ: [b"one\n", b"two\n", b"three\n"]),
        "/tuple": returning(lambda environ: (b"one\n", b"two\n")),
        "/none-yielded": returning(lambda environ: []),
        "/all-empty": returning(lambda environ: [b"", b"", b""]),
        "/empty-between": returning(
            lambda environ: iter([b"", b"", b"one\n", b"", b"two\n", b""])
        ),
        "/empty-replaced": empty_replaced,
        "/len-one": returning(lambda environ: LengthOf(1, [b"one\n"])),
        "/len-lies": returning(lambda environ: LengthOf(1, [b"one\n", b"two\n"])),
        "/len-raises": returning(lambda environ: LengthOf(None, [b"one\n"])),
        "/getitem": returning(lambda environ: OldSequence()),
        "/bytes-subclass": returning(lambda environ: [LyingBytes(b"one\n")]),
        "/bytes": returning(lambda environ: b"one\n"),
        "/str": returning(lambda environ: "one\n"),
        "/none": returning(lambda environ: None),
        "/number": returning(lambda environ: 1),
        "/iter-raises": returning(lambda environ: RefusesIteration()),
        "/iter-none": returning(lambda environ: IteratesOverNone()),
        "/yields": returning(yields),
        "/big": returning(big),
        "/tiny": returning(tiny),
    }
)
