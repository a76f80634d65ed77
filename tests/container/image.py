"""Builds images as a Dockerfile says, for real, in roots made by mmdebstrap.

An image is a list of folders to be laid over each other (overlayfs) and what is
configured. Folders are kept below build/_container by what they were made of, so a
second run makes only what has changed. Everything is mounted in this process's own
mount namespace, which the script ``run`` has made: nothing is left mounted.

What this cannot show: that images of these names are what is made of packages here.
"""

import glob
import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace

from dockerfile import Ignored, expand, pairs, parse

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Go does not look for packages in a folder whose name begins like this.
STORE = os.path.join(TOP, "build", "_container")
LAYERS = os.path.join(STORE, "layers")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What docker build passes on without being asked, and what tells Go where modules are.
PASSED_ON = ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY"]
PASSED_ON += ["NO_PROXY", "GOPROXY", "GOSUMDB", "GONOSUMDB", "SSL_CERT_FILE"]


@dataclass
class Config:
    """What an image says about its containers."""

    env: dict = field(default_factory=dict)
    user: str = "0"
    workdir: str = "/"
    entrypoint: list = field(default_factory=list)
    cmd: list = field(default_factory=list)
    stopsignal: str = "SIGTERM"
    exposed: list = field(default_factory=list)
    healthcheck: list = field(default_factory=list)
    health_flags: dict = field(default_factory=dict)


@dataclass
class Image:
    """Layers from the bottom to the top, by their names in LAYERS."""

    layers: list
    config: Config
    mounts: list = field(default_factory=list)  # (here, there, "ro" or "rw")

    def size(self):
        """Bytes of all files in the layers."""
        command = ["du", "--bytes", "--summarize"]
        text = output(*command, *(os.path.join(LAYERS, name) for name in self.layers))
        return sum(int(line.split()[0]) for line in text.splitlines())


def output(*command, **more):
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, **more
    ).stdout.strip()


def base(name):
    """An image of a registry, made of Debian's packages instead."""
    if name == "debian:bookworm-slim":
        return Image([root("bookworm", [])], Config(env={"PATH": PATH}))
    if name == "golang:1.26-bookworm":
        return golang("1.26")
    raise ValueError(f"no stand-in for the image {name}")


# What the images of golang have beside Go itself.
GOLANG_PACKAGES = ["ca-certificates", "gcc", "g++", "git", "libc6-dev", "make"]
GOLANG_PACKAGES += ["pkg-config"]


def golang(release):
    """The machine's Go, with what it has downloaded and compiled already."""
    version = output("go", "env", "GOVERSION", cwd=TOP)
    if not version.startswith(f"go{release}"):
        raise ValueError(f"the image has Go {release}, this machine {version}")
    places = output("go", "env", "GOROOT", "GOMODCACHE", "GOCACHE", cwd=TOP)
    goroot, modules, compiled = places.splitlines()
    env = {
        "PATH": f"/go/bin:/usr/local/go/bin:{PATH}",
        "GOPATH": "/go",
        "GOTOOLCHAIN": "local",
    }
    os.makedirs(modules, exist_ok=True)
    # Here, where the machine's certificates and settings count: a registry may be
    # behind a proxy that an image made of Debian's packages does not trust.
    output("go", "mod", "download", cwd=TOP)
    mounts = [
        (goroot, "/usr/local/go", "ro"),
        (modules, "/go/pkg/mod", "rw"),
        (compiled, "/root/.cache/go-build", "rw"),
    ]
    config = Config(env=env, workdir="/go")
    return Image([root("bookworm", GOLANG_PACKAGES)], config, mounts)


# What the image debian:bookworm-slim does to stay small.
SLIM = [
    '--aptopt=Dir::Cache::pkgcache "";',
    '--aptopt=Dir::Cache::srcpkgcache "";',
    '--aptopt=DPkg::Post-Invoke {"rm -f /var/cache/apt/archives/*.deb";};',
    "--aptopt=Acquire::Languages none;",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
]


def root(suite, packages):
    """The name of a layer that holds a minimal Debian with more packages."""
    name = key("root", suite, packages, SLIM)

    def make(folder):
        command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase"]
        command += SLIM
        if packages:
            command.append("--include=" + ",".join(packages))
        subprocess.run([*command, suite, folder, *mirror()], check=True)
        os.chmod(folder, 0o755)

    return layer(name, make)


def mirror():
    """The URL this machine's apt gets Debian from, in a list; [] if it does not say."""
    fields = ["$(REPO_URI)", "$(RELEASE)", "$(COMPONENT)", "$(ORIGIN)"]
    command = ["apt-get", "indextargets", "--format", " ".join(fields)]
    for line in output(*command, "Created-By: Packages").splitlines():
        uri, _, component, origin = (line + "   ").split(" ")[:4]
        if origin == "Debian" and component == "main" and "security" not in uri:
            return [uri]
    return []


def key(*what):
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def said(text):
    """Tells what takes so long."""
    print("container:", text, file=sys.stderr, flush=True)


