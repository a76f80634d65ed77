"""One request through a gowsgi built against the interpreter running this file.

usage: PYTHON .ci/smoke.py bin/gowsgi

The listening socket is made here and inherited (fd://N): its port is known and
a client may connect before the server is up, so nothing polls and nothing waits.
"""

import http.client
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile

APPLICATION = """
import platform
import sys


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield platform.python_version().encode() + b" "
    yield environ["wsgi.input"].read() + b" "
    yield sys.prefix.encode()
"""


def exchange(port):
    """Posts to the application and returns (status, body)."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    client.request("POST", "/", body=b"ping")
    response = client.getresponse()
    answer = response.status, response.read().decode()
    client.close()
    return answer


def main():
    binary = os.path.abspath(sys.argv[1])
    want = (200, "%s ping %s" % (platform.python_version(), sys.prefix))
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "smoke.py"), "w") as file:
            file.write(APPLICATION)
        with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
            port, fd = listener.getsockname()[1], listener.fileno()
            # A pyenv shim or a virtualenv of the caller must not answer instead.
            environ = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
            server = subprocess.Popen(
                [binary, "-b", "fd://%d" % fd, "--chdir", folder, "smoke"],
                pass_fds=[fd],
                env=environ,
            )
        try:
            got = exchange(port)
            server.send_signal(signal.SIGTERM)
            code = server.wait(timeout=60)
        finally:
            server.kill()
            server.wait()
    if got != want:
        sys.exit("smoke: answer = %r, want %r" % (got, want))
    if code != 0:
        sys.exit("smoke: exit code after SIGTERM = %d, want 0" % code)
    print("smoke: ok", platform.python_version())


if __name__ == "__main__":
    main()
