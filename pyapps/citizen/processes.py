"""Starts processes in every way Python has, from a request.

/subprocess      subprocess.run with input and output: ``child\\n``
/shell           os.system: JSON of the exit status, 3
/asyncio         a child process of asyncio.run's loop: ``child\\n``
/dispositions    JSON of the signals that a program started by subprocess ignores or
                 blocks: none

For these, ``start=`` is multiprocessing's start method, fork (default), spawn or
forkserver:

/process         a Process that answers by a Queue and exits with 3: JSON of both
/pool            a Pool: JSON of squares
/executor        a ProcessPoolExecutor: JSON of squares
/terminate       terminate() of a Process that sleeps: JSON of its exit code, -15

And os.fork; JSON of how the child ended, as waitpid tells:

/fork-exit       the child calls sys.exit with ``code``: a number, or a text, which
                 goes to the error log, for 1; its exit functions run: ``atexit`` marked
/fork-raise      the child raises: 1, and its traceback in the error log
/fork-exec       the child becomes another program, that exits with 4
/fork-killed     a child each is ended by SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2:
                 JSON of the signals
"""

import asyncio
import atexit
import concurrent.futures
import multiprocessing
import os
import signal
import subprocess
import sys
import time

from misbehave import answers
from misbehave.marks import marker
from misbehave.variants import by_path, field

ENDING = "SIGTERM SIGHUP SIGQUIT SIGUSR1 SIGUSR2".split()


def square(number):
    return number * number


def answer_and_exit(queue):
    queue.put(os.getpid())
    sys.exit(3)


def context(environ):
    return multiprocessing.get_context(field(environ, "start", "fork"))


def run(environ, start_response):
    done = subprocess.run(
        ["cat"], input="child\n", text=True, capture_output=True, check=True
    )
    return answers.text(start_response, done.stdout)


def shell(environ, start_response):
    status = os.system("exit 3")
    return answers.as_json(start_response, os.WEXITSTATUS(status))


def loop(environ, start_response):
    async def child():
        process = await asyncio.create_subprocess_exec(
            "echo", "child", stdout=asyncio.subprocess.PIPE
        )
        text, _ = await process.communicate()
        return text.decode("ascii")

    return answers.text(start_response, asyncio.run(child()))


def dispositions(environ, start_response):
    status = subprocess.run(
        ["cat", "/proc/self/status"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
    blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
    mask = ignored | blocked
    return answers.as_json(
        start_response, [n for n in range(1, 32) if mask >> n - 1 & 1]
    )


def process(environ, start_response):
    start = context(environ)
    queue = start.Queue()
    child = start.Process(target=answer_and_exit, args=(queue,))
    child.start()
    told = {"other": queue.get() != os.getpid()}
    child.join()
    told["exitcode"] = child.exitcode
    return answers.as_json(start_response, told)


def pool(environ, start_response):
    with context(environ).Pool(2) as workers:
        return answers.as_json(start_response, workers.map(square, range(5)))


def executor(environ, start_response):
    with concurrent.futures.ProcessPoolExecutor(
        2, mp_context=context(environ)
    ) as workers:
        return answers.as_json(start_response, list(workers.map(square, range(5))))


def terminate(environ, start_response):
    child = context(environ).Process(target=time.sleep, args=(600,))
    child.start()
    child.terminate()
    child.join()
    return answers.as_json(start_response, child.exitcode)


def ended(pid):
    """Returns how child pid ends: its exit code, or the signal's number, negative."""
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return -os.WTERMSIG(status)
    return os.WEXITSTATUS(status)


def fork_exit(environ, start_response):
    code = field(environ, "code")
    mark = marker(environ)
    pid = os.fork()
    if pid == 0:
        atexit.register(mark, "atexit")
        sys.exit(int(code) if code.isdigit() else code)
    return answers.as_json(start_response, ended(pid))


def fork_raise(environ, start_response):
    pid = os.fork()
    if pid == 0:
        raise RuntimeError("a child raises as asked")
    return answers.as_json(start_response, ended(pid))


def fork_exec(environ, start_response):
    pid = os.fork()
    if pid == 0:
        os.execvp("sh", ["sh", "-c", "exit 4"])
    return answers.as_json(start_response, ended(pid))


def fork_killed(environ, start_response):
    told = []
    for name in ENDING:
        pid = os.fork()
        if pid == 0:
            time.sleep(600)
            os._exit(0)
        os.kill(pid, getattr(signal, name))
        told.append(signal.Signals(-ended(pid)).name)
    return answers.as_json(start_response, told)


application = by_path(
    {
        "/subprocess": run,
        "/shell": shell,
        "/asyncio": loop,
        "/dispositions": dispositions,
        "/process": process,
        "/pool": pool,
        "/executor": executor,
        "/terminate": terminate,
        "/fork-exit": fork_exit,
        "/fork-raise": fork_raise,
        "/fork-exec": fork_exec,
        "/fork-killed": fork_killed,
    }
)
