"""Other applications, each below its name: /echo, /stream, /upload.

``/echo/path`` is answered by echo.py with SCRIPT_NAME ending in /echo and PATH_INFO
/path, as any WSGI dispatcher does it. Everything else gives 404.
"""

from wsgiref.util import shift_path_info

import echo
import stream
import upload

APPLICATIONS = {
    "echo": echo.application,
    "stream": stream.application,
    "upload": upload.application,
}


def missing(environ, start_response):
    """Answers that there is nothing here."""
    body = b"There is nothing here.\n"
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("404 Not Found", headers)
    return [body]


def application(environ, start_response):
    """Passes the request on to the application its path begins with."""
    answer = APPLICATIONS.get(shift_path_info(environ), missing)
    return answer(environ, start_response)
