"""Answers after ten milliseconds of waiting, like a page that asks a database."""

import time

BODY = b"waited\n"
SECONDS = 0.01


def application(environ, start_response):
    """Answer BODY after SECONDS; the processor is free meanwhile."""
    time.sleep(SECONDS)
    start_response("200 OK", [("Content-Length", str(len(BODY)))])
    return [BODY]
