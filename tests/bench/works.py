"""The works: what is asked of every server, and what is measured while it is.

One class a manner of measuring; WORKS lists the works themselves. A sample is
a dict of numbers, whose keys and units are those of COLUMNS.
"""

import json
import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import client
import crowd
import slowness

MIB = 1 << 20
HERE = Path(__file__).resolve().parent
PYAPPS = HERE.parents[1] / "pyapps"
GIB = 1 << 30

# A worker that dies young may be replaced with back-off, by design of several
# servers; the work asks for the replacement of one that had been serving.
SETTLED_SECONDS = 3.0

EVERY = ("gowsgi", "uwsgi", "gunicorn", "gthread", "waitress", "mod_wsgi")
SECURE = ("gowsgi", "uwsgi", "gunicorn", "gthread", "mod_wsgi")
LIMITING = ("gowsgi",)  # that can refuse what they cannot serve
FORKING = ("gowsgi", "uwsgi", "gunicorn")
STATIC = ("gowsgi", "nginx")  # that serve files without an application
KNOWN = (*EVERY, "nginx")

# key: (title, format), in the order of the tables.
COLUMNS = {
    "req_s": ("req/s", "{:,.0f}"),
    "kept": ("of the most", "{:.2f}"),
    "most_s": ("most req/s", "{:,.0f}"),
    "refused_s": ("refused/s", "{:,.0f}"),
    "mib_s": ("MiB/s", "{:,.0f}"),
    "ready_ms": ("ready ms", "{:.1f}"),
    "p99_ms": ("p99 ms", "{:.2f}"),
    "cpu_us": ("CPU us/req", "{:.1f}"),
    "cpu_us_mib": ("CPU us/MiB", "{:,.0f}"),
    "growth_mib": ("growth MiB", "{:.1f}"),
    "pss_mib": ("PSS MiB", "{:.1f}"),
    "processes": ("processes", "{:.0f}"),
    "slower": ("p99 times", "{:.2f}"),
    "kib_each": ("KiB each", "{:.1f}"),
    "kernel_kib_each": ("kernel KiB each", "{:.1f}"),
    "errors": ("errors", "{:.0f}"),
}


class MeasureError(Exception):
    """The server was up, but the work could not be done on it."""


@dataclass(frozen=True)
class App:
    """A WSGI application, and a request that shows it is the one served."""

    folder: Path
    module: str
    callable: str
    path: str
    body: bytes  # has to be in the answer to GET path


HELLO = App(PYAPPS, "hello", "application", "/", b"Hello, World!\n")
FLASK = App(PYAPPS, "flask_app", "app", "/hello", b"Hello, World!\n")
DJANGO = App(PYAPPS / "django_site", "mysite.wsgi", "application", "/notes/", b"<html")
PID = App(HERE / "apps", "django_pid", "application", "/notes/", b"<html")
WAITING = App(HERE / "apps", "waiting", "application", "/", b"waited\n")
SLOW = App(HERE / "apps", "slowly", "application", "/large", b"slowly")
TRANSFER = App(HERE / "apps", "transfer", "application", "/?size=3", b"\0\0\0")
# Files that bench.py makes; the application is not asked.
FILES = {"small": 1 << 10, "large": 10 * MIB}
SMALL = App(HERE / "apps", "transfer", "application", "/static/small", b"\0\0\0")
LARGE = App(HERE / "apps", "transfer", "application", "/static/large", b"\0\0\0")


@dataclass(frozen=True)
class Target:
    """A bound on one number of gowsgi's, alone or as a ratio to a peer's."""

    key: str
    bound: float
    peer: str = ""  # "": the bound is on the number itself, in its own unit
    at_most: bool = False

    def met(self, value):
        """Return whether value keeps the bound."""
        return value <= self.bound if self.at_most else value >= self.bound


