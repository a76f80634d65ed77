"""What the bench asks of a server itself, from the client's side of the socket.

wrk does the timed small requests; this file does what wrk cannot: one request
with its body verified, one gigabyte down, one gigabyte up.
"""

import http.client
import socket
import ssl
import time

MIB = 1 << 20
HOST = "127.0.0.1"


class ExchangeError(Exception):
    """The server answered, but not what was asked for, or not in HTTP."""


def get(port, path, timeout=10.0, secure=False):
    """Return (status, body) of one GET on a connection of its own, secure: under TLS.

    Raises ExchangeError for an answer that is cut or no HTTP, OSError for the rest.
    """
    if secure:
        # The bench has made the certificate itself; there is nobody to doubt.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            HOST, port, timeout=timeout, context=context
        )
    else:
        connection = http.client.HTTPConnection(HOST, port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read()
    except http.client.HTTPException as err:
        raise ExchangeError(f"GET {path}: {err!r}") from err
    finally:
        connection.close()


def download(port, path, size, timeout=60.0):
    """GET path and return the seconds until its size bytes have arrived.

    The body is dropped as it comes: recv_into one buffer, nothing is kept.
    """
    buffer = bytearray(MIB)
    with socket.create_connection((HOST, port), timeout=timeout) as wire:
        begun = time.perf_counter()
        wire.sendall(_head("GET", path))
        status, length, got = _read_head(wire)
        if status != 200 or length != size:
            raise ExchangeError(
                f"GET {path} = {status} with Content-Length {length}, "
                f"want 200 with {size}"
            )
        got = len(got)
        while got < size:
            count = wire.recv_into(buffer, min(MIB, size - got))
            if count == 0:
                raise ExchangeError(f"GET {path} ended after {got} bytes of {size}")
            got += count
        return time.perf_counter() - begun


def upload(port, path, size, timeout=60.0):
    """POST size bytes to path and return the seconds until the answer is read.

    The application answers with the number of bytes it has read.
    """
    block = bytes(min(MIB, size))
    with socket.create_connection((HOST, port), timeout=timeout) as wire:
        begun = time.perf_counter()
        wire.sendall(_head("POST", path, size))
        broken = _send_blocks(wire, block, size)
        try:
            status, length, body = _read_head(wire)
        except OSError:
            raise broken or ExchangeError(f"POST {path} was not answered") from None
        while len(body) < (length or 0):
            more = wire.recv(4096)
            if not more:
                break
            body += more
        if status != 200 or body.strip() != str(size).encode():
            raise ExchangeError(
                f"POST {path} = {status} {body[:80]!r}, want 200 {str(size)!r}"
            )
        return time.perf_counter() - begun


def _send_blocks(wire, block, size):
    """Send size bytes; return the OSError that ended it early, or None.

    A server that refuses the body answers and closes: the answer says more
    than the broken pipe does, so the caller reads it first.
    """
    left = memoryview(block)
    sent = 0
    try:
        while sent < size:
            part = left[: size - sent]
            wire.sendall(part)
            sent += len(part)
    except OSError as broken:
        return broken
    return None


def _head(method, path, length=None):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", "Connection: close"]
    if length is not None:
        lines += [
            f"Content-Length: {length}",
            "Content-Type: application/octet-stream",
        ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _read_head(wire):
    """Return (status, Content-Length or None, first bytes of the body)."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = wire.recv(65536)
        if not more:
            raise ExchangeError(f"connection closed inside the head {data[:80]!r}")
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    status_line, *fields = head.split(b"\r\n")
    length = None
    for field in fields:
        name, _, value = field.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return int(status_line.split()[1]), length, body
