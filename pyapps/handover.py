"""Has a server send files.

/named    answers "from the application\\n" and names a file in a header. Options:
          ``header=``  the header's name: X-Sendfile (the default), X-Accel-Redirect
          ``value=``   its value
          ``status=``  the status, "200 OK" if not given
          ``mark=``    a file that gets a line when close() is called
"""

from misbehave.marks import marker
from misbehave.variants import by_path, field


class Closing:
    """An iterable that says when it is closed."""

    def __init__(self, blocks, mark):
        self.blocks = blocks
        self.mark = mark

    def __iter__(self):
        return iter(self.blocks)

    def close(self):
        self.mark("closed")


def named(environ, start_response):
    name = field(environ, "header", "X-Sendfile")
    headers = [("Content-Type", "text/plain"), ("Set-Cookie", "a=1")]
    headers.append((name, field(environ, "value", "")))
    start_response(field(environ, "status", "200 OK"), headers)
    return Closing([b"from the ", b"application\n"], marker(environ))


application = by_path({"/named": named})
