"""Starts threads (and processes) of its own.

/outlives        a thread that goes on after the response and marks ``ended`` after
                 ``seconds`` (default 1), or as soon as the file named by ``file``
                 exists: it is not stopped, and shutdown waits for it up to the grace
                 period. ``daemon=1``: shutdown need not wait.
/never-ends      a thread that waits for ever, not a daemon: shutdown ends all the same
/writes          a thread that calls write() once the response is over, and marks
                 ``refused TYPE`` or ``taken``: no byte reaches any client
/reads           a thread that reads the body while the application waits for it:
                 JSON of the length
/starts          start_response called in another thread: 200 ``started\\n``
/two-readers     two threads read the body at once: JSON of the sum of both lengths,
                 which is the body's
/exit            sys.exit() in a thread: ``ok\\n``, nothing else happens
/raise           an exception in a thread: ``ok\\n``, its traceback in the error log
/who             JSON: name of the current thread, whether it is the main one, whether
                 threading knows it, and how many are alive
/local           counts requests in a threading.local: JSON of thread name and count;
                 counts rise, for threads serve many requests
/process         runs a child process to its end: its output ``child\\n``
/fork            os.fork(); the child leaves by os._exit(0): ``parent\\n``
/fork-returns    os.fork(); the child returns too, as if it were the worker. A correct
                 server delivers ``parent\\n`` once and ends the child, or is not
                 disturbed by it
"""

import os
import subprocess
import sys
import threading
import time

from misbehave import answers
from misbehave.marks import marker
from misbehave.variants import by_path, field

PLAIN = [("Content-Type", "text/plain")]
READ_SIZE = 1000

local = threading.local()


def started(target, daemon=False):
    """Returns a thread that runs target already."""
    thread = threading.Thread(target=target, daemon=daemon)
    thread.start()
    return thread


def ok(start_response):
    return answers.text(start_response, "ok\n")


def outlives(environ, start_response):
    mark = marker(environ)
    seconds = float(field(environ, "seconds", "1"))
    path = field(environ, "file")

    def go_on():
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (path and os.path.exists(path)):
            time.sleep(0.005)
        mark("ended")

    started(go_on, daemon=bool(field(environ, "daemon")))
    return ok(start_response)


def never_ends(environ, start_response):
    started(threading.Event().wait)
    return ok(start_response)


class TellsEnd:
    """An iterable of one block that sets an event when it is closed."""

    def __init__(self, block, ended):
        self.block = block
        self.ended = ended

    def __iter__(self):
        return iter([self.block])

    def close(self):
        self.ended.set()


def writes(environ, start_response):
    mark = marker(environ)
    ended = threading.Event()
    write = start_response("200 OK", PLAIN[:])

    def write_late():
        ended.wait()
        time.sleep(0.05)  # close() is not quite the end: let the server finish
        try:
            write(b"too late\n")
        except Exception as error:
            mark(f"refused {type(error).__name__}")
        else:
            mark("taken")

    started(write_late)
    return TellsEnd(b"ok\n", ended)


def read_all(stream, lengths):
    """Appends the length of each block that is read from stream to lengths."""
    while True:
        block = stream.read(READ_SIZE)
        if not block:
            return
        lengths.append(len(block))


def read_by(count, environ, start_response):
    """Answers the length of the body as read by count threads at once."""
    lengths = []
    stream = environ["wsgi.input"]
    readers = [started(lambda: read_all(stream, lengths)) for _ in range(count)]
    for reader in readers:
        reader.join()
    return answers.as_json(start_response, {"length": sum(lengths)})


def reads(environ, start_response):
    return read_by(1, environ, start_response)


def two_readers(environ, start_response):
    return read_by(2, environ, start_response)


def starts(environ, start_response):
    started(lambda: start_response("200 OK", PLAIN[:])).join()
    return [b"started\n"]


def exits(environ, start_response):
    started(lambda: sys.exit(3)).join()
    return ok(start_response)


def raises(environ, start_response):
    def fail():
        raise RuntimeError("a thread raises as asked")

    started(fail).join()
    return ok(start_response)


def who(environ, start_response):
    thread = threading.current_thread()
    return answers.as_json(
        start_response,
        {
            "name": thread.name,
            "main": thread is threading.main_thread(),
            "known": thread in threading.enumerate(),
            "alive": threading.active_count(),
        },
    )


def count_local(environ, start_response):
    local.count = getattr(local, "count", 0) + 1
    name = threading.current_thread().name
    return answers.as_json(start_response, {"name": name, "count": local.count})


def process(environ, start_response):
    command = [sys.executable, "-c", "print('child')"]
    told = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return answers.text(start_response, told.stdout.decode())


def fork(environ, start_response):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return answers.text(start_response, "parent\n")


def fork_returns(environ, start_response):
    name = "child" if os.fork() == 0 else "parent"
    return answers.text(start_response, f"{name}\n")


application = by_path(
    {
        "/outlives": outlives,
        "/never-ends": never_ends,
        "/writes": writes,
        "/reads": reads,
        "/two-readers": two_readers,
        "/starts": starts,
        "/exit": exits,
        "/raise": raises,
        "/who": who,
        "/local": count_local,
        "/process": process,
        "/fork": fork,
        "/fork-returns": fork_returns,
    }
)
