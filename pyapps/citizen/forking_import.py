"""Forks while it is imported, as some libraries do.

$IMPORT_FORKS says what the child does: ``waits`` for a signal, ``returns`` from the
import as the parent does, ``exits`` with 5, or ``raises``. The parent goes on in any
case; for all but ``waits`` it collects the child first, whose exit code is what is
answered; else it is the child's process id.
"""

import os
import sys
import time

from misbehave import answers

way = os.environ["IMPORT_FORKS"]
child = os.fork()
if child == 0:
    if way == "waits":
        time.sleep(600)
        os._exit(0)
    if way == "exits":
        sys.exit(5)
    if way == "raises":
        raise RuntimeError("forking_import raises as asked")
elif way != "waits":
    child = os.WEXITSTATUS(os.waitpid(child, 0)[1])


def application(environ, start_response):
    return answers.as_json(start_response, child)
