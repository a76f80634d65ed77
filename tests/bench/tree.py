"""One running server, seen from outside as a tree of processes.

A server is everything that started in its process group or descends from its first
process: master, workers, helpers. CPU and memory are sums over all of them,
so that no design looks cheap by keeping its costs in another process.
"""

import os
import signal
import subprocess
import time

import client

STOP_SECONDS = 10.0
START_SECONDS = 30.0


class StartError(Exception):
    """The server did not come up; the message ends with its last log lines."""


class Server:
    """A started server; use it in a with block, which stops it on every way out."""

    def __init__(self, name, argv, port, folder, environment, secure=False):
        self.name = name
        self.port = port
        self.secure = secure  # it speaks TLS there
        self._log = os.path.join(folder, "server.log")
        # setpriv: the server gets TERM should the bench itself be killed with
        # KILL, which no handler here could see.
        with open(self._log, "wb") as log:
            self._first = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=folder,
                # A group, not a session: the kernel may give each session its
                # own share of the processors (sched_autogroup), and a load
                # that is never on another machine would fight its server.
                process_group=0,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_ready(self, path):
        """Return once GET path answers 200; raise StartError when it never does."""
        seen = "no connection was accepted"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._first.poll() is not None:
                seen = f"it exited with {self._first.returncode}"
                break
            try:
                status, _ = client.get(self.port, path, 5.0, self.secure)
                if status == 200:
                    return
                seen = f"GET {path} = {status}, want 200"
                if status == 500:
                    break  # the application's own answer: waiting mends nothing
            except (OSError, client.ExchangeError) as err:
                seen = f"GET {path}: {err}"
            time.sleep(0.02)
        raise StartError(f"{self.name} is not ready: {seen}\n{self.log_tail()}")

    def log_tail(self, lines=15):
        """Return the last lines the server wrote, indented."""
        with open(self._log, errors="replace") as log:
            return "".join("    " + line for line in log.readlines()[-lines:])

    def pids(self):
        """Return the pids of the whole tree, the first process included."""
        found = {self._first.pid}
        rows = list(_processes())
        grew = True
        while grew:
            grew = False
            for pid, parent, group in rows:
                ours = group == self._first.pid or parent in found
                if ours and pid not in found:
                    found.add(pid)
                    grew = True
        return found

    def cpu(self):
        """Return {pid: CPU nanoseconds used so far} of the tree."""
        used = {}
        for pid in self.pids():
            try:
                used[pid] = time.clock_gettime_ns(_cpu_clock(pid))
            except OSError:
                continue  # gone between the scan and the reading
        return used

    def cpu_since(self, before):
        """Return the CPU nanoseconds the tree used since cpu() gave before."""
        now = self.cpu()
        return sum(used - before.get(pid, 0) for pid, used in now.items())

    def pss(self):
        """Return the proportional set size of the tree in bytes.

        Shared pages count once over all processes that map them (proc(5),
        smaps_rollup), so copy-on-write memory shows as what it costs.
        """
        return sum(_pss(pid) for pid in self.pids())

    def stop(self):
        """End the server: TERM to the first process, KILL to what outlives it."""
        if self._first.poll() is None:
            self._first.send_signal(signal.SIGTERM)
        try:
            self._first.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        for pid in self.pids() - {self._first.pid}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if self._first.poll() is None:
            self._first.kill()
        self._first.wait()


def _cpu_clock(pid):
    """Return the id of the CPU clock of another process.

    The kernel's encoding, as clock_getcpuclockid(3) returns it: it counts in
    nanoseconds and keeps the time of threads that have ended, which neither
    the ticks of /proc/PID/stat nor the sum of /proc/PID/task/*/schedstat do.
    """
    return (~pid << 3) | 2


def _processes():
    """Yield (pid, parent, process group) of every process there is."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            with open(f"/proc/{entry.name}/stat") as stat:
                # The command name may hold spaces and brackets: cut after it.
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        yield int(entry.name), int(fields[1]), int(fields[2])


def _pss(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            for line in rollup:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # ended meanwhile, or a zombie: it has no memory left
    return 0
