"""The times of a report beside those of the packets.

measure.py check HTTP_PORT SMTP_PORT IN_FLIGHT CHECKS FIRST TLS    runs checks, each of an address of its own from 127.1.0.0 on; prints
                                                                  their reports, one a line
measure.py compare CAPTURE REPORTS                                 prints the errors of the phases, in µs
measure.py table DIRECTORY                                         prints the table of the errors in the files IN_FLIGHT.TLS.BUSY.CLOCK
"""

import asyncio
import json
import pathlib
import statistics
import struct
import sys
from ipaddress import IPv4Address

PHASES = ("ehlo", "mailfrom", "rcptto", "data", "body", "quit")


async def check(http_port, smtp_port, in_flight, checks, first, tls):
    """So many checks in flight, each with a connection to the service of its own."""
    left = iter(range(checks))
    longest = 10 if in_flight == 1 else in_flight

    async def work():
        reader, writer = await asyncio.open_connection("127.0.0.1", http_port)
        for number in left:
            body = json.dumps({"to": "probe@example.com", "target": str(IPv4Address("127.1.0.0") + first + number), "port": smtp_port,
                               "ehlo": f"d{longest}.test", "implicit_tls": tls, "timeout_ms": 30000})
            writer.write((f"POST /v1/checks/smtp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                          f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert head.startswith("http/1.1 200"), head
            report = await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
            assert json.loads(report)["outcome"] == "delivered", report
            print(json.dumps(json.loads(report)))
        writer.close()

    await asyncio.gather(*(work() for _ in range(in_flight)))


def packets(capture):
    """Time in ns, source, destination, source port, flags, sequence number, length and beginning of the payload of each TCP segment."""
    data = pathlib.Path(capture).read_bytes()
    unit = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1}[struct.unpack_from("<I", data)[0]]
    at = 24
    while at + 16 <= len(data):
        seconds, fraction, kept, _ = struct.unpack_from("<IIII", data, at)
        ip = at + 16 + 14
        at += 16 + kept
        tcp = ip + (data[ip] & 15) * 4
        total = struct.unpack_from(">H", data, ip + 2)[0]
        source, destination = data[ip + 12:ip + 16], data[ip + 16:ip + 20]
        port, sequence, offset, flags = struct.unpack_from(">H2xI4xBB", data, tcp)
        payload = tcp + (offset >> 4) * 4
        yield seconds * 10**9 + fraction * unit, source, destination, port, flags, sequence, total - (payload - ip), data[payload:at]


def records(payload):
    """The types of the TLS records that begin in this segment, as far as it was captured."""
    types = []
    while len(payload) >= 5:
        types.append(payload[0])
        payload = payload[5 + struct.unpack_from(">H", payload, 3)[0]:]
    return types


def conversations(capture):
    """For each server's address: when the SYN was sent, and the segments with octets, as (time, is the client's, payload)."""
    syns, segments, seen = {}, {}, set()
    for time, source, destination, port, flags, sequence, length, payload in packets(capture):
        by_client = source == b"\x7f\0\0\1"
        server = destination if by_client else source
        if by_client and flags & 2:
            syns.setdefault(server, time)
        # A segment that is sent again counts as it was sent first.
        if length > 0 and (source, port, sequence) not in seen:
            seen.add((source, port, sequence))
            segments.setdefault(server, []).append((time, by_client, payload))
    return {server: (syn, segments.get(server, [])) for server, syn in syns.items()}


def truth(syn, segments, tls):
    """The times of the phases in ns, by the packets: from the first segment of the command to the last of the reply before the next one."""
    commands = [at for at, (_, by_client, payload) in enumerate(segments) if by_client and (not tls or 23 in records(payload))]
    # TLS 1.3: the first record of application data is the client's Finished; the last one may be its close_notify.
    commands = commands[1:] if tls else commands
    greeting = [time for time, by_client, _ in segments[:commands[0]] if not by_client]
    times = {"banner": greeting[-1] - syn}
    for phase, begin, end in zip(PHASES, commands, commands[1:] + [len(segments)]):
        replies = [time for time, by_client, _ in segments[begin:end] if not by_client]
        # After QUIT comes the server's close_notify as well.
        if replies:
            times[phase] = (replies[0] if phase == "quit" else replies[-1]) - segments[begin][0]
    return times


def compare(capture, reports):
    known = conversations(capture)
    for line in open(reports):
        report = json.loads(line)
        server = IPv4Address(report["target"]["address"]).packed
        if server not in known:
            print("no packets of", report["target"]["address"], file=sys.stderr)
            continue
        times = truth(*known[server], report["tls"] is not None)
        for phase in report["phases"]:
            if phase["name"] in times and phase["time_ms"] is not None:
                print(f"{phase['time_ms'] * 1000 - times[phase['name']] / 1000:.1f} {phase['clock']} {phase['name']}")


def p99(errors):
    return errors[int(len(errors) * 0.99)]


def figure(error):
    return f"{error:.0f} µs" if error < 1000 else f"{error / 1000:.1f} ms"


def table(directory):
    """QUIT apart: a server closes right after its reply, and a read that takes both has the stamp of the FIN."""
    quits = {"kernel": [], "process": []}
    print("| in flight | TLS | busy loops | phases | kernel's clock: median | p99 | worst | process's clock: median | p99 | worst |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for in_flight in (1, 50, 200):
        for tls in ("no", "yes"):
            for busy in ("no", "yes"):
                cells, counts = [], []
                for clock in ("kernel", "process"):
                    rows = [row.split() for row in open(f"{directory}/{in_flight}.{tls}.{busy}.{clock}")]
                    errors = sorted(abs(float(error)) for error, _, phase in rows if phase != "quit")
                    quits[clock].append(p99(sorted(abs(float(error)) for error, _, phase in rows if phase == "quit")))
                    others = [row for row in rows if row[1] != clock]
                    if others:
                        print(f"{in_flight}.{tls}.{busy}: {len(others)} of {len(rows)} phases are not by the {clock}'s clock", file=sys.stderr)
                    counts.append(len(errors))
                    cells += [statistics.median(errors), p99(errors), errors[-1]]
                figures = " | ".join(figure(cell) for cell in cells)
                print(f"| {in_flight} | {tls} | {busy} | {min(counts)} | {figures} |")
    ranges = [f"{figure(min(values))} to {figure(max(values))} by the {clock}'s clock" for clock, values in quits.items()]
    print(f"\n`quit`, not in the table, p99: {', '.join(ranges)}")


match sys.argv[1:]:
    case ["check", *numbers, tls]:
        asyncio.run(check(*map(int, numbers), tls == "yes"))
    case ["compare", capture, reports]:
        compare(capture, reports)
    case ["table", directory]:
        table(directory)
    case _:
        sys.exit(__doc__)
