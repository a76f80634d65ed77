"""Several kinds of requests, and a count of what the process holds after them.

/hello    hello.application
/echo     echo.application: reads the body, answers JSON
/upload   reads the body line by line, answers their number
/stream   stream.application, ``?blocks=N&size=M``
/write    two blocks by the callable that start_response returns, one by the iterable
/retry    start_response again with exc_info, before anything was sent
/raise    raises: 500 and a traceback in the log
/after    runs two functions after the response, one of which adds the other
/half     raises after the first block: the answer breaks off
/count    JSON, after a collection: ``blocks``, what the allocator has given out,
          ``objects``, those the collector knows, and ``references``, all there are,
          null unless CPython was built with --with-pydebug

Under a correct server the counts are the same after any number of requests, give or
take what caches hold.
"""

import gc
import sys

import afterwards
import echo
import hello
import stream
from misbehave import answers

PLAIN = [("Content-Type", "text/plain")]


def upload(environ, start_response):
    lines = sum(1 for _ in environ["wsgi.input"])
    return answers.text(start_response, f"{lines}\n")


def write(environ, start_response):
    send = start_response("200 OK", PLAIN[:])
    send(b"one\n")
    send(b"two\n")
    return [b"three\n"]


def retry(environ, start_response):
    start_response("200 OK", PLAIN[:])
    try:
        raise LookupError("counted changes its mind")
    except LookupError:
        start_response("404 Not Found", PLAIN[:], sys.exc_info())
    return [b"not found\n"]


def after(environ, start_response):
    module = afterwards.gowsgi
    module.after_response(module.after_response, dict, [("a", object())])
    return hello.application(environ, start_response)


def fail(environ, start_response):
    raise RuntimeError("counted raises as asked")


def half(environ, start_response):
    start_response("200 OK", PLAIN[:])
    yield b"half\n"
    raise RuntimeError("counted raises half-way as asked")


def streamed(environ, start_response):
    environ["PATH_INFO"] = "/"
    return stream.application(environ, start_response)


def count(environ, start_response):
    gc.collect()
    total = getattr(sys, "gettotalrefcount", lambda: None)
    return answers.as_json(
        start_response,
        {
            "blocks": sys.getallocatedblocks(),
            "objects": len(gc.get_objects()),
            "references": total(),
        },
    )


VARIANTS = {
    "/hello": hello.application,
    "/echo": echo.application,
    "/upload": upload,
    "/stream": streamed,
    "/write": write,
    "/retry": retry,
    "/after": after,
    "/raise": fail,
    "/half": half,
    "/count": count,
}


def application(environ, start_response):
    """Hands the call to the variant that the path names."""
    return VARIANTS[environ["PATH_INFO"]](environ, start_response)
