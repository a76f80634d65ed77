"""Keeps the objects of one request and uses them in a later one.

/keep        stores environ, input, errors, start_response and write() of this request
             in a global and answers ``kept\\n``, without reading the body. ``read=N``
             reads N bytes of it first.
/keep-raise  stores them and raises: 500
/use         uses each of what was kept and answers a JSON object: for ``read``,
             ``readline``, ``iterate``, ``errors``, ``start_response``, ``write`` and
             ``environ`` the repr() of the result, or ``raised TYPE``. A correct server
             never hands out bytes of another request's body, never lets the old
             start_response or write touch this response, and never crashes: the old
             input reads as ended or raises, write() raises or does nothing, the environ
             is still a dict with the old PATH_INFO.
/drop        forgets what was kept and collects garbage: no crash
/cycle       ties environ, start_response and a generator into a cycle that only the
             garbage collector can free, some time later
/pile?size=N keeps N more bytes (default 1 MiB) for ever, and answers how many in all
/references  JSON: how many objects the garbage collector knows, after a collection;
             flat from request to request under a correct server

The requests must reach the same process, so the server needs one worker.
"""

import gc
import threading

from misbehave import answers
from misbehave.variants import by_path, field

PLAIN = [("Content-Type", "text/plain"), ("Content-Length", "5")]

kept = {}
kept_lock = threading.Lock()
pile = []


def store(environ, start_response, write):
    """Stores everything that belongs to this request."""
    with kept_lock:
        kept.update(
            environ=environ,
            input=environ["wsgi.input"],
            errors=environ["wsgi.errors"],
            start_response=start_response,
            write=write,
        )


def keep(environ, start_response):
    size = int(field(environ, "read", "0"))
    if size:
        environ["wsgi.input"].read(size)
    store(environ, start_response, start_response("200 OK", PLAIN[:]))
    return [b"kept\n"]


def keep_raise(environ, start_response):
    store(environ, start_response, start_response("200 OK", PLAIN[:]))
    raise RuntimeError("leaking raises as asked")


def outcome(call):
    """Returns the repr() of what call returns, or the type it raises."""
    try:
        return repr(call())
    except Exception as error:
        return f"raised {type(error).__name__}"


def use(environ, start_response):
    with kept_lock:
        old = dict(kept)
    if not old:
        return answers.text(start_response, "nothing kept\n", "409 Conflict")
    headers = [("X-Old", "1")]
    results = {
        "read": outcome(lambda: old["input"].read(10)),
        "readline": outcome(lambda: old["input"].readline()),
        "iterate": outcome(lambda: list(old["input"])),
        "errors": outcome(lambda: old["errors"].write("from an old request\n")),
        "start_response": outcome(
            lambda: old["start_response"]("299 Old", headers) and "a callable"
        ),
        "write": outcome(lambda: old["write"](b"from an old request\n")),
        "environ": outcome(lambda: old["environ"]["PATH_INFO"]),
    }
    return answers.as_json(start_response, results)


def drop(environ, start_response):
    with kept_lock:
        kept.clear()
    gc.collect()
    return answers.text(start_response, "dropped\n")


def cycle(environ, start_response):
    def generator():
        yield environ
        start_response("200 Never", [])

    environ["leaking.generator"] = suspended = generator()
    next(suspended)
    return answers.text(start_response, "tied\n")


def grow(environ, start_response):
    pile.append(b"p" * int(field(environ, "size", 1 << 20)))
    return answers.text(start_response, f"{sum(map(len, pile))}\n")


def references(environ, start_response):
    gc.collect()
    return answers.as_json(start_response, {"objects": len(gc.get_objects())})


application = by_path(
    {
        "/keep": keep,
        "/keep-raise": keep_raise,
        "/use": use,
        "/drop": drop,
        "/cycle": cycle,
        "/pile": grow,
        "/references": references,
    }
)
