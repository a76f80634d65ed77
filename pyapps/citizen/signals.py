"""Uses signals: a handler for SIGUSR2 is installed while it is imported.

/shown           JSON: what signal.getsignal says of signals a program may care about;
                 as in a script
/restore         puts a handler for SIGTERM in place and the former back: ``ok\\n``
/counted         sends itself SIGUSR2 and waits for the handler: JSON of whether that
                 ran on the main thread
/alarm           (on the main thread only) SIGALRM interrupts a sleep by an exception:
                 ``interrupted\\n``
/later?mark=F    a timer that ends when no request runs; the handler marks ``rang``
/raise-later     likewise; the handler raises, which no request sees
"""

import os
import signal
import threading

from misbehave import answers
from misbehave.marks import marker
from misbehave.variants import by_path

NAMES = "SIGHUP SIGINT SIGQUIT SIGUSR1 SIGTERM SIGCHLD SIGPIPE SIGWINCH".split()

counted = threading.Event()
counted_by = []
# Called by the handler of SIGALRM; a handler can be set on the main thread only.
ring = []


class Interrupted(Exception):
    pass


def count(number, frame):
    counted_by.append(threading.current_thread() is threading.main_thread())
    counted.set()


def alarmed(number, frame):
    for call in list(ring):
        call()


signal.signal(signal.SIGUSR2, count)
signal.signal(signal.SIGALRM, alarmed)


def shown(environ, start_response):
    told = {}
    for name in NAMES:
        handler = signal.getsignal(getattr(signal, name))
        told[name] = getattr(handler, "__name__", None) or str(handler)
        if isinstance(handler, signal.Handlers):
            told[name] = handler.name
    return answers.as_json(start_response, told)


def restore(environ, start_response):
    former = signal.signal(signal.SIGTERM, count)
    signal.signal(signal.SIGTERM, former)
    return answers.text(start_response, "ok\n")


def send(environ, start_response):
    counted.clear()
    os.kill(os.getpid(), signal.SIGUSR2)
    counted.wait()
    return answers.as_json(start_response, counted_by[-1])


def alarm(environ, start_response):
    def interrupt():
        raise Interrupted

    ring[:] = [interrupt]
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        threading.Event().wait(600)
    except Interrupted:
        return answers.text(start_response, "interrupted\n")
    return answers.text(start_response, "slept\n")


def later(environ, start_response):
    mark = marker(environ)
    ring[:] = [lambda: mark("rang")]
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    return answers.text(start_response, "ok\n")


def raise_later(environ, start_response):
    def fail():
        raise Interrupted("as asked")

    ring[:] = [fail]
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    return answers.text(start_response, "ok\n")


application = by_path(
    {
        "/shown": shown,
        "/restore": restore,
        "/counted": send,
        "/alarm": alarm,
        "/later": later,
        "/raise-later": raise_later,
    }
)
