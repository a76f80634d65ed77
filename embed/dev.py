"""What zygote and workers do in addition while an application is developed.

The module exists in a development server only, as ``_gowsgi_dev``. It tells the
front, over a socket of its own, which files were imported and what exceptions
look like, and asks it for the terminal when a debugger wants to talk. One
datagram is one JSON object. Requests pay nothing for it, imports a little.
"""

import _socket
import importlib
import importlib.machinery
import itertools
import json
import linecache
import os
import sys
import threading
import time

_settings = {}
_socket_to_front = None
_imported = []  # [path, time of last change] not told yet
_serving = False

AROUND = 5  # lines of source before and after the one that counts
FRAMES = 60  # most frames told of one exception
TEXT = 48 << 10  # most characters of the traceback as text

# What does something when it is imported, or has to be noticed then.
NOT_AHEAD = {"__main__", "antigravity", "pdb", "readline", "site", "sitecustomize"}
NOT_AHEAD |= {"this", "usercustomize"}

# A file that changed less than this before it is imported may change again within
# the same second and keep its size: bytecode compiled from it is not kept.
YOUNG = 2 * 10**9


class Uncached(importlib.machinery.SourceFileLoader):
    """Loader of a file whose bytecode cannot be trusted, and is not written.

    Bytecode is taken for a file with the same second of change and size.
    Importlib neither looks for nor writes any where it cannot learn these.
    """

    def path_stats(self, path):
        raise OSError("bytecode of this file may be that of another state")


class Witness:
    """Finder that finds nothing itself, and notes what the others find.

    What is noted was looked up before the file is read: also when its import
    fails, and with the time of change from before.
    """

    def find_spec(self, fullname, path=None, target=None):
        others = iter(sys.meta_path)
        for finder in others:
            if finder is self:
                break
        for finder in others:
            find = getattr(finder, "find_spec", None)
            spec = find and find(fullname, path, target)
            if spec:
                if spec.has_location:
                    self.note(spec)
                if fullname == "pdb":
                    spec.loader = Debugger(spec.loader)
                return spec
        return None

    def note(self, spec):
        try:
            changed = os.stat(spec.origin).st_mtime_ns
        except (OSError, ValueError):
            return
        if type(spec.loader) is importlib.machinery.SourceFileLoader:
            if _cache_is_doubtful(spec.cached, changed):
                spec.loader = Uncached(spec.loader.name, spec.loader.path)
        _imported.append([spec.origin, changed])
        if _serving or len(_imported) == 64:
            tell_imported()


def _cache_is_doubtful(cached, changed):
    if time.time_ns() - changed < YOUNG:
        return True
    try:
        compiled = os.stat(cached).st_mtime_ns
    except (OSError, TypeError):
        return False
    same_second = compiled // 10**9 == changed // 10**9
    return same_second and compiled <= changed


class Debugger:
    """Loader of pdb: its prompt gets the terminal, whoever builds upon it."""

    def __init__(self, loader):
        self.loader = loader

    def __getattr__(self, name):
        return getattr(self.loader, name)

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)
        lend_terminal(module.Pdb)


def lend_terminal(debugger):
    """Have the prompt of a class derived from pdb.Pdb take the terminal."""
    ordinary = debugger.interaction

    def interaction(self, frame, *args, **kwargs):
        if not getattr(self, "use_rawinput", True):
            return ordinary(self, frame, *args, **kwargs)  # it has its own
        with _terminal:
            if _terminal.refused:
                where = _place(frame)
                _write(f"gowsgi: no terminal for the debugger at {where}; going on [GW166]\n")
                self.set_continue()
                return None
            return ordinary(self, frame, *args, **kwargs)

    debugger.interaction = interaction


