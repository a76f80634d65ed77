"""Raises while it is imported: the server shows the traceback and does not start."""

settings = {}


def application(environ, start_response):
    """Cannot be reached."""
    start_response("200 OK", [])
    return []


raise RuntimeError("raising_import raises as asked, settings are " + repr(settings))
