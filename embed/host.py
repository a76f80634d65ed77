"""What zygote and worker do in Python: find the application, start, leave.

The zygote imports this module as ``_gowsgi_host`` and calls ``provide``,
``configure`` and, with preload, ``preload``; ``freeze`` is the last thing before it
forks. A worker calls ``enter``, ``serve`` and ``leave``, in that order, on the main
thread. Everything that happens for each request is in C.
"""

import ast
import atexit
import faulthandler
import gc
import importlib
import importlib.machinery
import io
import json
import os
import signal
import stat
import sys
import threading
import traceback
import types

import _gowsgi

# Codes of failures, as in cmd/failure; causes.py has more.
BAD_EXPRESSION = "GW044"
HOOK_RAISED = "GW045"
THREADS_LOST = "GW047"
SHUTDOWN_RAISED = "GW106"
FORK_RETURNED = "GW107"

_settings = {}
_application = None
_is_child = False  # of the application's: no worker, no zygote

_dev = None  # the module _gowsgi_dev, in a development server

_postfork = []  # functions to run in the worker; None once they have run
_atshutdown = []


class ApplicationError(Exception):
    """The application named on the command line cannot be served.

    ``failure`` is its code; ``status`` what to exit with, the failure's own where
    nothing else is said; ``trace`` says whether Python raised in the application's
    own code, so that the traceback helps.
    """

    def __init__(self, failure, message, trace=False, status=None):
        super().__init__(message)
        self.failure = failure
        self.trace = trace
        advice = _settings["failures"][failure]
        self.status = advice["exit"] if status is None else status
        self.help = advice["help"]


class ErrorStream(io.TextIOWrapper):
    """``wsgi.errors``, which is the same for every request of a worker.

    Closing it is for no request to do: the next ones need it.
    """

    def close(self):
        self.flush()


class FileWrapper:
    """``wsgi.file_wrapper``: blocks of a file-like object, and its ``close``.

    Source: PEP 3333, "Optional Platform-Specific File Handling".
    """

    def __init__(self, filelike, blksize=65536):
        self.filelike = filelike
        self.blksize = blksize
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self):
        return self

    def __next__(self):
        block = self.filelike.read(self.blksize)
        if block:
            return block
        raise StopIteration


# Less is as well read as passed on. It keeps out what says to be a regular file
# and is made while it is read, as in /proc and /sys: those say 0 or 4096.
_LEAST_FILE = 65536

_BUFFERED = (io.BufferedReader, io.BufferedRandom)


def locate(wrapper):
    """Find the file that a FileWrapper would read: (descriptor, offset), or None.

    Not every object with a ``fileno`` gives what is in that file: gzip's would
    not. So its ``read`` has to be that of a real file, and of one opened for
    reading; the offset is where that is, whatever its buffer holds.
    """
    try:
        file = _opened(wrapper.filelike)
        raw = file.raw if type(file) in _BUFFERED else file
        if type(raw) is not io.FileIO or not raw.readable():
            return None
        if file.writable():
            file.flush()
        descriptor, offset = raw.fileno(), file.tell()
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_size - offset >= _LEAST_FILE:
            return descriptor, offset
    except Exception:
        pass  # whatever is wrong with it, reading it will show
    return None


def _opened(filelike):
    """Return the object whose own ``read`` a file-like object reads by."""
    tempfile = sys.modules.get("tempfile")
    if tempfile is not None:
        if type(filelike) is tempfile._TemporaryFileWrapper:
            return filelike.file
        if type(filelike) is tempfile.SpooledTemporaryFile:
            return filelike._file
    return filelike.read.__self__


class BuiltInModule:
    """Finder and loader (PEP 451) of one module whose source is in the binary.

    A finder, and not only an entry of ``sys.modules``, so that reloading it or
    importing it after somebody has emptied ``sys.modules`` works.
    """

    def __init__(self, name, source):
        self.name = name
        self.source = source

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.name:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, origin="built-in")

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(compile(self.source, f"<{self.name}>", "exec"), module.__dict__)

    def get_source(self, fullname):
        return self.source