def _place(frame):
    if frame is None:
        return "an unknown place"
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Terminal:
    """The terminal that gowsgi was started from, lent by the front.

    A context manager; one thread has it at a time, and may enter it again.
    """

    def __init__(self):
        self.lock = threading.RLock()
        self.depth = 0
        self.refused = False

    def __enter__(self):
        self.lock.acquire()
        self.depth += 1
        if self.depth == 1:
            self.refused = not self.take()
        return self

    def __exit__(self, *exception):
        self.depth -= 1
        if self.depth == 0 and not self.refused:
            self.give_back()
        self.lock.release()

    def take(self):
        import termios

        try:
            self.tty = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
        except OSError:
            return False
        try:
            os.setpgid(0, 0)  # Ctrl-C is for nobody else
        except OSError:
            pass  # it leads a group, or a session, already
        if not _ask_for_terminal():
            os.close(self.tty)
            return False
        self.before = termios.tcgetattr(self.tty)
        now = termios.tcgetattr(self.tty)
        now[3] &= ~termios.TOSTOP  # the front writes on
        now[6][termios.VSUSP] = b"\0"  # no shell would notice a worker that stops
        termios.tcsetattr(self.tty, termios.TCSADRAIN, now)
        os.dup2(self.tty, 0)
        self.output = None
        if not os.isatty(1):
            sys.stdout.flush()
            self.output = os.dup(1)
            os.dup2(self.tty, 1)
        return True

    def give_back(self):
        import termios

        sys.stdout.flush()
        if self.output is not None:
            os.dup2(self.output, 1)
            os.close(self.output)
        termios.tcsetattr(self.tty, termios.TCSADRAIN, self.before)
        os.close(self.tty)
        # from when the request goes on, Ctrl-C is for the front again
        _ask({"kind": "terminal back"})


_terminal = Terminal()


def _ask_for_terminal():
    """Wait until the front lends the terminal; False if it has none."""
    return _ask({"kind": "terminal", "group": os.getpgrp()}) == b"yes"


def _ask(message):
    """Tell the front something and wait for its answer; None: there is none."""
    if not _tell(message):
        return None
    try:
        return _socket_to_front.recv(16)
    except OSError:
        return None


def begin(settings):
    """Begin to watch imports; once, in the zygote."""
    _settings.update(settings)
    _connect()
    sys.meta_path.insert(0, Witness())
    os.register_at_fork(after_in_child=_forget)
    for name in settings["warm"] or ():
        try:
            importlib.import_module(name)
        except ImportError:
            pass  # another order than the application's: it will see
    if "pdb" in sys.modules:
        lend_terminal(sys.modules["pdb"].Pdb)


def enter():
    """Get a connection of its own for a worker."""
    _connect()


def ready():
    """Tell all that is imported, whoever did it; imports are told at once now."""
    global _serving
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and os.path.isabs(file):
            _imported.append([file, 0])
    tell_imported()
    _tell({"kind": "warm", "names": _standard()})
    _serving = True


def _standard():
    """Name the modules that can be imported before the application is.

    Those of the standard library: they do the same whoever imports them first.
    Unless gevent or eventlet replaces parts of them, which has to happen first.
    """
    known = getattr(sys, "stdlib_module_names", ())  # from Python 3.10 on
    if not known or "gevent" in sys.modules or "eventlet" in sys.modules:
        return []
    return [
        name
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] in known
        and name.partition(".")[0] not in NOT_AHEAD
        and getattr(module, "__spec__", None) is not None
    ]


def _connect():
    global _socket_to_front
    _forget()
    front = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    try:
        front.connect("\0" + _settings["address"])
    except OSError:
        front.close()  # the front is about to end
        return
    _socket_to_front = front
    _tell({"kind": "hello", "generation": _settings["generation"]})


def _forget():
    """Leave the connection to the process that has made it."""
    global _socket_to_front
    if _socket_to_front is not None:
        _socket_to_front.close()
    _socket_to_front = None


def _tell(message):
    if _socket_to_front is None:
        return False
    try:
        text = json.dumps(message, ensure_ascii=False)  # a datagram has its limits
        _socket_to_front.send(text.encode("utf-8", "backslashreplace"))
    except OSError:
        return False
    return True


def _write(text):
    data = text.encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(2, data) :]


def tell_imported():
    """Tell the front what was imported since it was told last."""
    while _imported:
        some = []
        try:
            while len(some) < 256:
                some.append(_imported.pop(0))  # another thread may import, too
        except IndexError:
            pass
        _tell({"kind": "modules", "files": some})


def failed(error, text):
    """Tell the front why this process cannot serve."""
    tell_imported()
    _tell_of(_portrait(error, text), {"kind": "failed"})


