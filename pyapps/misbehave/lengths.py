"""Content-Length that does not fit the body, and statuses that have none.

/cut             Content-Length 4, body of 8 bytes in one block: 4 bytes are sent, the
                 rest is dropped and logged, the connection's next request is intact
/cut-blocks      the same in two blocks of 4
/cut-write       the same by two write() calls
/zero            Content-Length 0, body of 8 bytes: empty body
/short           Content-Length 8, body of 4: connection closed after the 4 bytes
/short-none      Content-Length 8, no block at all: 500, or connection closed
/odd?value=V     Content-Length V as given (percent-coded), body ``one\\n``: for V not
                 of digits only (``abc``, ``-4``, ``+4``, ``4_0``, ``4, 4``, ``0x4``,
                 empty), or too big for 63 bits: 500
/twice-same      two Content-Length headers of 4: 500, or one is sent
/twice-different Content-Length 4 and 8: 500
/status?code=N[&length=L][&blocks=1]
                 status N with Content-Length L, if any, and two blocks of 4 bytes, if
                 asked. For 1xx: 500, for it is not the application's to send. For 204
                 and 304: no body on the wire and, for 204, no Content-Length
                 (RFC 9110 §8.6); the next request on the connection is intact. Any
                 other: as it is. HEAD: never a body.
"""

from misbehave.variants import by_path, field

PLAIN = ("Content-Type", "text/plain")
FOUR = b"one\n"


def sized(lengths, blocks):
    """Returns an application with these Content-Length values and these blocks."""

    def variant(environ, start_response):
        headers = [PLAIN] + [("Content-Length", length) for length in lengths]
        start_response("200 OK", headers)
        return list(blocks)

    return variant


def cut_write(environ, start_response):
    write = start_response("200 OK", [PLAIN, ("Content-Length", "4")])
    write(FOUR)
    write(FOUR)
    return []


def odd(environ, start_response):
    # parse_qs leaves out empty values, so an absent field is the empty one.
    return sized([field(environ, "value", "")], [FOUR])(environ, start_response)


def status(environ, start_response):
    headers = [PLAIN]
    length = field(environ, "length")
    if length is not None:
        headers.append(("Content-Length", length))
    start_response(field(environ, "code", "200") + " Status", headers)
    return [FOUR, FOUR] if field(environ, "blocks") else []


application = by_path(
    {
        "/cut": sized(["4"], [FOUR * 2]),
        "/cut-blocks": sized(["4"], [FOUR, FOUR]),
        "/cut-write": cut_write,
        "/zero": sized(["0"], [FOUR * 2]),
        "/short": sized(["8"], [FOUR]),
        "/short-none": sized(["8"], []),
        "/odd": odd,
        "/twice-same": sized(["4", "4"], [FOUR]),
        "/twice-different": sized(["4", "8"], [FOUR]),
        "/status": status,
    }
)
