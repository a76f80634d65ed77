"""Clients that take their time: a byte a second in either direction, or none.

They run in a thread of the bench; a second has few of their bytes in it.
"""

import selectors
import socket
import threading
import time

import client
import crowd

BODY = 100_000  # bytes that a slow sender announces and never gets to send
RECEIVE = 4096  # bytes the kernel may hold for a slow reader


class Slow:
    """Slow senders and readers that come and leave together; a with block."""

    def __init__(self, port, count, path):
        crowd.allow_descriptors(2 * count + 256)
        self._port = port
        self._count = count
        self._path = path
        self._all = []  # (socket, whether it sends)
        self._stop = threading.Event()
        self._thread = None
        self._gone = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()

    def come(self):
        """Connect them all, each with its request under way, and let them be slow."""
        host = f"Host: {client.HOST}\r\n"
        send = f"POST / HTTP/1.1\r\n{host}Content-Length: {BODY}\r\n\r\n"
        read = f"GET {self._path} HTTP/1.1\r\n{host}\r\n"
        for _ in range(self._count):
            self._all.append((connect(self._port, send), True))
            self._all.append((connect(self._port, read, RECEIVE), False))
        self._stop.clear()
        self._thread = threading.Thread(target=self._trickle)
        self._thread.start()

    def leave(self):
        """Close them all."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None
        for sock, _ in self._all:
            sock.close()
        self._all = []

    def missing(self):
        """Return how many were turned away while they were there."""
        return self._gone

    def _trickle(self):
        while not self._stop.wait(1):
            for sock, sends in self._all:
                try:
                    if sends:
                        sock.send(b"s")
                    elif sock.recv(1) == b"":
                        self._gone += 1
                except BlockingIOError:
                    pass
                except OSError:
                    self._gone += 1


class Idle:
    """Connections that were served one request each; a with block."""

    def __init__(self, port, most, path):
        crowd.allow_descriptors(most + 256)
        self._port = port
        self._request = f"GET {path} HTTP/1.1\r\nHost: {client.HOST}\r\n\r\n"
        self._all = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in self._all:
            sock.close()

    def come(self, count):
        """Connect until there are count, and wait until each is answered."""
        while len(self._all) < count:
            fresh = [
                connect(self._port, self._request)
                for _ in range(min(100, count - len(self._all)))
            ]
            self._all += fresh
            with selectors.DefaultSelector() as waiting:
                for sock in fresh:
                    waiting.register(sock, selectors.EVENT_READ)
                deadline = time.monotonic() + crowd.PATIENCE
                while waiting.get_map() and time.monotonic() < deadline:
                    for key, _ in waiting.select(1):
                        key.fileobj.recv(65536)
                        waiting.unregister(key.fileobj)

    def missing(self):
        """Return how many the server has closed."""
        return sum(not alive(sock) for sock in self._all)


def alive(sock):
    """Return whether the other side has not closed the connection."""
    try:
        return sock.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def connect(port, request, receive=0):
    """Return a connection on which the request was sent; it does not block."""
    sock = socket.socket()
    if receive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    sock.connect((client.HOST, port))
    sock.sendall(request.encode())
    sock.setblocking(False)
    return sock
