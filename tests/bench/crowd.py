"""Many clients of one server: as many as it likes, or more than it can serve.

wrk asks again when it is answered, so the server sets the pace. A crowd that
comes on its own time, however long the queue is already, is what overloads.
"""

import asyncio
import resource
import time
from dataclasses import dataclass, field

import client

PATIENCE = 10.0  # seconds after which an answer is of no use to anyone


@dataclass
class Tally:
    """What a crowd got within the time it was there for."""

    seconds: float
    good: int = 0  # answers 200 that came within PATIENCE
    refused: int = 0  # answers 503
    failed: int = 0  # anything else
    waits: list = field(default_factory=list)  # seconds, of the good ones

    @property
    def rate(self):
        """Good answers a second."""
        return self.good / self.seconds

    def p99(self):
        """Return the seconds that 99 of 100 good answers took at most."""
        ranked = sorted(self.waits)
        return ranked[len(ranked) * 99 // 100] if ranked else 0.0


def patient(port, path, connections, seconds):
    """Return the Tally of clients that ask again when they are answered."""
    return asyncio.run(_gather(port, path, seconds, connections, None))


def impatient(port, path, rate, seconds):
    """Return the Tally of rate requests a second, whatever becomes of them."""
    allow_descriptors(int(rate * seconds) + 256)
    return asyncio.run(_gather(port, path, seconds, 0, rate))


def allow_descriptors(wanted):
    """Raise the limit of open files of this process, and of what it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _gather(port, path, seconds, connections, rate):
    crowd = _Crowd(port, path, Tally(seconds))
    begun = time.perf_counter()
    if rate is None:
        tasks = [
            asyncio.create_task(crowd.again_until(begun + seconds))
            for _ in range(connections)
        ]
    else:
        tasks = await crowd.come(begun, rate, seconds)
    left = begun + seconds - time.perf_counter()
    if left > 0:
        await asyncio.wait(tasks, timeout=left)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    crowd.leave()
    return crowd.tally


class _Crowd:
    """Clients that share connections: one that is answered serves the next."""

    def __init__(self, port, path, tally):
        self.tally = tally
        self._port = port
        self._request = (f"GET {path} HTTP/1.1\r\nHost: {client.HOST}\r\n\r\n").encode()
        self._idle = []
        self._open = set()

    async def again_until(self, end):
        """Ask, one request after the other."""
        while time.perf_counter() < end:
            await self.ask()

    async def come(self, begun, rate, seconds):
        """Start a task for each request as it is due; return them all."""
        tasks = []
        for number in range(int(rate * seconds)):
            due = begun + number / rate
            late = due - time.perf_counter()
            # Sleeping for less than the clock's grain would only fall behind.
            if late > 0.001:
                await asyncio.sleep(late)
            tasks.append(asyncio.create_task(self.ask()))
        return tasks

    async def ask(self):
        """Make one request and count what becomes of it."""
        begun = time.perf_counter()
        try:
            status = await asyncio.wait_for(self._exchange(), PATIENCE)
        except (OSError, EOFError, ValueError, asyncio.TimeoutError):
            self.tally.failed += 1
            return
        if status == 200:
            self.tally.good += 1
            self.tally.waits.append(time.perf_counter() - begun)
        elif status == 503:
            self.tally.refused += 1
        else:
            self.tally.failed += 1

    async def _exchange(self):
        """Return the status of one GET; the connection is kept if it may be."""
        if self._idle:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection(client.HOST, self._port)
            self._open.add(writer)
        kept = False
        try:
            writer.write(self._request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(_field(head, b"content-length"))
            kept = b"\r\nconnection: close\r\n" not in head
            return int(head.split(None, 2)[1])
        finally:
            if kept:
                self._idle.append((reader, writer))
            else:
                self._open.discard(writer)
                writer.close()

    def leave(self):
        """Close what is open."""
        for writer in self._open:
            writer.close()


def _field(head, name):
    """Return a numeric field of a lower-case head; ValueError without it."""
    _, found, rest = head.partition(b"\r\n" + name + b":")
    if not found:
        raise ValueError(f"no {name.decode()} in {head[:200]!r}")
    return int(rest.partition(b"\r\n")[0])
