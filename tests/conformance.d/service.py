"""The service under test: `smtp-check demo`, whose sandbox mail server is the only host that a check can reach."""

import hashlib
import json
import os
import re
import socket
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

PROGRAM = Path(__file__).resolve().parents[2] / "target/debug/smtp-check"
TOKEN = "open sesame"


@dataclass(frozen=True)
class Service:
    url: str
    # The parameters of a check of the sandbox that delivers, as `demo` shows them.
    check: dict[str, Any]


@contextmanager
def serve(*, guarded: bool) -> Iterator[Service]:
    """Nothing leaves loopback, whatever names and addresses are generated: no name exists, and all other networks are forbidden."""
    with nowhere() as dns, tempfile.NamedTemporaryFile("w") as tokens:
        command = [PROGRAM, "demo", "--listen=127.0.0.1:0", f"--dns-server={dns}", "--log-format=json"]
        command += ["--target-deny=0.0.0.0/0,::/0", "--target-allow=127.0.0.0/8", "--max-timeout=5s"]
        if guarded:
            tokens.write(f"conformance:{hashlib.sha256(TOKEN.encode()).hexdigest()}\n")
            tokens.flush()
            command.append(f"--tokens-file={tokens.name}")
        program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"]})
        try:
            check = json.loads(first(program.stdout, r" -d '(.*)'$"))
            url = "http://" + first(program.stderr, r'"listening","address":"([^"]+)"')
            for stream in (program.stdout, program.stderr):
                # The log is not read, and must not fill a pipe.
                threading.Thread(target=stream.read, daemon=True).start()
            yield Service(url, check)
        finally:
            program.kill()
            program.wait()


def first(lines: Any, pattern: str) -> str:
    for line in lines:
        if found := re.search(pattern, line):
            return found[1]
    raise SystemExit(f"the service ended before it said {pattern}")


@contextmanager
def nowhere() -> Iterator[str]:
    """A DNS server without names."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dns:
        dns.bind(("127.0.0.1", 0))

        def answer() -> None:
            while True:
                query, caller = dns.recvfrom(4096)
                end = 12
                while query[end]:
                    end += 1 + query[end]
                # The id; flags of a response with NXDOMAIN; one question and no records; the question (RFC 1035, section 4.1).
                dns.sendto(query[:2] + b"\x81\x83\0\1" + bytes(6) + query[12 : end + 5], caller)

        threading.Thread(target=answer, daemon=True).start()
        yield "%s:%d" % dns.getsockname()
