"""Starts an image as a container engine does: PID 1 of namespaces of its own, as the
image's user, on a root file system that cannot be written to, with a network that
only has the loopback address and one that nobody else can reach.
"""

import ctypes
import http.client
import os
import shlex
import signal
import socket
import subprocess
import threading

from image import LAYERS, STORE, of_user

CLONE_NEWNET = 0x40000000  # sched.h
PATIENCE = 30  # seconds that anything may take that is not meant to take time
OUTSIDE = "192.0.2.1"  # the other address of a box: RFC 5737, for documentation


class Lines:
    """What a process writes, line by line, as it comes."""

    def __init__(self, stream):
        self.all, self.ended = [], False
        self.changed = threading.Condition()
        threading.Thread(target=self.collect, args=(stream,), daemon=True).start()

    def collect(self, stream):
        for line in stream:
            with self.changed:
                self.all.append(line.rstrip("\n"))
                self.changed.notify_all()
        stream.close()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def text(self):
        with self.changed:
            return "\n".join(self.all)

    def wait_for(self, part):
        """The first line that holds part, which may come later."""

        def found():
            return [line for line in self.all if part in line] or self.ended

        with self.changed:
            self.changed.wait_for(found, PATIENCE)
            for line in self.all:
                if part in line:
                    return line
            raise AssertionError(f"no line has {part!r}:\n" + "\n".join(self.all))

    def wait_for_end(self):
        with self.changed:
            assert self.changed.wait_for(lambda: self.ended, PATIENCE), "not closed"


