"""Says who it is and tries what it should not be able to do.

/who             JSON: uid, gid and groups (real, effective and saved ones are equal),
                 umask, nice, HOME, USER, LOGNAME, the current folder and what is in /
/descriptors     JSON of every open descriptor: number and what it is
/reach?pid=N     JSON of what comes of looking into another process; ``null`` when it is
                 this very one
/write?file=F    makes a file, and answers its mode and owner
/stderr?line=L   opens /dev/stderr, as logging to a file of that name does
"""

import json
import os
import stat

from misbehave import answers
from misbehave.variants import by_path, field


def who(environ, start_response):
    assert len(set(os.getresuid())) == len(set(os.getresgid())) == 1
    mask = os.umask(0)
    os.umask(mask)
    told = {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": sorted(os.getgroups()),
        "umask": mask,
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "cwd": os.getcwd(),
        "root": sorted(os.listdir("/")),
    }
    for name in ("HOME", "USER", "LOGNAME"):
        told[name] = os.environ.get(name)
    return answers.as_json(start_response, told)


def descriptors(environ, start_response):
    told = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            told[name] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            pass  # that of listdir itself
    return answers.as_json(start_response, told)


def attempt(what):
    """Returns "done", or the name of the error that what() raises."""
    try:
        what()
    except OSError as error:
        return type(error).__name__
    return "done"


def reach(environ, start_response):
    pid = int(field(environ, "pid"))
    if pid == os.getpid():
        return answers.as_json(start_response, None)
    process = f"/proc/{pid}"

    def opens(name):
        return attempt(lambda: os.close(os.open(f"{process}/{name}", os.O_RDONLY)))

    told = {name: opens(name) for name in ("mem", "environ", "stat")}
    told["fd"] = attempt(lambda: os.listdir(f"{process}/fd"))
    told["exe"] = attempt(lambda: os.readlink(f"{process}/exe"))
    return answers.as_json(start_response, told)


def write(environ, start_response):
    path = field(environ, "file")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    made = os.stat(path)
    told = {"mode": stat.S_IMODE(made.st_mode), "uid": made.st_uid, "gid": made.st_gid}
    return answers.as_json(start_response, told)


def stderr(environ, start_response):
    with open("/dev/stderr", "a") as stream:
        print(json.dumps(field(environ, "line")), file=stream)
    return answers.text(start_response, "written\n")


application = by_path(
    {
        "/who": who,
        "/descriptors": descriptors,
        "/reach": reach,
        "/write": write,
        "/stderr": stderr,
    }
)
