"""Ends its own process, in every way and at every moment.

The path is the way: /exit (os._exit(7)), /kill (SIGKILL), /term (SIGTERM with its
default action), /segv (SIGSEGV sent), /null (reads address 0), /abort (abort(3)),
/overflow (C stack overflow, without Python noticing), /stop (SIGSTOP: not dead, but
nothing happens any more; the request's timeout has to end it).

``when=`` is the moment:

app       (default) in the call of the application: 502
started   after start_response: 502, for nothing was sent
block     after the block ``sent\\n``: aborted after it
close     in close(), after the body ``sent\\n``: a complete response is right, aborted
          too; never a complete-looking one that is not
after     from a thread, when the response is out: complete; the next request is
          served by a new worker
read      after 1 byte of the request body was read: 502

``once=FILE``: dies only when FILE is not there, and makes it first; answers
``alive PID\\n`` otherwise. Shows whether the server asks again: it may for an
idempotent method with nothing sent, never for POST. /alive answers the same line.

The server replaces the worker, logs how it died, and loses no other request.
"""

import ctypes
import os
import signal
import threading

from misbehave import answers
from misbehave.variants import by_path, field

PLAIN = [("Content-Type", "text/plain")]


def send(number):
    """Returns a function that sends signal number to the own process."""

    def die():
        os.kill(os.getpid(), number)
        signal.pause()  # a signal to oneself may arrive at another thread, a bit later

    return die


def terminate():
    """Ends by SIGTERM, whatever handler there is."""
    # Through C, for signal.signal is refused outside the main thread. None is SIG_DFL.
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    libc.signal(signal.SIGTERM, None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    send(signal.SIGTERM)()


def read_null():
    ctypes.string_at(0)


def overflow():
    """Uses up the C stack.

    By way of the C library's regcomp, which recurses for every open parenthesis:
    recursion through Python is stopped by CPython's own limits, from 3.12 on.
    """
    extended = 1  # REG_EXTENDED
    room = ctypes.create_string_buffer(1024)  # more than any regex_t
    ctypes.CDLL(None).regcomp(room, b"(" * 10_000_000, extended)


WAYS = {
    "/exit": lambda: os._exit(7),
    "/kill": send(signal.SIGKILL),
    "/term": terminate,
    "/segv": send(signal.SIGSEGV),
    "/null": read_null,
    "/abort": os.abort,
    "/overflow": overflow,
    "/stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
}


def alive(environ, start_response):
    return answers.text(start_response, f"alive {os.getpid()}\n")


def spared(environ):
    """Tells whether ``once`` names a file that is there; makes it otherwise."""
    path = field(environ, "once")
    if path is None:
        return False
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return True
    return False


class Dying:
    """An iterable of one block that dies at its moment."""

    def __init__(self, die, when):
        self.die = die
        self.when = when

    def __iter__(self):
        yield b"sent\n"
        if self.when == "block":
            self.die()

    def close(self):
        if self.when == "close":
            self.die()
        if self.when == "after":
            # The server finishes the response after close(); give it the time.
            threading.Timer(0.2, self.die).start()


def dies(die):
    """Returns an application that calls die at the moment the query names."""

    def variant(environ, start_response):
        if spared(environ):
            return alive(environ, start_response)
        when = field(environ, "when", "app")
        if when == "read":
            environ["wsgi.input"].read(1)
        if when in ("app", "read"):
            die()
        start_response("200 OK", PLAIN[:])
        if when == "started":
            die()
        return Dying(die, when)

    return variant


application = by_path(
    {"/alive": alive, **{path: dies(die) for path, die in WAYS.items()}}
)
