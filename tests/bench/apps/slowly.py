"""An application for the many and the slow: a word, a megabyte, a body taken.

GET /        answers hello, as fast as can be.
GET /large   answers 1 MiB, which fits no socket of a client that does not read.
POST         reads the whole body and answers its length.
"""

LARGE = [b"slowly, " * 8192] * 16


def application(environ, start_response):
    """Route by method and path."""
    body = [b"Hello, World!\n"]
    if environ["REQUEST_METHOD"] == "POST":
        body = [b"%d\n" % len(environ["wsgi.input"].read())]
    elif environ["PATH_INFO"] == "/large":
        body = LARGE
    length = str(sum(map(len, body)))
    start_response(
        "200 OK", [("Content-Type", "text/plain"), ("Content-Length", length)]
    )
    return body