def provide(name, source):
    """Make a module importable whose source is ``source``."""
    sys.meta_path.insert(0, BuiltInModule(name, source))


def configure(text):
    """Take the settings from the front, a JSON object; once, in the zygote."""
    global _dev
    _settings.update(json.loads(text))
    importlib.import_module("gowsgi")  # once, for all workers
    os.register_at_fork(after_in_child=_forked)
    _gowsgi.configure(tuple(_settings["environ_keys"]))
    # '' would follow every chdir of the application; the start directory is
    # what "python -m" and gunicorn put first, too
    paths = [os.path.abspath(p) for p in _settings["python_path"]]
    paths.append(os.getcwd())
    sys.path[:] = paths + [p for p in sys.path if p and p not in paths]
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # by number: standard error of the worker, whatever becomes of sys.stderr.
    # Registered for one signal, it has no part in what the application does
    # with faulthandler
    faulthandler.register(_gowsgi.STACKS_SIGNAL, file=2, all_threads=True)
    _gowsgi.stacks_ready()
    if _settings.get("dev") is not None:
        import _gowsgi_dev as _dev

        _dev.begin(_settings["dev"])
    if sys.stdout is not None:
        # whole lines reach a container's log although it is not a terminal
        sys.stdout.reconfigure(line_buffering=True)


def _parse(spec):
    """Split ``module:expression`` into module, attribute path and call.

    The call is None, or (args, kwargs) with literals only.
    """
    module, _, expression = spec.partition(":")
    expression = expression or "application"
    try:
        node = ast.parse(expression, mode="eval").body
    except SyntaxError as error:
        raise ApplicationError(
            BAD_EXPRESSION,
            f'"{expression}" is neither a name nor a call: {error.msg}',
        ) from None
    call = None
    if isinstance(node, ast.Call):
        call = _literals(node, expression)
        node = node.func
    path = []
    while isinstance(node, ast.Attribute):
        path.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise ApplicationError(
            BAD_EXPRESSION,
            f'"{expression}" must be a name, a dotted name or a call of one',
        )
    return module, [node.id] + path, call


def _literals(node, expression):
    try:
        if any(keyword.arg is None for keyword in node.keywords):
            raise ValueError
        return (
            [ast.literal_eval(argument) for argument in node.args],
            {k.arg: ast.literal_eval(k.value) for k in node.keywords},
        )
    except ValueError:
        raise ApplicationError(
            BAD_EXPRESSION,
            f'the arguments in "{expression}" must be literals',
        ) from None


def _import(name):
    try:
        return importlib.import_module(name)
    except BaseException as error:  # SystemExit at import is a failure, too
        causes = _causes()
        missing = getattr(error, "name", None) or ""
        absent = isinstance(error, ModuleNotFoundError)
        if absent and (name == missing or name.startswith(missing + ".")):
            raise ApplicationError(*causes.absent_module(missing)) from None
        told = causes.raised_import(name, error)
        raise ApplicationError(*told, trace=True) from error


def _causes():
    """The module that tells causes apart; needed on the way out only."""
    return importlib.import_module("_gowsgi_causes")


def _find(module, path):
    found = module
    for name in path:
        try:
            found = getattr(found, name)
        except AttributeError:
            raise ApplicationError(*_causes().absent_name(module, path)) from None
    return found


def _make(factory, call, spec):
    """Call the factory. What is wrong with one is of exit status 4, whatever it is."""
    args, kwargs = call
    try:
        return factory(*args, **kwargs)
    except BaseException as error:
        told = _causes().raised_factory(spec, factory, call, error)
        raise ApplicationError(*told, trace=True, status=4) from error