@dataclass(frozen=True)
class Work:
    """One work: an application, how it is served, who takes part, the targets."""

    name: str
    title: str
    app: App
    main: str  # the key by which servers are compared
    workers: int = 1
    preload: bool = False
    secure: bool = False  # under TLS
    queue: int = 0  # requests that may wait for a worker; 0: the server's default
    static: bool = False  # FILES are served at /static/
    streams: bool = False  # request bodies go to the application while they come
    servers: tuple = EVERY
    targets: tuple = field(default=())

    def check(self, server):
        """Make one request; raise MeasureError unless the application answered."""
        status, body = client.get(server.port, self.app.path, secure=server.secure)
        if status != 200 or self.app.body not in body:
            raise MeasureError(
                f"GET {self.app.path} = {status} {body[:60]!r}, "
                f"want 200 with {self.app.body!r}"
            )

    def measure(self, server, seconds):
        """Return one sample of the running server; timed works last seconds."""
        raise NotImplementedError


@dataclass(frozen=True)
class Rate(Work):
    """Requests a second, from keep-alive connections that never pause."""

    connections: int = 32
    handshakes: bool = False  # each request on a connection of its own

    def measure(self, server, seconds):
        for _ in range(100):  # lazy imports and first-use caches
            client.get(server.port, self.app.path, secure=server.secure)
        before = server.cpu()
        extra = ("-H", "Connection: close") if self.handshakes else ()
        told = run_wrk(server, self.app.path, self.connections, seconds, extra)
        cpu = server.cpu_since(before)
        return {
            "req_s": told["requests"] / (told["microseconds"] / 1e6),
            "p99_ms": told["p99_us"] / 1000,
            "cpu_us": cpu / 1000 / told["requests"],
            "pss_mib": server.pss() / MIB,
            "errors": told["socket"] + told["timeout"],
        }


@dataclass(frozen=True)
class Multiplexed(Work):
    """Requests a second over HTTP/2, several at a time on each connection."""

    connections: int = 8
    streams: int = 10

    def measure(self, server, seconds):
        before = server.cpu()
        url = f"https://{client.HOST}:{server.port}{self.app.path}"
        run = subprocess.run(
            [
                *("h2load", "-t", "1", "-c", str(self.connections)),
                *("-m", str(self.streams), "-D", str(seconds), url),
            ],
            capture_output=True,
            text=True,
        )
        cpu = server.cpu_since(before)
        done = re.search(r"(\d+) succeeded, (\d+) failed", run.stdout)
        spoken = re.search(r"Application protocol: (\S+)", run.stdout)
        if run.returncode != 0 or not done or int(done[1]) == 0:
            raise MeasureError(f"h2load {url}: {run.stderr or run.stdout}")
        if not spoken or spoken[1] != "h2":
            raise MeasureError(f"h2load {url} spoke {spoken and spoken[1]}, want h2")
        return {
            "req_s": int(done[1]) / seconds,
            "cpu_us": cpu / 1000 / int(done[1]),
            "pss_mib": server.pss() / MIB,
            "errors": int(done[2]),
        }


@dataclass(frozen=True)
class Transfer(Work):
    """One body of size bytes down or up; memory is watched meanwhile."""

    up: bool = False
    size: int = GIB
    query: str = ""  # added to what is asked for

    def measure(self, server, seconds):
        # the server's code has run once, and a file is in the kernel's cache
        self._move(server, self.size if self.query else MIB)
        cpu = server.cpu()
        with Watch(server) as watch:
            took = self._move(server, self.size)
        mib = self.size / MIB
        return {
            "mib_s": mib / took,
            "cpu_us_mib": server.cpu_since(cpu) / 1000 / mib,
            "growth_mib": watch.growth / MIB,
            "pss_mib": server.pss() / MIB,
        }

    def _move(self, server, size):
        try:
            if self.up:
                return client.upload(server.port, "/", size)
            return client.download(server.port, f"/?size={size}{self.query}", size)
        except (client.ExchangeError, OSError) as err:
            raise MeasureError(f"{self.title}: {err}") from err


