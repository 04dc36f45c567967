"""Peak memory of the service under the worst mixes of callers and servers. Started by benches/memory.

usage: measure.py [MIX...]"""

import asyncio
import json
import os
import resource
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time

MAX_MIB = 256
# Connections that the service may have by default, fewer where the system allows fewer files.
FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
CONNECTIONS = min(1152, (FILES - 200) // 2)
CHECKS = 1024
# Streams of an HTTP/2 connection that the service allows: the first 104 connections have many, the others few.
MANY_STREAMS = 256
STREAMS = 32
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# How long a mix lasts after its last request, and with it at the most, in seconds.
SETTLE_TIME = 2
MAX_TIME = 60
HALF_BODY = b"POST /v1/checks/smtp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1048576\r\n\r\n"
# As many fields of a header as there may be.
FIELDS = [(chr(97 + number % 26) + chr(97 + number // 26), "") for number in range(96)]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Service:
    def __init__(self, *args):
        self.port = free_port()
        command = [os.environ["SMTP_CHECK_BIN"], "serve", "--listen", f"127.0.0.1:{self.port}", *args]
        env = {k: v for k, v in os.environ.items() if not k.startswith("SMTP_CHECK_")} | {"RUST_LOG": "error"}
        self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(400):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit("the service does not start")

    def peak_mib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024

    def stop(self):
        alive = self.process.poll() is None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        return alive


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def text(value):
    """A string literal of HPACK (RFC 7541, section 5.2)."""
    value, length = value.encode(), b""
    rest = len(value) - 127
    while rest >= 128:
        length, rest = length + bytes([rest % 128 + 128]), rest // 128
    return (bytes([len(value)]) if len(value) < 127 else b"\x7f" + length + bytes([rest])) + value


def header_block(method, path, more=()):
    # Static table of HPACK: GET, POST; http; literals for path, authority and the rest.
    block = (b"\x82" if method == "GET" else b"\x83") + b"\x86\x04" + text(path) + b"\x01" + text("127.0.0.1")
    return block + b"".join(b"\x10" + text(name) + text(value) for name, value in more)


def preface(window):
    return PREFACE + frame(4, 0, 0, struct.pack("!HI", 4, window))


def get(stream, path):
    return frame(1, 5, stream, header_block("GET", path))


def begin_post(stream, more=()):
    """A request whose body does not come."""
    return frame(1, 4, stream, header_block("POST", "/v1/checks/smtp", [("content-type", "application/json"), *more]))


def post(stream, body):
    return begin_post(stream) + frame(0, 1, stream, body)


def target(number):
    """Checks of one address are limited, so there are many."""
    return f"127.1.{number // 250 % 250}.{1 + number % 250}"


def check(number, port, **more):
    parameters = {"to": "a@b.test", "target": target(number), "port": port, "transcript": True, "timeout_ms": 30000}
    return json.dumps(parameters | more).encode()


async def connect(service, tls=None):
    for _ in range(50):
        try:
            # The caller reads as little as it may.
            return await asyncio.open_connection("127.0.0.1", service.port, limit=1024, ssl=tls, server_hostname="x" if tls else None)
        except OSError:
            await asyncio.sleep(0.05)
    raise SystemExit("no connection")


async def send_all(service, count, data, tls=None):
    """So many connections that send this, and read nothing but what is in their buffer."""
    callers = []
    for begin in range(0, count, 100):
        callers += await asyncio.gather(*(connect(service, tls) for _ in range(begin, min(begin + 100, count))))
    for number, (reader, writer) in enumerate(callers):
        if not tls:
            reader._transport.pause_reading()
        writer.write(data(number) if callable(data) else data)
        if number % 50 == 0:
            await asyncio.sleep(0)
    return callers


def big(code, octet=b"\x01", size=63 * 1024):
    lines = []
    while size > 0:
        lines.append(min(8000, size))
        size -= lines[-1]
    end = len(lines) - 1
    return b"".join(code + (b" " if at == end else b"-") + octet * length + b"\r\n" for at, length in enumerate(lines))


async def talkative(reader, writer):
    """A server whose replies are as long as they may be."""
    try:
        writer.write(big(b"220"))
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                writer.write(big(b"354"))
                while await reader.readline() not in (b".\r\n", b""):
                    pass
                writer.write(big(b"250"))
            elif verb == b"QUIT":
                writer.write(big(b"221"))
                break
            else:
                writer.write(big(b"250"))
    except (OSError, ValueError, asyncio.CancelledError):
        pass
    writer.close()


async def endless(reader, writer):
    """A server that says as much as it may, and does not end its last reply."""
    try:
        writer.write(big(b"220", b"x"))
        for _ in range(3):
            await reader.readline()
            writer.write(big(b"250", b"x"))
        writer.write(big(b"250", b"x")[:-10])
        await reader.read(1 << 20)
        await asyncio.sleep(60)
    except (OSError, asyncio.CancelledError):
        pass


async def silent(reader, writer):
    try:
        await reader.read(1)
    except (OSError, asyncio.CancelledError):
        pass
    writer.close()


async def serve_smtp(handler):
    server = await asyncio.start_server(handler, "0.0.0.0", 0, backlog=4096)
    return server.sockets[0].getsockname()[1]


async def nothing(service):
    await send_all(service, 1, b"")


async def idle_http1(service):
    return await send_all(service, CONNECTIONS, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")


async def half_headers(service):
    return await send_all(service, CONNECTIONS, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 16000)


async def idle_http2(service):
    return await send_all(service, CONNECTIONS, preface(65535) + get(1, "/healthz"))


async def half_bodies(service):
    return [
        await send_all(service, CONNECTIONS // 2, HALF_BODY + b" " * 4000),
        await send_all(service, 256, HALF_BODY + b" " * 1048000),
    ]


async def unread(service, window, path, connections=512, streams=MANY_STREAMS):
    requests = b"".join(get(2 * number + 1, path) for number in range(streams))
    return await send_all(service, connections, preface(window) + requests)


async def unread_http1(service):
    bundle = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    metrics = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    return await send_all(service, CONNECTIONS, lambda number: (bundle if number % 2 else metrics) * 30)


async def unread_reports(service, window):
    port, callers = await serve_smtp(talkative), []
    for _ in range(2):
        for connection in range(CHECKS // STREAMS):
            callers += await send_all(service, 1, preface(window))
            for number in range(STREAMS):
                callers[-1][1].write(post(2 * number + 1, check(number + STREAMS * connection, port)))
            await asyncio.sleep(0.1)
        await asyncio.sleep(2)
    return callers


async def unread_events(service):
    port = await serve_smtp(talkative)
    def requests(connection):
        head = [("content-type", "application/json"), ("accept", "text/event-stream")]
        return preface(1) + b"".join(
            frame(1, 4, 2 * n + 1, header_block("POST", "/v1/checks/smtp", head)) + frame(0, 1, 2 * n + 1, check(n + STREAMS * connection, port))
            for n in range(STREAMS))
    return await send_all(service, CHECKS // STREAMS, requests)


async def endless_dialogues(service):
    port = await serve_smtp(endless)
    def request(number):
        body = check(number, port)
        return b"POST /v1/checks/smtp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    callers = await send_all(service, CHECKS, request)
    await asyncio.sleep(6)
    return callers


async def no_bodies(service, connections, streams, more=(), begun=b""):
    requests = b"".join(begin_post(2 * number + 1, more) + (begun and frame(0, 0, 2 * number + 1, begun)) for number in range(streams))
    return await send_all(service, connections, preface(65535) + requests)


async def refused_streams(service, allowed):
    """As many streams as are allowed to some connections, and 224 beyond, each with a byte of a body: the service resets them twice."""
    requests = b"".join(get(2 * number + 1, "/healthz") for number in range(allowed))
    requests += b"".join(begin_post(2 * number + 1) + frame(0, 0, 2 * number + 1, b" ") for number in range(allowed, allowed + 224))
    return await send_all(service, CONNECTIONS, preface(65535) + requests)


async def endless_headers(service):
    """Literals of 80 KB, in as many CONTINUATION frames as are allowed."""
    value = text("x" * 80000)
    block = header_block("GET", "/healthz") + b"\x10\x01x" + value
    frames = [frame(1 if at == 0 else 9, 0, 1, block[at:at + 16000]) for at in range(0, 80000, 16000)]
    return await send_all(service, CONNECTIONS, preface(65535) + b"".join(frames))


async def kept_buffers(service):
    """Entries of a few bytes in the table of HPACK, each in a frame of 15 KB, which the library keeps for it."""
    long = b"\x10" + text("p") + text("x" * 15000)
    requests = b"".join(frame(1, 5, 2 * number + 1, header_block("GET", "/healthz") + long + b"\x40\x01a\x01b") for number in range(110))
    return await send_all(service, min(CONNECTIONS, 512), preface(65535) + requests)


async def waiting_checks(service, count):
    """Checks of a server that says nothing."""
    port = await serve_smtp(silent)
    def request(number):
        body = check(number, port)
        return b"POST /v1/checks/smtp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    return await send_all(service, count, request)


async def checks_beside_streams(service):
    """On each connection a check of a server that says nothing, and requests whose bodies do not come."""
    port = await serve_smtp(silent)
    bodies = b"".join(begin_post(2 * number + 1) for number in range(1, 256))
    return await send_all(service, CHECKS, lambda number: preface(65535) + post(1, check(number, port)) + bodies)


async def quarters(service):
    """A part of the connections each: unread reports, bodies that do not come, checks that wait, and idle ones."""
    return [
        await waiting_checks(service, CHECKS // 2),
        await unread_reports(service, 0),
        await no_bodies(service, CONNECTIONS // 4, 12, FIELDS),
        await send_all(service, 256, HALF_BODY + b" " * 1000000),
        await send_all(service, CONNECTIONS // 4, preface(65535) + get(1, "/healthz")),
    ]


async def everything(service):
    return [
        await endless_dialogues(service),
        await unread(service, 1, "/metrics"),
        await unread(service, 0, "/docs/swagger-ui-bundle.js"),
        await half_bodies(service),
    ]


def identity(folder):
    key, certificate = os.path.join(folder, "key.pem"), os.path.join(folder, "cert.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=x".split()
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return ["--tls-cert", certificate, "--tls-key", key]


async def over_tls(service, data):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return await send_all(service, min(CONNECTIONS, 2000), data, context)


GET_BUNDLE = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
MIXES = {
    "nothing": nothing,
    "idle connections, HTTP/1.1": idle_http1,
    "headers half sent": half_headers,
    "idle connections, HTTP/2": idle_http2,
    "bodies half sent": half_bodies,
    "/docs, no window": lambda service: unread(service, 0, "/docs/swagger-ui-bundle.js"),
    "/docs, window of one byte": lambda service: unread(service, 1, "/docs/swagger-ui-bundle.js"),
    "/openapi.json, window of one byte": lambda service: unread(service, 1, "/openapi.json"),
    "/metrics, window of one byte": lambda service: unread(service, 1, "/metrics"),
    "/healthz, no window, every connection": lambda service: unread(service, 0, "/healthz", CONNECTIONS),
    "not read, HTTP/1.1": unread_http1,
    "reports of long dialogues, no window": lambda service: unread_reports(service, 0),
    "reports of long dialogues, window of one byte": lambda service: unread_reports(service, 1),
    "live events of long dialogues, window of one byte": unread_events,
    "checks of servers that never end": endless_dialogues,
    "bodies that do not come, 12 streams each": lambda service: no_bodies(service, CONNECTIONS, 12),
    "bodies that do not come, 256 streams each": lambda service: no_bodies(service, CONNECTIONS, 256),
    "bodies that do not come, 100 fields, 12 streams each": lambda service: no_bodies(service, CONNECTIONS, 12, FIELDS),
    "bodies that stop, 100 streams each": lambda service: no_bodies(service, CONNECTIONS, 100, begun=b" " * 40),
    "bodies that stop, 256 streams each": lambda service: no_bodies(service, CONNECTIONS, 256, begun=b" " * 40),
    "streams beyond the limit of 32, with bodies": lambda service: refused_streams(service, STREAMS),
    "streams beyond the limit of 256, with bodies": lambda service: refused_streams(service, MANY_STREAMS),
    "/healthz, 256 streams at once, every connection": lambda service: unread(service, 65535, "/healthz", CONNECTIONS, 256),
    "a check and 255 bodies that do not come, each": checks_beside_streams,
    "headers of 80 KB that do not end, HTTP/2": endless_headers,
    "buffers kept by the table of HPACK": kept_buffers,
    "a quarter each: reports, bodies, checks, idle": quarters,
    "several of these": everything,
    "idle connections, TLS": lambda service: over_tls(service, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    "bodies that do not come, 12 streams each, TLS": lambda service: over_tls(service, preface(65535) + b"".join(begin_post(2 * n + 1) for n in range(12))),
    "not read, TLS": lambda service: over_tls(service, GET_BUNDLE * 3),
}


async def measure(name, service):
    async with asyncio.timeout(MAX_TIME):
        callers = await MIXES[name](service)
        await asyncio.sleep(SETTLE_TIME)
    return callers, service.peak_mib()


def main():
    wanted = sys.argv[1:] or MIXES
    print(f"| callers and servers ({CONNECTIONS} connections) | peak RSS | |\n|---|---|---|", flush=True)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for name in wanted:
            # Over loopback without tokens: the caller is whoever reaches the service.
            service = Service(*(identity(folder) if "TLS" in name else []))
            try:
                _, peak = asyncio.run(measure(name, service))
            finally:
                alive = service.stop()
            met = alive and peak < MAX_MIB
            failed |= not met
            print(f"| {name} | {peak:.0f} MiB | {'met' if met else 'missed' if alive else 'died'} |", flush=True)
    sys.exit(failed)


main()
