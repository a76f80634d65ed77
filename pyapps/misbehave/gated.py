"""Answers when the gate opens.

``gate=FIFO`` names a named pipe: the request waits until somebody opens it for
writing, with the GIL free, and then answers ``passed``. Without it, it answers at once.
As many requests as one likes can be held so, for as long as one likes, and let go
together: nothing has to be timed. ``mark=FILE`` gets ``began PID`` before.
"""

import os

from misbehave import answers
from misbehave.marks import marker
from misbehave.variants import field


def application(environ, start_response):
    marker(environ)(f"began {os.getpid()}")
    gate = field(environ, "gate")
    if gate is not None:
        os.close(os.open(gate, os.O_RDONLY))
    return answers.text(start_response, "passed\n")
