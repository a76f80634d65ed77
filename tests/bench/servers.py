"""How each server is started for a work: one function a server, nothing shared.

Every one gets the settings its own documentation advises for production on one
machine: quiet logs, keep-alive where it has it, no reloader. Where a default
would end a long transfer (body limits, worker time-outs) it is raised.
"""

import grp
import os
import pwd
import shutil
from dataclasses import dataclass
from typing import Callable, Optional

import client

# Debian's own programs only: an interpreter manager's shims earlier in PATH
# would make peers, and mod_wsgi's embedded Python, start another Python.
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
TRANSFER_SECONDS = 120


@dataclass
class Launch:
    """What a server is to serve: an application, with how many workers."""

    folder: str  # of the application; becomes the working directory
    module: str
    callable: str
    workers: int
    preload: bool
    queue: int  # requests that may wait, 0: the server's default
    streams: bool  # request bodies go to the application while they come
    port: int
    scratch: str  # a directory of this one server, for its own files
    certificate: str  # PEM file with the key in it; "": no TLS
    static: str  # what is to be served at /static/; empty: nothing

    @property
    def bind(self):
        """The address as HOST:PORT."""
        return f"{client.HOST}:{self.port}"

    @property
    def spec(self):
        """The application as MODULE:CALLABLE."""
        return f"{self.module}:{self.callable}"


@dataclass
class Kind:
    """A server the bench knows: its program, and the command for a launch."""

    name: str
    program: Optional[str]  # absolute path; None: not installed
    command: Callable[[str, Launch], list]
    missing: str  # what to say when program is None

    def argv(self, launch):
        """Return the command line that serves launch in the foreground."""
        return self.command(self.program, launch)


