"""Makes a wheel of a built gowsgi, for the Python it embeds.

usage: wheel.py BINARY FOLDER

The wheel has the program as its script and the manual page beside it, and no
module: what `import gowsgi` gives is in the program, and only its workers have it.
It fits one version of CPython on one kind of machine (PEP 425), and is not called
manylinux, because nothing makes sure of that: it needs the libraries of the
machine it was built on. The same sources and the same BINARY make the same wheel:
times in it are the last commit's, or $SOURCE_DATE_EPOCH.
"""

import base64
import gzip
import hashlib
import os
import re
import subprocess
import sys
import time
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))

METADATA = """\
Metadata-Version: 2.1
Name: gowsgi
Version: {version}
Summary: Serves Python WSGI applications: a front in Go, CPython inside
License: MIT
License-File: LICENSE
Requires-Python: =={short}.*
Classifier: License :: OSI Approved :: MIT License
Classifier: Operating System :: POSIX :: Linux
Classifier: Programming Language :: Python :: Implementation :: CPython
Classifier: Programming Language :: Python :: {short}
Classifier: Topic :: Internet :: WWW/HTTP :: WSGI :: Server
Description-Content-Type: text/markdown

Serves Python web applications (WSGI: Flask, Django, anything):

    gowsgi -w 4 -b 127.0.0.1:5000 wsgi:application

Installed into a virtualenv, `gowsgi` serves with the packages of that virtualenv,
activated or not. This wheel is for the CPython {short} in {folder}.
"""

WHEEL = """\
Wheel-Version: 1.0
Generator: gowsgi
Root-Is-Purelib: false
Tag: {tag}
"""


def output(*command):
    """What a command prints, without the end of its last line."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.strip()


def embedded(binary):
    """The interpreter that a gowsgi embeds."""
    said = output(binary, "--version").decode()
    match = re.search(r"\(embeds Python \S+ of (.+)\)$", said)
    if match is None:
        sys.exit("gowsgi: %s does not say which Python it embeds: %s" % (binary, said))
    return match.group(1)


def facts(python):
    """Version, ABI and platform of an interpreter, as PEP 425 wants them."""
    return output(
        python,
        "-I",
        "-c",
        "import sys, sysconfig\n"
        "print('%d.%d' % sys.version_info[:2])\n"
        "print(sysconfig.get_config_var('SOABI').split('-')[1])\n"
        "print(sysconfig.get_platform())",
    ).decode()


def tag_of(short, abi, platform):
    """Tag of the wheels that fit: cp311-cp311-linux_x86_64."""
    python = "cp" + short.replace(".", "")
    return "-".join([python, "cp" + abi, re.sub("[-.]", "_", platform)])


def moment():
    """When the files in the wheel were made; zip knows no time before 1980."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        try:
            epoch = output("git", "-C", HERE, "log", "-1", "--format=%ct")
        except (OSError, subprocess.CalledProcessError):
            epoch = time.time()
    return max(time.gmtime(int(epoch))[:6], (1980, 1, 1, 0, 0, 0))


class Wheel:
    """A wheel that is being written, and the record of what is in it (PEP 427)."""

    def __init__(self, path, record, when):
        self.archive = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
        self.record = record
        self.lines = []
        self.when = when

    def add(self, name, content, mode=0o644):
        if isinstance(content, str):
            content = content.encode()
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
        digest = digest.rstrip(b"=").decode()
        self.lines.append("%s,sha256=%s,%d\n" % (name, digest, len(content)))
        self.write(name, content, mode)

    def write(self, name, content, mode):
        info = zipfile.ZipInfo(name, self.when)
        info.external_attr = (0o100000 | mode) << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        info.create_system = 3  # Unix: the mode counts
        self.archive.writestr(info, content)

    def close(self):
        self.lines.append(self.record + ",,\n")
        self.write(self.record, "".join(self.lines).encode(), 0o644)
        self.archive.close()


def make(binary, folder):
    """Makes the wheel of a program in a folder and returns its path."""
    python = embedded(binary)
    short, abi, platform = facts(python).split()
    tag = tag_of(short, abi, platform)
    version = output(os.path.join(HERE, "version"), "python").decode()
    name = "gowsgi-" + version
    info, data = name + ".dist-info/", name + ".data/"

    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "%s-%s.whl" % (name, tag))
    wheel = Wheel(path + ".new", info + "RECORD", moment())
    with open(binary, "rb") as file:
        wheel.add(data + "scripts/gowsgi", file.read(), 0o755)
    page = gzip.compress(output(binary, "man") + b"\n", mtime=0)
    wheel.add(data + "data/share/man/man1/gowsgi.1.gz", page)
    home = os.path.dirname(os.path.realpath(python))
    wheel.add(
        info + "METADATA", METADATA.format(version=version, short=short, folder=home)
    )
    wheel.add(info + "WHEEL", WHEEL.format(tag=tag))
    wheel.add(info + "LICENSE", output(os.path.join(HERE, "licences"), binary) + b"\n")
    wheel.close()
    os.rename(path + ".new", path)
    return path


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.split("\n\n")[1])
    print("made", make(os.path.abspath(sys.argv[1]), sys.argv[2]))
