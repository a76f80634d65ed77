"""The smallest complete WSGI application, and the one the bench compares servers with.

``hello:application``
    Any method, any path: 200, ``Hello, World!\\n`` as text/plain with its
    Content-Length. A correct server sends exactly these 14 bytes, answers HEAD
    with the same headers and no body, and adds no chunked coding.

``hello:pid``
    The same shape, with the number of the process that answers as the body: tells
    workers apart, and shows when a replaced worker takes its first request.
"""

import os

BODY = b"Hello, World!\n"
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]


def application(environ, start_response):
    """Answers BODY, whatever was asked."""
    # A fresh list: PEP 3333 lets the server change the one it is handed.
    start_response("200 OK", HEADERS[:])
    return [BODY]


def pid(environ, start_response):
    """Answers the process number of the worker, in decimal, with a line feed."""
    body = b"%d\n" % os.getpid()
    start_response(
        "200 OK",
        [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))],
    )
    return [body]
