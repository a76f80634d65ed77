#!/usr/bin/env python3
"""Compare gowsgi with the WSGI servers of Debian, on this machine, in one run.

A round runs every work once on every server; the order of the servers turns
with each round, so that a machine that warms up or is disturbed favours none.
The tables give the median over the rounds; "spread" is (most - least) / median.
CPU and memory are sums over all processes of a server. All servers and wrk
share the cores of this machine: read ratios, not absolute numbers.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import certificate
import client
import servers
import tables
import tree
import works

PYTHON = "/usr/bin/python3"
ROOT = Path(__file__).resolve().parents[2]

# What one server can do wrong without the bench being at fault: it is left out
# of that work, and the others go on.
FAILURES = (tree.StartError, works.MeasureError, client.ExchangeError, OSError)


def main():
    """Run what the command line asks for; return the exit status."""
    options = parse()
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, _leave)
    chosen = [work for work in works.WORKS if work.name in options.only]
    kinds = installed(options)
    with scratch_directory() as folder:
        bench = Bench(kinds, folder, site_environment(folder, chosen))
        if options.check:
            return bench.check(chosen)
        print(heading(options, kinds), flush=True)
        bench.run(chosen, options.rounds, options.seconds)
        if options.json:
            record(options, kinds, chosen, bench)
        for work in chosen:
            print(tables.text(work, bench.samples[work.name], bench.failed[work.name]))
        return 1 if any(bench.failed.values()) else 0


class Bench:
    """Runs works on servers and keeps what came out."""

    def __init__(self, kinds, folder, environment):
        self.samples = {work.name: {} for work in works.WORKS}
        self.failed = {work.name: {} for work in works.WORKS}
        self._kinds = kinds
        self._folder = folder
        self._environment = environment

    def run(self, chosen, rounds, seconds):
        """Measure every chosen work rounds times on every server that takes part."""
        for turn in range(rounds):
            for work in chosen:
                for kind in self._order(work, turn):
                    note(f"round {turn + 1}/{rounds}  {work.name}  {kind.name}")
                    self._once(work, kind, seconds)
        note("")

    def check(self, chosen):
        """Make one request of every application on every server; return the status."""
        failures = 0
        seen = set()
        for work in chosen:
            for kind in self._order(work, 0):
                if (work.app, kind.name) in seen:
                    continue
                seen.add((work.app, kind.name))
                try:
                    with self._started(work, kind) as server:
                        work.check(server)
                    verdict = "ok"
                except FAILURES as err:
                    verdict = f"FAILED: {err}"
                    failures += 1
                print(f"{kind.name:9} {work.app.module:12} {verdict}", flush=True)
        return 1 if failures or not seen else 0

    def _order(self, work, turn):
        ours = [kind for name, kind in self._kinds.items() if name in work.servers]
        turn %= len(ours) or 1
        return ours[turn:] + ours[:turn]

    def _once(self, work, kind, seconds):
        if kind.name in self.failed[work.name]:
            return
        try:
            with self._started(work, kind) as server:
                work.check(server)
                sample = work.measure(server, seconds)
        except FAILURES as err:
            # A median over fewer rounds than the others' would not compare.
            self.samples[work.name].pop(kind.name, None)
            self.failed[work.name][kind.name] = str(err)
            return
        self.samples[work.name].setdefault(kind.name, []).append(sample)

    @contextlib.contextmanager
    def _started(self, work, kind):
        """Yield the server of this kind serving work, ready; stop it afterwards."""
        with tempfile.TemporaryDirectory(dir=self._folder) as own:
            os.chmod(own, 0o755)  # for httpd, whose workers are another account
            launch = servers.Launch(
                folder=str(work.app.folder),
                module=work.app.module,
                callable=work.app.callable,
                workers=work.workers,
                preload=work.preload,
                queue=work.queue,
                streams=work.streams,
                port=free_port(),
                scratch=own,
                certificate=certificate.made_in(self._folder) if work.secure else "",
                static=static_folder(own) if work.static else "",
            )
            # waitress has no --chdir; the same PYTHONPATH for all makes it none.
            surroundings = self._environment | {"PYTHONPATH": launch.folder}
            argv = kind.argv(launch)
            with tree.Server(
                kind.name, argv, launch.port, own, surroundings, work.secure
            ) as server:
                server.wait_ready(work.app.path)
                yield server


def parse():
    """Return the options; argparse ends the program on wrong ones, status 2."""
    names = [work.name for work in works.WORKS]
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="works:\n"
        + "\n".join(f"  {work.name:10} {work.title}" for work in works.WORKS)
        + f"\n\nservers: {', '.join(works.KNOWN)}\n"
        + "gthread is gunicorn with 4 threads a worker; memory and replace take only\n"
        + f"servers that fork after loading: {', '.join(works.FORKING)};\n"
        + f"overload takes those that refuse: {', '.join(works.LIMITING)};\n"
        + f"static files are for {', '.join(works.STATIC)}.\n\n"
        + "exit status: 0 all measured (targets met or not), 1 a server failed, "
        + "2 wrong options",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--gowsgi",
        default=str(ROOT / "bin" / "gowsgi"),
        metavar="PATH",
        help="the gowsgi binary (default bin/gowsgi of this checkout)",
    )
    parser.add_argument(
        "--only",
        type=subset(names),
        default=names,
        metavar="WORKS",
        help="works to run, separated by commas (default all)",
    )
    parser.add_argument(
        "--servers",
        type=subset(list(works.KNOWN)),
        default=list(works.KNOWN),
        metavar="NAMES",
        help="servers to run, separated by commas (default all installed)",
    )
    parser.add_argument("--rounds", type=positive, default=5, help="rounds (default 5)")
    parser.add_argument(
        "--seconds",
        type=positive,
        default=5,
        help="how long a timed work loads a server, each round (default 5)",
    )
    parser.add_argument(
        "--json", metavar="FILE", help="also write every sample and verdict to FILE"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="measure nothing: one request to each application on each server, "
        "body verified",
    )
    return parser.parse_args()


def static_folder(scratch):
    """Make the files that are served without an application; return their folder."""
    folder = Path(scratch) / "static"
    folder.mkdir(mode=0o755)
    for name, size in works.FILES.items():
        (folder / name).write_bytes(bytes(size))
        (folder / name).chmod(0o644)
    return str(folder)


def subset(allowed):
    """Return a parser of comma-separated names out of allowed."""

    def names(text):
        given = text.split(",")
        for name in given:
            if name not in allowed:
                raise argparse.ArgumentTypeError(
                    f"{name!r} is none of {', '.join(allowed)}"
                )
        return given

    return names


def positive(text):
    """Return text as a whole number above zero."""
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def installed(options):
    """Return {name: Kind} of the asked servers that are here; say which are not."""
    if not options.check and shutil.which("wrk") is None:
        sys.exit("bench: wrk is not installed (apt: wrk)")
    here = {}
    for name, kind in servers.known(options.gowsgi).items():
        if name not in options.servers:
            continue
        if kind.program is None:
            print(f"bench: {name} is left out ({kind.missing})", file=sys.stderr)
            continue
        here[name] = kind
    return here


@contextlib.contextmanager
def scratch_directory():
    """Yield a directory that other accounts may enter, removed afterwards."""
    with tempfile.TemporaryDirectory(
        prefix="gowsgi-bench-", ignore_cleanup_errors=True
    ) as folder:
        os.chmod(folder, 0o755)
        yield folder


def site_environment(folder, chosen):
    """Return the servers' environment; make the Django database if one needs it."""
    database = Path(folder) / "database" / "site.sqlite3"
    environment = servers.environment({"DJANGO_SQLITE": str(database)})
    if not any(work.app in (works.DJANGO, works.PID) for work in chosen):
        return environment
    database.parent.mkdir()
    for command in ("migrate", "seed"):
        run = subprocess.run(
            [PYTHON, "manage.py", command],
            cwd=works.DJANGO.folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        if run.returncode != 0:
            sys.exit(f"bench: manage.py {command} failed:\n{run.stdout}{run.stderr}")
    # httpd's workers are another account, and sqlite writes beside its file.
    database.parent.chmod(0o777)
    database.chmod(0o666)
    return environment


def free_port():
    """Return a TCP port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((client.HOST, 0))
        return probe.getsockname()[1]


def heading(options, kinds):
    """Return the lines that say what ran where."""
    lines = [
        f"{os.cpu_count()} cores, {platform.system()} {platform.release()}; "
        f"{options.rounds} rounds of {options.seconds} s, medians"
    ]
    lines += [f"  {name:9} {version(kind)}" for name, kind in kinds.items()]
    return "\n".join(lines) + "\n"


def version(kind):
    """Return the first line of what the server says about its version."""
    if kind.name == "waitress":  # its command has no such flag
        code = "from importlib.metadata import version as v; print(v('waitress'))"
        argv = [PYTHON, "-c", code]
    else:
        argv = [
            kind.program,
            "-v" if kind.name in ("mod_wsgi", "nginx") else "--version",
        ]
    plain = servers.environment({})
    run = subprocess.run(argv, capture_output=True, text=True, env=plain, timeout=30)
    return (run.stdout or run.stderr).partition("\n")[0]


def record(options, kinds, chosen, bench):
    """Write every sample, median and verdict to options.json."""
    found = {}
    for work in chosen:
        samples = bench.samples[work.name]
        middle = {name: tables.medians(rows) for name, rows in samples.items()}
        found[work.name] = {
            "title": work.title,
            "samples": samples,
            "medians": middle,
            "failed": bench.failed[work.name],
            "targets": tables.judge(work, middle),
        }
    told = {
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "versions": {name: version(kind) for name, kind in kinds.items()},
        "works": found,
    }
    Path(options.json).write_text(json.dumps(told, indent=2) + "\n")


def note(line):
    """Show progress on one line of a terminal; say nothing into a file."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def _leave(number, _):
    """Turn a signal into an exception, so that every with block cleans up."""
    sys.exit(128 + number)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
