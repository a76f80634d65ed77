"""Uses faulthandler, which writes stacks where wsgi.errors goes.

/dump            dump_traceback(): the stack in the error log, with this module's name
/later           dump_traceback_later(), while it waits
/registered      a signal registered for a dump, sent by itself
/fault           reads address 0: ``Fatal Python error`` and the stack in the error log,
                 and the worker dies
"""

import ctypes
import faulthandler
import signal
import threading

from misbehave import answers
from misbehave.variants import by_path

faulthandler.enable()
faulthandler.register(signal.SIGUSR1)


def dump(environ, start_response):
    faulthandler.dump_traceback(all_threads=False)
    return answers.text(start_response, "ok\n")


def wait_for_the_dump():
    threading.Event().wait(0.3)


def later(environ, start_response):
    faulthandler.dump_traceback_later(0.01)
    wait_for_the_dump()
    faulthandler.cancel_dump_traceback_later()
    return answers.text(start_response, "ok\n")


def registered(environ, start_response):
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
    return answers.text(start_response, "ok\n")


def fault(environ, start_response):
    ctypes.string_at(0)


application = by_path(
    {"/dump": dump, "/later": later, "/registered": registered, "/fault": fault}
)
