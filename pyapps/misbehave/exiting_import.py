"""Calls sys.exit(7) while it is imported.

A failed start like any other exception: the server says that the module called
sys.exit, and its own exit code is that of a failed import, not 7.
"""

import sys


def application(environ, start_response):
    """Cannot be reached."""
    start_response("200 OK", [])
    return []


sys.exit(7)
