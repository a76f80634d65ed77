"""Any application here, with the name of whoever answers in the field X-Worker.

``signed:wrap("hello:application")`` as the server's argument: the same answers, each
with ``X-Worker: PID/THREAD``, so that a test sees which process, and which thread in
it, has served a request. The iterable is handed on untouched: what an application
makes of wsgi.file_wrapper stays what it is.
"""

import os
import threading
from importlib import import_module
from operator import attrgetter


def wrap(name):
    """Returns the application MODULE[:NAME] (dots allowed on both sides), wrapped."""
    module, _, attribute = name.partition(":")
    found = attrgetter(attribute or "application")(import_module(module))

    def signed(environ, start_response):
        def start_signed(status, headers, exc_info=None):
            name = f"{os.getpid()}/{threading.get_ident()}"
            return start_response(status, [*headers, ("X-Worker", name)], exc_info)

        return found(environ, start_signed)

    return signed
