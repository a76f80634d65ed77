"""The images that tests start: the repository's, and those of docs/containers.md with
applications of pyapps. They are built once in a run.
"""

import functools
import os
import re
import shutil
import tempfile

from image import TOP, build

PYAPPS = os.path.join(TOP, "pyapps")

# Beside what the Flask application of pyapps does.
SITE = """
import os, subprocess, sys, time

from flask import request
from flask_app import app as application


@application.get("/print")
def say():
    print("said by print")
    return "said\\n"


@application.get("/orphan")
def orphan():
    subprocess.run(["sh", "-c", "sleep 0.2 & exit 0"], check=True)
    return "left\\n"


@application.get("/slow")
def slow():
    print("begun")
    time.sleep(float(request.args["seconds"]))
    return "done\\n"


@application.get("/tell")
def tell():
    return {
        "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(),
        "cwd": os.getcwd(), "encoding": sys.stdout.encoding,
    }


@application.get("/write")
def write():
    found = []
    for folder in ("/", "/app", "/tmp", "/run", "/dev", "/var/tmp", "/usr/local/bin"):
        try:
            open(os.path.join(folder, "file"), "w").close()
            found.append(folder)
        except OSError:
            pass
    return {"can be written to": found}
"""


def write(folder, name, text):
    with open(os.path.join(folder, name), "w") as file:
        file.write(text)


def dockerfiles():
    """Those of docs/containers.md, in order: with pip, with Debian's packages."""
    with open(os.path.join(TOP, "docs", "containers.md")) as file:
        return re.findall(r"```dockerfile\n(.*?)```", file.read(), re.DOTALL)


@functools.cache
def gowsgi():
    with open(os.path.join(TOP, "Dockerfile")) as file:
        return build(file.read(), TOP)


def on_gowsgi(text, folder):
    """The image that a Dockerfile which begins with FROM gowsgi makes of a folder."""
    return build(text, folder, {"gowsgi": gowsgi()})


@functools.cache
def flask():
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(os.path.join(PYAPPS, "flask_app"), folder + "/flask_app")
        write(folder, "wsgi.py", SITE)
        return on_gowsgi(dockerfiles()[1], folder)


@functools.cache
def django():
    text = dockerfiles()[1].replace("python3-flask", "python3-django")
    return on_gowsgi(text, os.path.join(PYAPPS, "django_site"))
