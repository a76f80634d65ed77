"""Cannot be compiled: the server shows the SyntaxError with file and line."""


def application(environ, start_response)
    return [b"unreachable"]
