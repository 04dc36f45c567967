"""Resource use and accuracy of smtp-check: lines of the table of benches/peers.

measure.py memory PID HTTP_PORT CHECKS
measure.py memory-http2 PID HTTP_PORT CHECKS
measure.py accuracy HTTP_PORT SLOW_PORT IN_FLIGHT CHECKS
measure.py startup PROGRAM TIMES
"""

import asyncio
import http.client
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time


def line(what, measured, goal="", met=None):
    print(f"| {what} | {measured} | {goal} | {'' if met is None else 'met' if met else 'missed'} |")


class Caller:
    """A kept-alive connection to the service."""

    async def open(self, port):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        return self

    def ask(self, **parameters):
        body = json.dumps({"to": "probe@example.com", "target": "127.0.0.1", **parameters})
        head = f"POST /v1/checks/smtp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write((head + body).encode())

    async def ask_health(self):
        self.writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await self.answer()

    async def answer(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.startswith("http/1.1 200"), head
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        return json.loads(await self.reader.readexactly(length))


def resident(pid):
    """In KiB."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(row.split()[1]) for row in status if row.startswith("VmRSS:"))


async def silent_server():
    """A silent server, its port, and its connections."""
    held = []

    async def silent(_, writer):
        held.append(writer)

    server = await asyncio.start_server(silent, "127.0.0.1", 0, backlog=1024)
    return server, server.sockets[0].getsockname()[1], held


async def until_held(held, checks):
    async with asyncio.timeout(30):
        while len(held) < checks:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    assert len(held) == checks


async def memory(pid, http_port, checks):
    """All checks are in flight at a silent server. The connections of their clients are opened before."""
    callers = []
    server, port, held = await silent_server()
    empty = resident(pid)
    for _ in range(checks):
        callers.append(await Caller().open(http_port))
        await callers[-1].ask_health()
    connected = resident(pid)
    for caller in callers:
        caller.ask(port=port, timeout_ms=60000)
    await until_held(held, checks)
    full = resident(pid)
    for writer in [caller.writer for caller in callers] + held:
        writer.transport.abort()
    server.close()
    each, caller, check = ((more - less) / checks for more, less in [(full, empty), (connected, empty), (full, connected)])
    split = f"{each:.1f} KiB: {check:.1f} of the check with what HTTP buffers for it, {caller:.1f} of a caller between two requests"
    line(f"memory per check in flight, {checks} of them, each over its own HTTP/1.1 connection, a silent server", split, "≤ 16 KiB", each <= 16)


async def memory_http2(pid, http_port, checks):
    """The same with clients that share connections over HTTP/2."""
    server, port, held = await silent_server()
    with tempfile.NamedTemporaryFile("w") as body:
        json.dump({"to": "probe@example.com", "target": "127.0.0.1", "port": port, "timeout_ms": 60000}, body)
        body.flush()
        empty = resident(pid)
        callers = subprocess.Popen(
            ["h2load", f"--requests={checks}", f"--clients={checks // 200}", "--max-concurrent-streams=200", f"--data={body.name}",
             "--header=content-type: application/json", f"http://127.0.0.1:{http_port}/v1/checks/smtp"],
            stdout=subprocess.DEVNULL)
        try:
            await until_held(held, checks)
            each = (resident(pid) - empty) / checks
        finally:
            callers.kill()
            callers.wait()
    for writer in held:
        writer.transport.abort()
    server.close()
    what = f"memory per check in flight, {checks} of them, 200 to an HTTP/2 connection, a silent server"
    line(what, f"{each:.1f} KiB", "≤ 16 KiB", each <= 16)


async def accuracy(http_port, slow_port, in_flight, checks):
    """Each reply has its delay in µs; the rest of the time of a phase is the error."""
    errors, left = [], iter(range(checks))

    async def work():
        caller = await Caller().open(http_port)
        for _ in left:
            caller.ask(port=slow_port)
            report = await caller.answer()
            assert report["outcome"] == "delivered", report
            for phase in report["phases"]:
                if phase["name"] in ("banner", "ehlo", "mailfrom", "rcptto", "data", "body"):
                    errors.append(phase["time_ms"] * 1000 - int(phase["message"]))
        caller.writer.close()

    await asyncio.gather(*(work() for _ in range(in_flight)))
    p99 = statistics.quantiles(errors, n=100)[98]
    what = f"error of a phase's time, {in_flight} in flight, {len(errors)} phases of 5 to 30 ms"
    line(what, f"median {statistics.median(errors):.0f} µs, p99 {p99:.0f} µs")


def startup(program, times):
    def once():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        begun = time.perf_counter()
        child = subprocess.Popen([program, "serve", f"--listen=127.0.0.1:{port}"], stderr=subprocess.DEVNULL)
        try:
            while True:
                assert child.poll() is None and time.perf_counter() - begun < 10, "it does not start"
                try:
                    service = http.client.HTTPConnection("127.0.0.1", port)
                    service.request("GET", "/healthz")
                    assert service.getresponse().status == 200
                    return (time.perf_counter() - begun) * 1000
                except ConnectionRefusedError:
                    time.sleep(0.0005)
        finally:
            child.terminate()
            child.wait()

    taken = statistics.median(once() for _ in range(times))
    line(f"start-up to the first answer, median of {times}", f"{taken:.0f} ms", "< 50 ms", taken < 50)


match sys.argv[1:]:
    case ["memory", *numbers]:
        asyncio.run(memory(*map(int, numbers)))
    case ["memory-http2", *numbers]:
        asyncio.run(memory_http2(*map(int, numbers)))
    case ["accuracy", *numbers]:
        asyncio.run(accuracy(*map(int, numbers)))
    case ["startup", program, times]:
        startup(program, int(times))
    case _:
        sys.exit(__doc__)