def load(spec):
    """Return the application that ``spec`` names.

    Raises ApplicationError with the code, and with the application's own
    exception as its cause where there was one.
    """
    module_name, path, call = _parse(spec)
    found = _find(_import(module_name), path)
    if call is not None:
        found = _make(found, call, spec)
    if not callable(found):
        raise ApplicationError(*_causes().not_callable(spec, found))
    # A factory that was named and not called would fail in every request.
    if isinstance(found, types.FunctionType) and not _takes_two(found):
        told = _causes().wrong_application(spec, found)
        if told:
            raise ApplicationError(*told)
    return found


def _takes_two(function):
    """Tell at a glance whether a function takes two arguments and needs no more."""
    code = function.__code__
    least = code.co_argcount - len(function.__defaults__ or ())
    return least <= 2 <= code.co_argcount and not code.co_kwonlyargcount


def explain(error):
    """Return the text for the error log.

    The traceback, one clear line with the code, and one with what to do.
    """
    text = ""
    if error.trace and error.__cause__ is not None:
        text = "".join(
            traceback.format_exception(
                type(error.__cause__),
                error.__cause__,
                _below_host(error.__cause__.__traceback__),
            )
        )
    line = "".join(c if c.isprintable() else _escaped(c) for c in str(error))
    return (
        f"{text}gowsgi: error: {line} [{error.failure}]\n"
        f"gowsgi: help: {error.help}\n"
    )


def _escaped(character):
    return character.encode("unicode_escape").decode()


def _below_host(trace):
    """Drop this module's and importlib's frames from the top of a traceback."""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if file != __file__ and "importlib" not in file:
            break
        trace = trace.tb_next
    return trace


def _load_or_exit():
    try:
        application = load(_settings["application"])
    except ApplicationError as error:
        if _is_child:
            os._exit(end_child(error.__cause__ or error))
        _give_up(error, error.__cause__)
    if _is_child:  # forked by the import: one server of its kind is enough
        os._exit(end_child(None))
    return application


def _give_up(error, cause):
    """Say why this process cannot serve, and leave it."""
    error.__cause__ = cause
    text = explain(error)
    _write(text)
    if _dev is not None:
        if cause is not None:
            cause.__traceback__ = _below_host(cause.__traceback__)
        _dev.failed(cause if cause is not None and error.trace else error, text)
    _flush()
    raise SystemExit(error.status) from None


def _write(text):
    """Write to standard error whatever the application made of sys.stderr."""
    data = text.encode("utf-8", "backslashreplace")
    try:
        while data:
            data = data[os.write(2, data) :]
    except OSError:
        pass  # closed: nobody is left to tell, and the end has to go on


def preload():
    """Import the application in the zygote, for every worker to inherit.

    Raises SystemExit with the exit code after the reason has been written.
    """
    global _application
    _application = _load_or_exit()
    others = threading.active_count() - 1
    if others:
        _write(
            f"gowsgi: warning: the application started {others} thread(s) while "
            f"it was preloaded; workers are forked without them [{THREADS_LOST}]\n"
        )


def freeze():
    """Take what exists now out of the collector's sight.

    In the zygote that keeps its pages shared: a collection writes to each
    object it looks at. In a worker it keeps full collections short.
    """
    gc.collect()
    gc.freeze()


def describe(error):
    """Return the traceback of an exception that ended a request, as text.

    Text that UTF-8 can hold: lone surrogates, as in undecodable file names, are
    escaped.
    """
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    text = "".join(lines).encode("utf-8", "backslashreplace").decode("utf-8")
    if _dev is not None:
        _dev.raised(error, text, _gowsgi.request_id())
    return text


def postfork(function):
    """Have a function run in each worker: see gowsgi.py."""
    if _postfork is None:
        function()
    else:
        _postfork.append(function)


def _run_postfork():
    """Run what waits for the fork; SystemExit with the code if one raises."""
    global _postfork
    functions, _postfork = _postfork, None
    for function in functions:
        try:
            function()
        except BaseException as error:
            _give_up(
                ApplicationError(
                    HOOK_RAISED,
                    f"the postfork function {_named(function)} raised "
                    f"{type(error).__name__}: {error}",
                    trace=True,
                ),
                error,
            )