class Watch:
    """Samples the memory of a server until the with block ends.

    growth is the most that PSS rose above where it was at the start, in bytes.
    """

    def __init__(self, server):
        self.growth = 0
        self._server = server
        self._start = server.pss()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        self._look()

    def _sample(self):
        # Ten a second: a body takes longer to grow by 64 MiB unseen than the
        # reading of smaps_rollup is allowed to disturb.
        while not self._over.wait(0.1):
            self._look()

    def _look(self):
        self.growth = max(self.growth, self._server.pss() - self._start)


@dataclass(frozen=True)
class Memory(Work):
    """PSS of the whole tree after every worker has been busy for a while."""

    def measure(self, server, seconds):
        run_wrk(server, self.app.path, 4 * self.workers, min(seconds, 2))
        return {"pss_mib": server.pss() / MIB, "processes": len(server.pids())}


@dataclass(frozen=True)
class Replacement(Work):
    """Milliseconds from KILL of the only worker to an answer from the next."""

    def measure(self, server, seconds):
        run_wrk(server, self.app.path, 4, 1)
        time.sleep(SETTLED_SECONDS)
        killed = self._answering(server)
        if killed not in server.pids():
            raise MeasureError(f"GET /pid = {killed}, want a process of the server")
        begun = time.perf_counter()
        os.kill(killed, signal.SIGKILL)
        while time.perf_counter() - begun < 30:
            if self._answering(server) not in (None, killed):
                return {"ready_ms": (time.perf_counter() - begun) * 1000}
            time.sleep(0.001)
        raise MeasureError(f"worker {killed} was not replaced within 30 s")

    def _answering(self, server):
        """Return the pid of the worker that answers, None when none does."""
        try:
            status, body = client.get(server.port, "/pid")
        except (OSError, client.ExchangeError):
            return None
        return int(body) if status == 200 and body.isdigit() else None


@dataclass(frozen=True)
class Overload(Work):
    """Good answers at times the load a server can bear, of the most it gives.

    The two loads take turns within a sample, so that whatever else disturbs
    the machine disturbs both.
    """

    times: int = 3
    turns: int = 2
    connections: int = 16

    def measure(self, server, seconds):
        most, much = [], []
        for _ in range(self.turns):
            each = seconds / self.turns / 2
            most.append(
                crowd.patient(server.port, self.app.path, self.connections, each)
            )
            rate = self.times * most[-1].rate
            much.append(crowd.impatient(server.port, self.app.path, rate, each))
        best = sum(tally.rate for tally in most) / self.turns
        if best == 0:
            raise MeasureError("no answer at all without overload")
        good = sum(tally.rate for tally in much) / self.turns
        refused = sum(tally.refused for tally in much)
        return {
            "req_s": good,
            "kept": good / best,
            "most_s": best,
            "refused_s": refused / sum(tally.seconds for tally in much),
            "p99_ms": max(tally.p99() for tally in much) * 1000,
            "errors": sum(tally.failed for tally in most + much),
        }


