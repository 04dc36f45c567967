"""Tests the document against the running service, and runs the clients that are generated from it."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from service import TOKEN, Service, serve

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parents[1] / "openapi/openapi.json"
GENERATED = HERE / ".generated"
PYTHON = Path(sys.executable).parent
NODE = HERE / "node_modules/.bin"
CHECKS_DOOR = "POST /v1/checks/smtp"
# Minimum share of each status, in percent of the responses of the main route: otherwise the requests were not useful.
FAIR_SHARE = {"200": 15, "403": 3, "422": 15}


def main() -> None:
    generate_clients()
    with serve(guarded=True) as service:
        run_clients(service)
        with_token = schemathesis(service, f"--header=Authorization: Bearer {TOKEN}", guarded=True)
        total = sum(count for answer, count in with_token.items() if answer.startswith(CHECKS_DOOR))
        for status, share in FAIR_SHARE.items():
            assert 100 * with_token[f"{CHECKS_DOOR} {status}"] >= share * total, f"too few answers were {status}"
        # Without a token, the methods of a route are not disclosed.
        without = schemathesis(service, "--max-examples=10", "--exclude-checks=unsupported_method")
        assert not without[f"{CHECKS_DOOR} 200"]
    with serve(guarded=False) as service:
        schemathesis(service, "--max-examples=20")


def run(*command: Any, **environment: str) -> None:
    # The service is local: no proxy.
    subprocess.run(command, check=True, cwd=HERE, env={**os.environ, "no_proxy": "*", "NO_PROXY": "*", **environment})


def schemathesis(service: Service, *options: str, guarded: bool = False) -> Counter[str]:
    """Sends valid and invalid requests to every route, and returns how often each route gave which status."""
    with tempfile.NamedTemporaryFile() as file:
        run(
            *(PYTHON / "st", "--config-file=schemathesis.toml", "run", DOCUMENT, f"--url={service.url}", *options),
            CONFORMANCE_ANSWERS=file.name,
            CONFORMANCE_CHECK=json.dumps(service.check),
            CONFORMANCE_GUARDED="yes" if guarded else "",
            PYTHONPATH=str(HERE),
        )
        answers = Counter(json.load(file))
    for answer, count in sorted(answers.items()):
        print(f"{count:6} × {answer}")
    return answers


def generate_clients() -> None:
    """Generates both clients, and checks the types of the code that uses them."""
    generator = [PYTHON / "openapi-python-client", "generate", "--meta=none", "--overwrite", "--fail-on-warning"]
    # It calls ruff by its name.
    path = f"{PYTHON}:{os.environ['PATH']}"
    run(*generator, f"--path={DOCUMENT}", f"--output-path={GENERATED / 'smtp_check_client'}", PATH=path)
    run(PYTHON / "mypy", "--strict", "--follow-imports=silent", "--no-incremental", "client.py", MYPYPATH=str(GENERATED))
    # By default it makes a parameter with a default a required one.
    run(NODE / "openapi-typescript", DOCUMENT, f"--output={GENERATED / 'schema.d.ts'}", "--default-non-nullable=false")
    run(NODE / "tsc")


def run_clients(service: Service) -> None:
    facts = {"CONFORMANCE_URL": service.url, "CONFORMANCE_CHECK": json.dumps(service.check), "CONFORMANCE_TOKEN": TOKEN}
    run(sys.executable, "client.py", PYTHONPATH=str(GENERATED), **facts)
    run("node", GENERATED / "js/client.js", **facts)


main()