def raised(error, text, request_id):
    """Tell the front what ended a request."""
    _tell_of(_portrait(error, text), {"kind": "raised", "id": request_id})


def _tell_of(portrait, message):
    """Tell the front of an exception, with as much source as one datagram takes."""
    message["error"] = portrait
    if _tell(message):
        return
    for fits in (
        lambda frame, from_end: frame["own"],
        lambda frame, from_end: from_end < 8,
        lambda frame, from_end: False,
    ):
        for one in portrait["chain"]:
            for from_end, frame in enumerate(reversed(one["frames"])):
                if not fits(frame, from_end):
                    frame["source"] = []
                    frame["from"] = frame["to"] = 0
        if _tell(message):
            return
    for one in portrait["chain"]:
        one["message"] = one["message"][:256]
    portrait["text"] = portrait["text"][-4096:]
    _tell(message)


def _portrait(error, text):
    """Describe an exception, and those that led to it, for a page."""
    chain = []
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        cause, context = error.__cause__, error.__context__
        relation = "cause" if cause is not None else "context"
        chain.append(_portrait_of_one(error))
        if cause is None and error.__suppress_context__:
            break
        error = cause if cause is not None else context
        if error is not None:
            chain[-1]["follows"] = relation
    return {"chain": chain[:10], "text": text[-TEXT:]}


def _portrait_of_one(error):
    try:
        message = str(error)
    except BaseException as another:
        message = f"(its text cannot be had: {type(another).__name__})"
    for note in getattr(error, "__notes__", None) or ():  # PEP 678
        message = f"{message}\n{note}" if isinstance(note, str) else message
    frames = []
    trace = error.__traceback__
    while trace is not None:
        if not _is_hidden(trace.tb_frame.f_code.co_filename):
            frames.append(_frame_of(trace))
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename:
        message = error.msg or message
        frame = _frame(error.filename, error.lineno or 1, "", {})
        if error.offset and getattr(error, "end_lineno", None) == error.lineno:
            frame["from"], frame["to"] = error.offset - 1, error.end_offset - 1
        frames.append(frame)
    if len(frames) > FRAMES:
        frames[FRAMES // 2 : -FRAMES // 2] = []
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ == "_gowsgi_host":
        name = "gowsgi"  # it says what it expected
    elif kind.__module__ not in ("builtins", "__main__"):
        name = f"{kind.__module__}.{name}"
    return {"type": name, "message": message[:8192], "frames": frames}


def _is_hidden(file):
    if file.startswith("<gowsgi") or file == "<_gowsgi_dev>":
        return True
    return "importlib._bootstrap" in file


def _frame_of(trace):
    code = trace.tb_frame.f_code
    frame = _frame(
        code.co_filename, trace.tb_lineno, code.co_name, trace.tb_frame.f_globals
    )
    frame["from"], frame["to"] = _columns(code, trace.tb_lasti, frame)
    return frame


def _columns(code, instruction, frame):
    """Find which characters of its line an instruction stands for."""
    if not hasattr(code, "co_positions") or instruction < 0:  # before Python 3.11
        return 0, 0
    position = next(itertools.islice(code.co_positions(), instruction // 2, None), None)
    at = frame["line"] - frame["first"]
    if position is None or None in position or at >= len(frame["source"]):
        return 0, 0
    line, last, start, end = position
    if line != last or line != frame["line"]:
        return 0, 0
    text = frame["source"][at].encode("utf-8", "surrogatepass")
    return tuple(len(text[:n].decode("utf-8", "replace")) for n in (start, end))


def _frame(file, line, function, names):
    linecache.checkcache(file)
    first = max(line - AROUND, 1)
    lines = linecache.getlines(file, names)[first - 1 : line + AROUND]
    return {
        "file": file,
        "line": line,
        "function": function,
        "first": first,
        "source": [text.rstrip("\r\n")[:300] for text in lines],
        "from": 0,
        "to": 0,
        "own": _is_own(file),
    }


def _is_own(file):
    here = os.getcwd() + os.sep
    path = os.path.abspath(file)
    if not path.startswith(here):
        return False
    return "site-packages" not in path and not path.startswith(sys.prefix + os.sep)