def _named(function):
    name = getattr(function, "__qualname__", None)
    return f"{function.__module__}.{name}" if name else repr(function)


def atshutdown(function):
    """Have a function run when this worker ends: see gowsgi.py."""
    _atshutdown.append(function)


def _run_atshutdown():
    while _atshutdown:
        function = _atshutdown.pop()
        try:
            function()
        except BaseException as error:
            _write(
                f"gowsgi: error: the atshutdown function {_named(function)} "
                f"failed [{SHUTDOWN_RAISED}]\n{describe(error)}"
            )


def _errors():
    """Return the stream for ``wsgi.errors``.

    Text, nothing is kept back: what a crashing request wrote last is what one
    wants to read. Standard error of a worker is a pipe to the front, which
    writes whole lines to the error log.
    """
    return ErrorStream(
        io.FileIO(2, "w", closefd=False),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
        write_through=True,
    )


def enter(worker_id):
    """Make this worker ready: return application, environ, describe, title.

    ``environ`` holds what is the same in every request; PEP 3333, "environ
    Variables". Raises SystemExit with the exit code.
    """
    if _dev is not None:
        _dev.enter()
    application = _application
    if application is None:
        application = _load_or_exit()
    _run_postfork()
    if _dev is not None:
        _dev.ready()
    errors = _errors()
    sys.stderr = sys.__stderr__ = errors
    if _application is None:
        freeze()  # what an import leaves stays: no collection need look at it
    environ = {
        "SERVER_SOFTWARE": _settings["server_software"],
        "wsgi.version": (1, 0),
        "wsgi.errors": errors,
        "wsgi.multithread": _settings["threads"] > 1,
        "wsgi.multiprocess": _settings["multiprocess"],
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.early_hints": _gowsgi.early_hints,
    }
    title = f"gowsgi: worker {worker_id} [{_settings['name']}]"
    return application, environ, describe, title


def serve(threads):
    """Serve until told to leave.

    One thread: the main thread itself, so that the application has what it
    has in any Python process. Several: threading.Thread objects, kept for the
    life of the worker, because applications keep connections in thread-locals;
    the main thread waits and runs signal handlers. They are not daemons: what an
    application starts in a request would inherit that, and be cut off at the end.
    """
    if threads == 1:
        _gowsgi.serve(0)
        return
    pool = [
        threading.Thread(target=_gowsgi.serve, args=(n,), name=f"gowsgi-{n}")
        for n in range(threads)
    ]
    for thread in pool:
        thread.start()
    _gowsgi.wait()
    for thread in pool:
        thread.join()


def _forked():
    """Run in every child that Python knows to have been forked."""
    global _is_child
    _is_child = _gowsgi.forked()


def end_child(error):
    """End a process the application forked and that came back; return its exit code.

    ``error`` is the exception that brought it back, which means what it means in any
    Python program, or None.
    """
    if error is None:
        _write(
            "gowsgi: a process forked by the application returned from it; "
            f"it ends here (leave such a process with os._exit) [{FORK_RETURNED}]\n"
        )
        _flush()
        return 0
    code = 1
    if isinstance(error, SystemExit):
        code = 0 if error.code is None else error.code
    else:
        _write(describe(error))
    if not isinstance(code, int):
        _write(f"{code}\n")
        code = 1
    _atshutdown.clear()  # of the worker, which goes on
    leave()
    return code & 0xFF


def leave():
    """Shut Python down as far as an application can notice, without finalising.

    The application's own functions first, which may tell threads to end; then
    non-daemon threads are waited for, atexit functions run, streams are
    flushed: the order of Py_FinalizeEx. Finalising itself with threads around
    hangs or crashes on most versions, and the process ends anyway. The front
    bounds all of it with --graceful-timeout.
    """
    steps = (_run_atshutdown, threading._shutdown, atexit._run_exitfuncs, _flush)
    for step in steps:
        try:
            step()
        except BaseException as error:
            _write(describe(error))


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # None, closed, or its reader is gone: nobody is left to tell