def environment(extra):
    """Return the environment servers start in: plain, the same for each.

    Nothing of the caller's virtualenv or PYTHON* settings gets through, and
    no server leaves bytecode files beside the applications.
    """
    plain = {"PATH": PATH, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("HOME", "TMPDIR"):
        if name in os.environ:
            plain[name] = os.environ[name]
    return plain | extra


def known(gowsgi):
    """Return {name: Kind} in the order of the tables; gowsgi is its binary."""
    kinds = [
        Kind("gowsgi", _executable(gowsgi), _gowsgi, f"no {gowsgi}: run make first"),
        Kind("uwsgi", _uwsgi_program(), _uwsgi, "apt: uwsgi uwsgi-plugin-python3"),
        Kind("gunicorn", _find("gunicorn"), _gunicorn_sync, "apt: gunicorn"),
        Kind("gthread", _find("gunicorn"), _gunicorn_gthread, "apt: gunicorn"),
        Kind("waitress", _find("waitress-serve"), _waitress, "apt: python3-waitress"),
        Kind(
            "mod_wsgi",
            _mod_wsgi_program(),
            _mod_wsgi,
            "apt: apache2 libapache2-mod-wsgi-py3",
        ),
        Kind("nginx", _find("nginx"), _nginx, "apt: nginx-light"),
    ]
    return {kind.name: kind for kind in kinds}


def _find(program):
    return shutil.which(program, path=PATH)


def _executable(path):
    path = os.path.abspath(path)
    return path if os.access(path, os.X_OK) else None


def _gowsgi(program, launch):
    argv = [program, "-w", str(launch.workers), "-b", launch.bind]
    if launch.preload:
        argv.append("--preload")
    if launch.certificate:
        argv += ["--certfile", launch.certificate]
    if launch.queue:
        argv += ["--max-queue", str(launch.queue)]
    if launch.static:
        argv += ["--static", f"/static={launch.static}"]
    if launch.streams:
        argv.append("--request-buffering=off")
    argv += ["--keep-alive", str(TRANSFER_SECONDS)]
    return [*argv, "--chdir", launch.folder, launch.spec]


def _uwsgi_program():
    plugin = "/usr/lib/uwsgi/plugins/python3_plugin.so"
    return _find("uwsgi") if os.path.exists(plugin) else None


def _uwsgi(program, launch):
    # It imports before it forks unless told --lazy-apps: always preloaded.
    return [
        program,
        *("--plugin", "python3"),
        *_uwsgi_listen(launch),
        *("--chdir", launch.folder),
        *("--module", launch.spec),
        *("--processes", str(launch.workers)),
        *("--listen", "1024"),
        "--master",
        "--need-app",
        "--disable-logging",
        "--die-on-term",
    ]


def _uwsgi_listen(launch):
    if launch.certificate:
        pem = launch.certificate
        # Its own router speaks TLS and keeps connections; the workers' socket
        # (--https-socket) keeps none.
        router = ("--plugin", "http", "--https", f"{launch.bind},{pem},{pem}")
        return (*router, "--http-keepalive=60", "--so-keepalive")
    return ("--http11-socket", launch.bind)


def _gunicorn_sync(program, launch):
    argv = [program, "--workers", str(launch.workers), "--bind", launch.bind]
    if launch.preload:
        argv.append("--preload")
    argv += ["--timeout", str(TRANSFER_SECONDS), "--log-level", "warning"]
    if launch.certificate:
        argv += ["--certfile", launch.certificate, "--keyfile", launch.certificate]
    return [*argv, "--chdir", launch.folder, launch.spec]


def _gunicorn_gthread(program, launch):
    argv = _gunicorn_sync(program, launch)
    return [*argv[:-1], "--worker-class", "gthread", "--threads", "4", argv[-1]]


def _waitress(program, launch):
    # One process by design: workers become its threads.
    return [
        program,
        f"--listen={launch.bind}",
        f"--threads={launch.workers}",
        f"--max-request-body-size={1 << 40}",
        launch.spec,
    ]


def _nginx(program, launch):
    # For static files only: it has no Python.
    config = os.path.join(launch.scratch, "nginx.conf")
    with open(config, "w") as out:
        out.write("\n".join(_nginx_lines(launch)) + "\n")
    return [program, "-c", config, "-p", launch.scratch]


def _nginx_lines(launch):
    """Return the smallest configuration that serves files at their best."""
    own = launch.scratch
    temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return [
        "daemon off;",
        f"worker_processes {launch.workers};",
        f"pid {own}/nginx.pid;",
        "error_log stderr;",
        "events { worker_connections 1024; }",
        "http {",
        "access_log off;",
        "sendfile on;",
        "tcp_nopush on;",
        "keepalive_requests 1000000000;",
        *(f"{name}_temp_path {own}/{name};" for name in temporary),
        f"server {{ listen {launch.bind};",
        f"location /static/ {{ alias {launch.static}/; }} }} }}",
    ]


def _mod_wsgi_program():
    module = "/usr/lib/apache2/modules/mod_wsgi.so"
    return _find("apache2") if os.path.exists(module) else None


def _mod_wsgi(program, launch):
    script = os.path.join(launch.scratch, "entry.wsgi")
    with open(script, "w") as entry:
        entry.write(f"from {launch.module} import {launch.callable} as application\n")
    config = os.path.join(launch.scratch, "httpd.conf")
    with open(config, "w") as out:
        out.write("\n".join(_httpd_lines(launch, script)) + "\n")
    return [program, "-D", "FOREGROUND", "-f", config]


def _httpd_lines(launch, script):
    """Return the smallest httpd configuration that serves launch in daemon mode."""
    modules = "/usr/lib/apache2/modules"
    return [
        f"ServerRoot {launch.scratch}",
        f"DefaultRuntimeDir {launch.scratch}",
        f"PidFile {launch.scratch}/httpd.pid",
        "ErrorLog /dev/stderr",
        "LogLevel warn",
        f"ServerName {client.HOST}",
        f"Listen {launch.bind}",
        f"LoadModule mpm_event_module {modules}/mod_mpm_event.so",
        f"LoadModule authn_core_module {modules}/mod_authn_core.so",
        f"LoadModule authz_core_module {modules}/mod_authz_core.so",
        f"LoadModule wsgi_module {modules}/mod_wsgi.so",
        *_httpd_account(),
        *_httpd_tls(launch, modules),
        "KeepAlive On",
        "MaxKeepAliveRequests 0",
        "LimitRequestBody 0",
        f"Timeout {TRANSFER_SECONDS}",
        "WSGIScriptReloading Off",
        f"WSGISocketPrefix {launch.scratch}/wsgi",
        f"WSGIDaemonProcess bench processes={launch.workers} threads=1 "
        f"home={launch.folder} python-path={launch.folder}",
        "WSGIProcessGroup bench",
        "WSGIApplicationGroup %{GLOBAL}",
        f"WSGIScriptAlias / {script}",
    ]


def _httpd_tls(launch, modules):
    if not launch.certificate:
        return []
    return [
        f"LoadModule ssl_module {modules}/mod_ssl.so",
        f"LoadModule http2_module {modules}/mod_http2.so",
        "Protocols h2 http/1.1",
        "SSLEngine on",
        f"SSLCertificateFile {launch.certificate}",
        f"SSLCertificateKeyFile {launch.certificate}",
    ]


def _httpd_account():
    """Return the User and Group lines; httpd refuses to serve as root."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam("www-data")
    return [f"User {user.pw_name}", f"Group {grp.getgrgid(user.pw_gid).gr_name}"]
