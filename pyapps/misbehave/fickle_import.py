"""Can be imported, or not: raises while the file named by IMPORT_FAILS_IF exists.

Shows a worker that cannot be replaced because the code broke after the start: the
server backs off, goes on with the workers it has, and recovers when the file is gone.
Answers the number of the process, as hello:pid does.
"""

import os

from misbehave import answers

path = os.environ.get("IMPORT_FAILS_IF")
if path and os.path.exists(path):
    raise RuntimeError(f"fickle_import fails while {path} exists")


def application(environ, start_response):
    return answers.text(start_response, f"{os.getpid()}\n")
