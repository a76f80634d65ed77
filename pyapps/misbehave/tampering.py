"""Changes what is not its own: the environ (which it may) and the process.

The environ belongs to the application once it is called (PEP 3333: it may modify it in
any way), so each of these is 200 ``ok\\n`` and the next request has an environ as new:

/clear        empties it
/delete       deletes every wsgi.* key
/replace      replaces REQUEST_METHOD, PATH_INFO, SERVER_PROTOCOL, wsgi.input and
              wsgi.errors: HEAD stays HEAD, the log tells the real path
/add          adds values of all kinds, an object whose __del__ raises among them
/keys         adds keys that are not str
/grow         adds 10000 keys
/keys-of      JSON: the sorted keys, to compare

The process:

/chdir        os.chdir("/"): later requests work
/ignore-term  ignores SIGTERM, SIGINT, SIGQUIT and SIGHUP: the server still ends the
              worker. Only the main thread may; others get 500 (ValueError)
/close-stdio  closes descriptors 0, 1, 2: later requests and tracebacks work
/close-all    closes every descriptor from 3 on: the worker may be lost, no request of
              another worker, and the worker is replaced
/new-session  os.setsid(): the worker still ends with the server; 500 if it leads
              a session already
/umask        os.umask(0o777)
/alarm        a signal in a second, with its default action: as if the worker was killed
/environment  empties os.environ
/recursion    sets a recursion limit of 60: 200, or 500 from here on; never a crash
/no-gc        gc.disable()
/profile      sys.settrace and sys.setprofile with functions that raise: 200 or 500
/files        takes descriptors until there are none left, and keeps them: the worker's
              later requests work or it is replaced; ``drop=1`` gives them back
"""

import gc
import os
import resource
import signal
import sys

from misbehave import answers
from misbehave.variants import by_path, field

FIRST_OWN = 3  # the first descriptor after the standard ones

held = []


class RaisesWhenFreed:
    """Its __del__ raises, which Python reports and goes on."""

    def __del__(self):
        raise RuntimeError("freed")


def after(tamper):
    """Returns an application that calls tamper(environ) and answers ok."""

    def variant(environ, start_response):
        tamper(environ)
        return answers.text(start_response, "ok\n")

    return variant


def delete(environ):
    for key in [key for key in environ if key.startswith("wsgi.")]:
        del environ[key]


def replace(environ):
    environ["REQUEST_METHOD"] = "GET"
    environ["PATH_INFO"] = "/somewhere/else"
    environ["SERVER_PROTOCOL"] = "HTTP/0.9"
    environ["wsgi.input"] = environ["wsgi.errors"] = None


def add(environ):
    environ["tampering.self"] = environ
    environ["tampering.freed"] = RaisesWhenFreed()
    environ["tampering.function"] = add
    environ["HTTP_X_ADDED"] = b"bytes"


def keys(environ):
    environ.update({1: "int", None: "None", (): "tuple", b"HTTP_X": "bytes"})


def grow(environ):
    environ.update((f"tampering.{number}", number) for number in range(10_000))


def keys_of(environ, start_response):
    return answers.as_json(start_response, sorted(environ))


def ignore_signals(environ):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def close_stdio(environ):
    for descriptor in range(FIRST_OWN):
        os.close(descriptor)


def close_all(environ):
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.closerange(FIRST_OWN, soft)


def alarm(environ):
    signal.alarm(1)


def refuse(frame, event, argument):
    """A trace function that raises at whatever happens next."""
    raise RuntimeError(f"tampering refuses {event}")


def profile(environ, start_response):
    iterable = answers.text(start_response, "ok\n")
    sys.settrace(refuse)
    sys.setprofile(refuse)
    return iterable


def files(environ):
    if field(environ, "drop"):
        while held:
            os.close(held.pop())
        return
    while True:
        try:
            held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            return


application = by_path(
    {
        "/clear": after(dict.clear),
        "/delete": after(delete),
        "/replace": after(replace),
        "/add": after(add),
        "/keys": after(keys),
        "/grow": after(grow),
        "/keys-of": keys_of,
        "/chdir": after(lambda environ: os.chdir("/")),
        "/ignore-term": after(ignore_signals),
        "/close-stdio": after(close_stdio),
        "/close-all": after(close_all),
        "/new-session": after(lambda environ: os.setsid()),
        "/umask": after(lambda environ: os.umask(0o777)),
        "/alarm": after(alarm),
        "/environment": after(lambda environ: os.environ.clear()),
        "/recursion": after(lambda environ: sys.setrecursionlimit(60)),
        "/no-gc": after(lambda environ: gc.disable()),
        "/profile": profile,
        "/files": after(files),
    }
)
