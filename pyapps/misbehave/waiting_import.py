"""Takes its time to be imported.

The import ends when the file named by the environment variable IMPORT_WAITS_FOR exists
(at once when the variable is unset), after a minute at most. Shows startup-timeout, and
that no request is given to a worker that is not ready.
"""

import os
import time

from misbehave import answers

MINUTE = 60.0  # seconds

path = os.environ.get("IMPORT_WAITS_FOR")
deadline = time.monotonic() + MINUTE
while path and not os.path.exists(path) and time.monotonic() < deadline:
    time.sleep(0.005)


def application(environ, start_response):
    return answers.text(start_response, "imported\n")