@dataclass(frozen=True)
class SlowClients(Work):
    """Requests a second among clients that send or read a byte a second.

    Without and with them take turns within a sample, so that whatever else
    disturbs the machine disturbs both.
    """

    slow: int = 1000  # that send, and as many that read
    turns: int = 2
    connections: int = 32

    def measure(self, server, seconds):
        alone, among = [], []
        each = max(1, seconds // self.turns // 2)
        with slowness.Slow(server.port, self.slow, self.app.path) as slow:
            for _ in range(self.turns):
                slow.leave()
                settle(server)
                alone.append(run_wrk(server, "/", self.connections, each))
                slow.come()
                settle(server)
                among.append(run_wrk(server, "/", self.connections, each))
            missing = slow.missing()
        without, rate = _rate(alone), _rate(among)
        calm = max(told["p99_us"] for told in alone)
        p99 = max(told["p99_us"] for told in among)
        return {
            "req_s": rate,
            "kept": rate / without,
            "most_s": without,
            "p99_ms": p99 / 1000,
            "slower": p99 / calm,
            "pss_mib": server.pss() / MIB,
            "errors": missing
            + sum(told["socket"] + told["timeout"] for told in alone + among),
        }


def settle(server):
    """Return once the server has little to do: what was asked of it is done."""
    deadline = time.monotonic() + SETTLE_MOST
    while time.monotonic() < deadline:
        before = server.cpu()
        time.sleep(SETTLE_SECONDS)
        if server.cpu_since(before) < 0.1 * SETTLE_SECONDS * 1e9:
            return
    raise MeasureError(f"the server is still busy after {SETTLE_MOST} s")


SETTLE_SECONDS = 0.5
SETTLE_MOST = 60.0


def _rate(told):
    return sum(t["requests"] for t in told) / sum(t["microseconds"] / 1e6 for t in told)


@dataclass(frozen=True)
class Idle(Work):
    """Memory of connections that were served once and wait, in the processes and,
    as far as it says so, in the kernel."""

    connections: int = 10_000

    def measure(self, server, seconds):
        with slowness.Idle(server.port, self.connections, self.app.path) as idle:
            idle.come(200)
            time.sleep(IDLE_SECONDS)
            before, kernel = server.pss(), kernel_memory()
            idle.come(self.connections)
            time.sleep(IDLE_SECONDS)
            growth, kernel = server.pss() - before, kernel_memory() - kernel
            more = self.connections - 200
            return {
                "kib_each": growth / 1024 / more,
                "kernel_kib_each": kernel / 1024 / more,
                "pss_mib": server.pss() / MIB,
                "errors": idle.missing(),
            }


IDLE_SECONDS = 2.0


def kernel_memory():
    """Return the bytes of the kernel's slabs: sockets are most of what changes."""
    with open("/proc/meminfo") as lines:
        told = dict(line.split(":") for line in lines)
    return int(told["Slab"].split()[0]) * 1024


def run_wrk(server, path, connections, seconds, extra=()):
    """Run wrk and return what report.lua says; raise MeasureError on non-2xx."""
    # A second wrk thread only where there are cores to spare: on few it takes
    # from the servers what it does not need.
    threads = 2 if connections >= 64 and (os.cpu_count() or 1) > 4 else 1
    scheme = "https" if server.secure else "http"
    url = f"{scheme}://{client.HOST}:{server.port}{path}"
    run = subprocess.run(
        [
            "wrk",
            *("-t", str(threads), "-c", str(connections), "-d", f"{seconds}s"),
            *("-s", str(HERE / "report.lua"), *extra, url),
        ],
        capture_output=True,
        text=True,
    )
    if run.returncode != 0:
        raise MeasureError(f"wrk {url} exited with {run.returncode}: {run.stderr}")
    told = json.loads(run.stdout.splitlines()[-1])
    if told["requests"] == 0 or told["status"]:
        raise MeasureError(
            f"wrk {url}: {told['requests']} answers, {told['status']} not 2xx or 3xx"
        )
    return told


def _ratio(key, peer, bound, at_most=False):
    return Target(key, bound, peer, at_most)


WORKS = (
    Rate(
        "hello",
        "hello, 1 worker, 32 connections",
        HELLO,
        "req_s",
        targets=(
            _ratio("req_s", "uwsgi", 2.5),
            _ratio("req_s", "gunicorn", 8),
            _ratio("cpu_us", "uwsgi", 0.65, at_most=True),
        ),
    ),
    Rate(
        "hello-one",
        "hello, 1 worker, 1 connection",
        HELLO,
        "req_s",
        targets=(_ratio("req_s", "uwsgi", 0.9),),
        connections=1,
    ),
    Rate(
        "tls",
        "hello under TLS, kept connections, 1 worker, 32 connections",
        HELLO,
        "req_s",
        secure=True,
        servers=SECURE,
    ),
    Rate(
        "tls-handshakes",
        "hello under TLS, a handshake for each, 1 worker, 32 connections",
        HELLO,
        "req_s",
        secure=True,
        servers=SECURE,
        handshakes=True,
    ),
    Multiplexed(
        "h2",
        "hello over HTTP/2 under TLS, 1 worker, 8 connections of 10 streams",
        HELLO,
        "req_s",
        secure=True,
        servers=("gowsgi", "mod_wsgi"),
    ),
    Rate(
        "hello-two",
        "hello, 2 workers, 64 connections",
        HELLO,
        "req_s",
        workers=2,
        targets=(_ratio("req_s", "uwsgi", 1.3),),
        connections=64,
    ),
    Rate(
        "flask",
        "Flask hello, 2 workers, 32 connections",
        FLASK,
        "req_s",
        workers=2,
        targets=(_ratio("req_s", "uwsgi", 1.2), _ratio("req_s", "gunicorn", 2.5)),
    ),
    Rate(
        "django",
        "Django page with a query, 2 workers, 32 connections",
        DJANGO,
        "req_s",
        workers=2,
        targets=(_ratio("req_s", "uwsgi", 1.0),),
    ),
    Rate(
        "static-small",
        "static file of 1 KiB, 1 worker, 32 connections",
        SMALL,
        "req_s",
        static=True,
        servers=STATIC,
        targets=(_ratio("req_s", "nginx", 0.7),),
    ),
    Rate(
        "static-large",
        "static file of 10 MiB, 1 worker, 8 connections",
        LARGE,
        "req_s",
        static=True,
        servers=STATIC,
        targets=(_ratio("req_s", "nginx", 0.7),),
        connections=8,
    ),
    Overload(
        "overload",
        "three times as many requests as 4 workers can answer",
        WAITING,
        "req_s",
        workers=4,
        queue=100,
        servers=LIMITING,
        targets=(Target("kept", 0.9),),
    ),
    Transfer(
        "down",
        "1 GiB streamed down",
        TRANSFER,
        "mib_s",
        targets=(
            _ratio("mib_s", "uwsgi", 1.0),
            Target("growth_mib", 64, at_most=True),
        ),
    ),
    Transfer(
        "file",
        "1 GiB down by wsgi.file_wrapper",
        TRANSFER,
        "mib_s",
        targets=(
            _ratio("mib_s", "uwsgi", 1.0),
            Target("growth_mib", 64, at_most=True),
        ),
        query="&file=1",
    ),
    Transfer(
        "up",
        "1 GiB POSTed up",
        TRANSFER,
        "mib_s",
        targets=(
            _ratio("mib_s", "uwsgi", 1.0),
            Target("growth_mib", 64, at_most=True),
        ),
        up=True,
        streams=True,  # as every peer but mod_wsgi does
    ),
    SlowClients(
        "slow",
        "hello among 1,000 clients that send slowly and 1,000 that read so, 2 workers",
        SLOW,
        "req_s",
        workers=2,
        servers=("gowsgi",),
        targets=(Target("kept", 0.9), Target("slower", 2, at_most=True)),
    ),
    Idle(
        "idle",
        "10,000 idle keep-alive connections",
        HELLO,
        "kib_each",
        servers=("gowsgi",),
        targets=(Target("kib_each", 10, at_most=True),),
    ),
    Memory(
        "memory",
        "Django, 4 workers, preloaded: memory of everything",
        DJANGO,
        "pss_mib",
        workers=4,
        preload=True,
        servers=FORKING,
        targets=(_ratio("pss_mib", "gunicorn", 0.9, at_most=True),),
    ),
    Replacement(
        "replace",
        "Django, preloaded: the only worker is killed and replaced",
        PID,
        "ready_ms",
        preload=True,
        servers=FORKING,
        targets=(Target("ready_ms", 50, at_most=True),),
    ),
)
