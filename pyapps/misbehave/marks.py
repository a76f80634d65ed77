"""Lines that a variant leaves in the file named by ``mark=FILE``.

They show what happened inside the worker after, or without, a response. Each line is
one write to a file opened for appending, so lines of several workers do not mix.
"""

import os

from misbehave.variants import field


def marker(environ):
    """Returns a function that appends one line to the request's mark file.

    It stays usable after the request has ended, and does nothing without ``mark``.
    """
    path = field(environ, "mark")

    def mark(line):
        if path is None:
            return
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode("utf-8", "backslashreplace") + b"\n")
        finally:
            os.close(descriptor)

    return mark
