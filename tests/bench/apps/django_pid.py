"""The Django project of pyapps, with one path that tells who answered.

GET /pid    answers the process id of the worker in decimal, without Django;
            anything else is the project's. The project is imported when this
            module is, so a preloading server has all of it before it forks.
"""

import os
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3] / "pyapps" / "django_site"
sys.path.insert(0, str(PROJECT))

from mysite.wsgi import application as project  # noqa: E402  (needs the path above)


def application(environ, start_response):
    """Answer /pid here, hand everything else to the project."""
    if environ.get("PATH_INFO") != "/pid":
        return project(environ, start_response)
    body = b"%d" % os.getpid()
    start_response(
        "200 OK",
        [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))],
    )
    return [body]
