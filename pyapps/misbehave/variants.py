"""Which variant a request asks for."""

from urllib.parse import parse_qs

from misbehave import answers


def by_path(variants):
    """Returns an application that hands the call to variants[PATH_INFO].

    Nothing is put around the variant: its start_response, iterable and exceptions are
    the server's own business. An unknown path gives 404.
    """

    def application(environ, start_response):
        variant = variants.get(environ.get("PATH_INFO"))
        if variant is None:
            return answers.text(start_response, "no such variant\n", "404 Not Found")
        return variant(environ, start_response)

    return application


def field(environ, name, default=None):
    """Returns the last value of a field of the query, a str, or default."""
    return parse_qs(environ.get("QUERY_STRING", "")).get(name, [default])[-1]
