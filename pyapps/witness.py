"""Keeps what it was called with, for tests of what a server takes for a request.

GET /calls
    JSON: a list of the calls since the last GET /calls, which is not among them.
Anything else
    JSON: this call: ``method``, ``target`` (path and query), ``host``, ``body`` (its
    bytes as latin-1) and ``port``, the client's, which tells connections apart.

One process and one thread, or the calls are spread over several lists.
"""

from echo import read_body
from misbehave import answers

calls = []


def describe(environ):
    """Returns a call as a dict that JSON carries."""
    query = environ.get("QUERY_STRING")
    return {
        "method": environ["REQUEST_METHOD"],
        "target": environ["PATH_INFO"] + ("?" + query if query else ""),
        "host": environ.get("HTTP_HOST", ""),
        "body": read_body(environ).decode("latin-1"),
        "port": environ.get("REMOTE_PORT", ""),
    }


def application(environ, start_response):
    """Answers a call with itself, or with all of them."""
    if environ["PATH_INFO"] == "/calls":
        seen, calls[:] = calls[:], []
        return answers.as_json(start_response, seen)
    call = describe(environ)
    calls.append(call)
    return answers.as_json(start_response, call)
