"""Ends its process while it is imported, by os._exit(9).

The server says that the worker (or the zygote) ended during the import, and with what,
backs off and gives up: it must not start it again and again without a pause.
"""

import os


def application(environ, start_response):
    """Cannot be reached."""
    start_response("200 OK", [])
    return []


os._exit(9)