def layer(name, make):
    """The layer of that name, made by make(folder) if it is not there yet."""
    path = os.path.join(LAYERS, name)
    if os.path.isdir(path):
        os.utime(path)
    else:
        shutil.rmtree(path + ".part", ignore_errors=True)
        os.makedirs(path + ".part")
        began = time.monotonic()
        make(path + ".part")
        said(f"{name} {time.monotonic() - began:.1f} s")
        os.rename(path + ".part", path)
    return name


DAY = 24 * 60 * 60


def prune():
    """Removes layers that nothing has used for a day."""
    for name in os.listdir(LAYERS):
        path = os.path.join(LAYERS, name)
        if time.time() - os.stat(path).st_mtime > DAY:
            shutil.rmtree(path)


def build(text, context, images=None, arguments=None):
    """The Image that a Dockerfile makes of the folder context.

    images are earlier ones that FROM and COPY --from may name; arguments are those
    of --build-arg.
    """
    ignore = os.path.join(context, ".dockerignore")
    ignored = Ignored()
    if os.path.exists(ignore):
        with open(ignore) as file:
            ignored = Ignored(file.read())
    stages = dict(images or {})
    stage = None
    for one in parse(text):
        if one.word == "FROM":
            words = one.text.split()
            if len(words) not in (1, 3) or len(words) == 3 and words[1].lower() != "as":
                one.fail("want FROM IMAGE, or FROM IMAGE AS NAME")
            begun = stages.get(words[0]) or base(words[0])
            stage = Stage(begun, context, ignored, stages, arguments or {})
            stages[words[2] if len(words) == 3 else ""] = stage.image
        elif stage is None:
            one.fail("stands before FROM")
        else:
            stage.follow(one)
    return stage.image


class Stage:
    """An image in the making."""

    def __init__(self, begun, context, ignored, stages, arguments):
        self.context, self.ignored, self.stages = context, ignored, stages
        self.given, self.arguments = arguments, {}
        config = replace(begun.config, env=dict(begun.config.env))
        self.image = Image(list(begun.layers), config, begun.mounts)

    def follow(self, one):
        getattr(self, "do_" + one.word.lower())(one)

    def variables(self):
        return {**self.arguments, **self.image.config.env}

    def expanded(self, one):
        return expand(one.text, self.variables())

    def do_arg(self, one):
        name, _, otherwise = self.expanded(one).partition("=")
        self.arguments[name] = self.given.get(name, otherwise.strip("\"'"))

    def do_env(self, one):
        self.image.config.env.update(pairs(one, self.variables()))

    def do_user(self, one):
        self.image.config.user = self.expanded(one)

    def do_expose(self, one):
        self.image.config.exposed = self.expanded(one).split()

    def do_stopsignal(self, one):
        self.image.config.stopsignal = self.expanded(one)

    def do_entrypoint(self, one):
        self.image.config.entrypoint = one.command()
        self.image.config.cmd = []  # the one below was for another entry point

    def do_cmd(self, one):
        self.image.config.cmd = one.command()

    def do_healthcheck(self, one):
        word, _, rest = one.text.partition(" ")
        if word != "CMD":
            one.fail("want CMD")
        self.image.config.health_flags = one.flags
        self.image.config.healthcheck = replace(one, text=rest.strip()).command()

    def do_workdir(self, one):
        path = os.path.join(self.image.config.workdir, self.expanded(one))
        self.image.config.workdir = path
        self.add(("WORKDIR", path), lambda top: os.makedirs(top + path, exist_ok=True))

    def do_run(self, one):
        command = one.command()
        env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        env.update(self.arguments)
        env.update(self.image.config.env)
        about = (command, self.arguments, self.image.config)
        self.add(("RUN", about), lambda top: self.run(top, command, env))

    def do_copy(self, one):
        words = one.listed() or one.text.split()
        *sources, target = [expand(word, self.variables()) for word in words]
        path = os.path.join(self.image.config.workdir, target)
        owner = [int(part) for part in one.flags.get("chown", "0:0").split(":")]
        origin = one.flags.get("from")
        if origin is None:
            found = self.of_context(one, sources)
            about = [(name, digest(here)) for here, name in found]
            self.add(
                ("COPY", about, path, owner), lambda top: put(top, found, path, owner)
            )
            return
        other = self.stages.get(origin) or one.fail(f"no stage {origin}")

        def bring(top):
            with Mounted(other.layers) as from_top:
                named = [(from_top + s, os.path.basename(s)) for s in sources]
                put(top, named, path, owner)

        self.add(("COPY", other.layers, sources, path, owner), bring)

    def of_context(self, one, sources):
        """(path here, name below the target) of each file."""
        found = []
        for source in sources:
            matches = sorted(glob.glob(os.path.join(self.context, source.strip("/"))))
            if not matches:
                one.fail(f"nothing in the context is called {source}")
            for match in matches:
                found += self.files(match)
        return found

    def files(self, path):
        if not os.path.isdir(path):
            return [(path, os.path.basename(path))]
        found = []
        for folder, below, names in os.walk(path):
            below.sort()
            for name in sorted(names):
                here = os.path.join(folder, name)
                if not self.ignored.holds(os.path.relpath(here, self.context)):
                    found.append((here, os.path.relpath(here, path)))
        return found

    def add(self, about, change):
        """Adds what change(top) makes of the image, mounted at the folder top."""
        under = self.image.layers

        def make(folder):
            with Mounted(under, folder) as top:
                change(top)

        self.image.layers = under + [layer(key(under, about), make)]

    def run(self, top, command, env):
        with Furnished(top, self.image.mounts):
            inside(top, command, self.image.config, env)


