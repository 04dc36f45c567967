"""The cost of a check beside many that wait. Started by benches/neighbours.

usage: measure.py PROGRAM CHECKS
"""

import asyncio
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

GOAL = 1.2
INSTRUCTION_CHECKS = 80
TIMED_CHECKS = 3000
STREAMS = 200


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for_port(port):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


class Service:
    def __init__(self, program, checks, wrapper=()):
        self.port = free_port()
        limit = str(checks + 16)
        command = [*wrapper, program, "serve", "--listen", f"127.0.0.1:{self.port}", "--max-timeout", "20m", "--max-checks", limit,
                   "--max-checks-per-target", limit]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SMTP_CHECK_")} | {"RUST_LOG": "error"}
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for_port(self.port)
        self.caller = http.client.HTTPConnection("127.0.0.1", self.port)

    def check(self, port):
        """Delivers a message. Returns the time in ms."""
        body = json.dumps({"to": "probe@example.com", "target": "127.0.0.1", "port": port})
        begun = time.perf_counter()
        self.caller.request("POST", "/v1/checks/smtp", body, {"Content-Type": "application/json"})
        report = json.loads(self.caller.getresponse().read())
        taken = (time.perf_counter() - begun) * 1000
        assert report["outcome"] == "delivered", report
        return taken

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Neighbours:
    """Checks that wait for the greeting of a silent server."""

    async def begin(self, service, checks):
        self.held = []

        async def silent(_, writer):
            self.held.append(writer)

        self.server = await asyncio.start_server(silent, "127.0.0.1", 0, backlog=4096)
        port = self.server.sockets[0].getsockname()[1]
        self.body = tempfile.NamedTemporaryFile("w")
        json.dump({"to": "probe@example.com", "target": "127.0.0.1", "port": port, "timeout_ms": 1_200_000}, self.body)
        self.body.flush()
        self.callers = subprocess.Popen(
            ["h2load", f"--requests={checks}", f"--clients={-(-checks // STREAMS)}", f"--max-concurrent-streams={STREAMS}", f"--data={self.body.name}",
             "--header=content-type: application/json", f"http://127.0.0.1:{service.port}/v1/checks/smtp"], stdout=subprocess.DEVNULL)
        try:
            async with asyncio.timeout(120):
                while len(self.held) < checks:
                    await asyncio.sleep(0.1)
        except TimeoutError:
            self.end()
            raise SystemExit(f"only {len(self.held)} of {checks} checks are in flight: the service needs two open files, and as many again for each") from None
        return self

    def end(self):
        self.callers.kill()
        self.callers.wait()
        for writer in self.held:
            writer.transport.abort()
        self.server.close()


async def instructions(program, sink, checks):
    """Per check, counted while they run, with this many neighbours."""
    with tempfile.TemporaryDirectory() as scratch:
        out, log = f"{scratch}/callgrind.out", f"{scratch}/valgrind.log"
        wrapper = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}", f"--log-file={log}"]
        service = Service(program, checks, wrapper)
        neighbours = await Neighbours().begin(service, checks) if checks else None
        for _ in range(10):
            service.check(sink)
        for command, checks_between in (("--instr=on", INSTRUCTION_CHECKS), ("--dump", 0)):
            subprocess.run(["callgrind_control", command, str(service.process.pid)], check=True, capture_output=True)
            for _ in range(checks_between):
                service.check(sink)
        with open(f"{out}.1") as counted:
            total = int(re.search(r"^totals: *(\d+)", counted.read(), re.M)[1])
        if neighbours:
            neighbours.end()
        service.process.kill()
        service.process.wait()
    return total / INSTRUCTION_CHECKS


async def times(program, sink, checks):
    """Median times in ms of two services in turn, the second of them with this many neighbours."""
    alone, beside = Service(program, checks), Service(program, checks)
    neighbours = await Neighbours().begin(beside, checks)
    for service in (alone, beside):
        for _ in range(100):
            service.check(sink)
    pairs = [(alone.check(sink), beside.check(sink)) for _ in range(TIMED_CHECKS)]
    neighbours.end()
    alone.stop()
    beside.process.kill()
    beside.process.wait()
    return [statistics.median(of_one) for of_one in zip(*pairs)]


async def main(program, checks):
    sink = free_port()
    as_user = ["-u", "nobody"] if os.getuid() == 0 else []
    server = subprocess.Popen(["smtp-sink", *as_user, f"127.0.0.1:{sink}", "1024"])
    try:
        wait_for_port(sink)
        rows = [
            ("instructions", await instructions(program, sink, 0), await instructions(program, sink, checks)),
            ("median time in ms", *await times(program, sink, checks)),
        ]
    finally:
        server.kill()
        server.wait()
    print(f"| of a delivery | alone | beside {checks} that wait | ratio | goal | |\n|---|---|---|---|---|---|")
    for what, alone, beside in rows:
        figures = f"{alone:,.3g} | {beside:,.3g}" if alone < 100 else f"{alone:,.0f} | {beside:,.0f}"
        print(f"| {what} | {figures} | {beside / alone:.2f} × | ≤ {GOAL} × | {'met' if beside / alone <= GOAL else 'missed'} |")
    return all(beside / alone <= GOAL for _, alone, beside in rows)


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main(sys.argv[1], int(sys.argv[2]))) else 1)