class Box:
    """One container. Leaving its with block kills what is left of it."""

    number = 0

    def __init__(self, image, *command, env=None, tmpfs=(), groups=None, user=None):
        """command is put in the place of CMD, user of USER; tmpfs are folders that can
        be written to; groups maps controllers to the folders of control groups
        (version 1)."""
        Box.number += 1
        self.image, self.config = image, image.config
        self.top = os.path.join(STORE, f"box{os.getpid()}-{Box.number}")
        self.env = {**self.config.env, **(env or {})}
        self.command = list(command) or self.config.cmd
        self.tmpfs, self.groups = tmpfs, groups or {}
        self.asked = user or self.config.user
        self.pid = None

    def __enter__(self):
        os.makedirs(self.top)
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL"]  # with these tests
            + ["unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork"]
            + ["--kill-child", "/bin/sh", "-euc", self.script()],
            cwd=LAYERS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.stdout = Lines(self.process.stdout)
        self.stderr = Lines(self.process.stderr)
        return self

    def script(self):
        """What PID 1 does before it becomes the entry point."""
        top, steps = shlex.quote(self.top), []
        for folder in self.groups.values():
            steps.append(f"echo $$ > {folder}/cgroup.procs")
        lower = ":".join(reversed(self.image.layers))
        steps += [
            f"mount -t overlay -o ro,lowerdir={lower} overlay {top}",
            f"mount -t proc proc {top}/proc",
            f"mount -t tmpfs -o mode=755,size=64k dev {top}/dev",
            f"ln -s /proc/self/fd {top}/dev/fd",
        ]
        for name in ("null", "zero", "random", "urandom"):
            place = f"{top}/dev/{name}"
            steps += [f": > {place}", f"mount --bind /dev/{name} {place}"]
        steps.append(f"mount -o remount,ro {top}/dev")
        for folder in self.tmpfs:
            steps.append(f"mount -t tmpfs -o mode=1777,size=64m tmpfs {top}{folder}")
        if self.groups:
            steps.append(f"mount -t tmpfs -o mode=755 sys {top}/sys")
        for controller, folder in self.groups.items():
            place = f"{top}/sys/fs/cgroup/{controller}"
            steps += [f"mkdir -p {place}", f"mount --bind {folder} {place}"]
        steps += [
            "hostname container",
            "ip link set lo up",
            f"ip address add {OUTSIDE}/32 dev lo",
            "exec " + shlex.join(self.entry()),
        ]
        return "\n".join(steps)

    def entry(self):
        """The entry point, in the root, as the user."""
        user, home = self.user()
        uid, gid = user.split(":")
        # To become somebody else makes the kernel forget what --kill-child said: that
        # PID 1, and so all of the box, dies with unshare.
        return (
            ["chroot", self.top, "setpriv", "--no-new-privs", "--pdeathsig=KILL"]
            + ["--reuid=" + uid, "--regid=" + gid, "--clear-groups"]
            + ["/usr/bin/env", "-i", "-C", self.config.workdir]
            + self.variables(home)
            + self.config.entrypoint
            + self.command
        )

    def user(self):
        """UID:GID and home, by the topmost layer that has an /etc/passwd."""
        for name in reversed(self.image.layers):
            layer = os.path.join(LAYERS, name)
            if os.path.exists(layer + "/etc/passwd"):
                return of_user(layer, self.asked)
        raise AssertionError("the image has no /etc/passwd")

    def variables(self, home):
        values = {"HOME": home, "HOSTNAME": "container", **self.env}
        return [f"{name}={value}" for name, value in values.items()]

    def ready(self):
        """Waits until it serves, and returns itself."""
        self.stderr.wait_for("listening at ")
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(children) as file:
            self.pid = int(file.read().split()[0])
        return self

    def signal(self, name):
        os.kill(self.pid, getattr(signal, name))

    def stop(self):
        """Asks it to stop as an engine does; returns its exit code."""
        self.signal(self.config.stopsignal)
        return self.wait()

    def wait(self):
        """The exit code, once it has ended by itself."""
        code = self.process.wait(PATIENCE)
        self.stdout.wait_for_end()
        self.stderr.wait_for_end()
        return code

    def execute(self, *command):
        """Runs a command in the container; returns exit code and output."""
        user, home = self.user()
        uid, gid = user.split(":")
        done = subprocess.run(
            ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--uts", "--ipc"]
            + ["--net", "--root", "--setuid", uid, "--setgid", gid]
            + ["/usr/bin/env", "-i", "-C", self.config.workdir]
            + self.variables(home)
            + list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        return done.returncode, done.stdout

    def health(self):
        """What the image's HEALTHCHECK says."""
        return self.execute(*self.config.healthcheck)

    def connect(self, host, port):
        """A connection from within its network."""
        made = []

        def dial():
            with open(f"/proc/{self.pid}/ns/net") as namespace:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                    made.append(OSError(ctypes.get_errno(), "setns"))
                    return
            try:
                made.append(socket.create_connection((host, port), PATIENCE))
            except OSError as error:
                made.append(error)

        # A namespace is a thread's own, and this one ends.
        thread = threading.Thread(target=dial)
        thread.start()
        thread.join()
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]

    def client(self, host="127.0.0.1", port=8000):
        client = http.client.HTTPConnection(host, port, timeout=PATIENCE)
        client.sock = self.connect(host, port)
        return client

    def ask(self, target, body=None, host="127.0.0.1", port=8000):
        """Status and text of an answer; target is a path, or METHOD and path."""
        method, _, path = target.rpartition(" ")
        client = self.client(host, port)
        try:
            client.request(method or "GET", path, body)
            answer = client.getresponse()
            return answer.status, answer.read().decode()
        finally:
            client.close()

    def processes(self):
        """State and parent of each process in its pid namespace, by pid there."""
        found = {}
        code, text = self.execute("/bin/sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null")
        del code  # those that end meanwhile cannot be read
        for line in text.splitlines():
            front, _, back = line.rpartition(")")
            pid, _, name = front.partition(" (")
            state, parent = back.split()[:2]
            found[int(pid)] = (name, state, int(parent))
        return found

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.stderr.wait_for_end()  # everybody in it has gone
        os.rmdir(self.top)