def inside(top, command, config, env):
    """Runs a command of a RUN instruction. It sees the network, as with Docker."""
    user, home = of_user(top, config.user)
    env = {"HOME": home, **env}
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc=" + top + "/proc"]
        + ["chroot", "--userspec=" + user, top, "/usr/bin/env", "-i"]
        + ["-C", config.workdir]
        + [f"{name}={value}" for name, value in env.items()]
        + command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stdout}")


def of_user(top, user):
    """(UID:GID, home) of what USER says."""
    name, _, group = user.partition(":")
    with open(top + "/etc/passwd") as file:
        for line in file:
            entry = line.strip().split(":")
            if name in (entry[0], entry[2]):
                return f"{entry[2]}:{group or entry[3]}", entry[5]
    return f"{name}:{group or 0}", "/"


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest(), os.stat(path).st_mode


def put(top, found, path, owner):
    """Copies files to a path; it is a folder if it ends like one or there are many."""
    as_folder = path.endswith(("/", "/.")) or len(found) != 1
    as_folder = as_folder or os.path.isdir(top + path) or "/" in found[0][1]
    for here, name in found:
        there = os.path.normpath(
            top + (os.path.join(path, name) if as_folder else path)
        )
        os.makedirs(os.path.dirname(there), exist_ok=True)
        if os.path.isdir(here):
            shutil.copytree(here, there, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(here, there, follow_symlinks=False)
            os.chown(there, *owner, follow_symlinks=False)


class Mounted:
    """Layers laid over each other; changes go to the folder upper, if there is one."""

    places = 0

    def __init__(self, layers, upper=None):
        Mounted.places += 1
        self.top = os.path.join(STORE, f"mnt{os.getpid()}-{Mounted.places}")
        # Relative: a mount's options have a page of memory for all names.
        self.options = "lowerdir=" + ":".join(reversed(layers))
        if len(layers) == 1 and not upper:
            self.options += ":" + empty()
        self.work = None
        if upper:
            self.work = upper + ".work"
            self.options += f",upperdir={upper},workdir={self.work}"

    def __enter__(self):
        os.makedirs(self.top)
        if self.work:
            os.makedirs(self.work, exist_ok=True)
        mount("-t", "overlay", "-o", self.options, "overlay", self.top, cwd=LAYERS)
        return self.top

    def __exit__(self, *_):
        subprocess.run(["umount", self.top], check=True)
        os.rmdir(self.top)
        if self.work:
            shutil.rmtree(self.work)


def empty():
    """The name of a layer with nothing in it: an overlay wants two."""
    return layer("empty", lambda folder: None)


class Furnished:
    """What programs expect of a root, mounted into it: /proc, /dev, names, and more."""

    def __init__(self, top, mounts):
        self.top, self.mounts = top, mounts

    def __enter__(self):
        mount("-t", "proc", "proc", self.top + "/proc")
        devices(self.top)
        names = self.top + "/etc/resolv.conf"
        if os.path.islink(names) or not os.path.exists(names):
            if os.path.islink(names):
                os.unlink(names)
            open(names, "w").close()
        mount("--bind", os.path.realpath("/etc/resolv.conf"), names)
        for here, there, rights in self.mounts:
            os.makedirs(self.top + there, exist_ok=True)
            mount("--bind", "-o", rights, here, self.top + there)

    def __exit__(self, *_):
        places = ["/proc", "/dev", "/etc/resolv.conf"]
        for place in reversed(places + [there for _, there, _ in self.mounts]):
            subprocess.run(["umount", "--recursive", self.top + place], check=True)


def devices(top):
    """/dev with what a container gets, and nothing that can be written to disk."""
    mount("-t", "tmpfs", "-o", "mode=755,size=64k", "dev", top + "/dev")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        open(f"{top}/dev/{name}", "w").close()
        mount("--bind", f"/dev/{name}", f"{top}/dev/{name}")
    for name, target in (
        ("fd", ""),
        ("stdin", "/0"),
        ("stdout", "/1"),
        ("stderr", "/2"),
    ):
        os.symlink("/proc/self/fd" + target, f"{top}/dev/{name}")


def mount(*arguments, cwd=None):
    subprocess.run(["mount", *arguments], check=True, cwd=cwd)
