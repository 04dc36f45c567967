"""Holds the document against the started service, and runs the clients generated of it."""

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
# Of a hundred answers of the main door, so many at the least: else what was sent was not worth sending.
FAIR_SHARE = {"200": 15, "403": 3, "422": 15}


def main() -> None:
    generate_clients()
    with serve(guarded=True) as service:
        run_clients(service)
        with_token = schemathesis(service, f"--header=Authorization: Bearer {TOKEN}", guarded=True)
        total = sum(count for answer, count in with_token.items() if answer.startswith(CHECKS_DOOR))
        for status, share in FAIR_SHARE.items():
            assert 100 * with_token[f"{CHECKS_DOOR} {status}"] >= share * total, f"too few answers were {status}"
        # Without a token nobody learns which methods a door has.
        without = schemathesis(service, "--max-examples=10", "--exclude-checks=unsupported_method")
        assert not without[f"{CHECKS_DOOR} 200"]
    with serve(guarded=False) as service:
        schemathesis(service, "--max-examples=20")


def run(*command: Any, **environment: str) -> None:
    # Whatever proxy other hosts may need, the service is here.
    subprocess.run(command, check=True, cwd=HERE, env={**os.environ, "no_proxy": "*", "NO_PROXY": "*", **environment})


def schemathesis(service: Service, *options: str, guarded: bool = False) -> Counter[str]:
    """Sends what the document describes and what it excludes to every door, and returns how often each door gave which status."""
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
    """Generates both, and has the types of those who use them checked."""
    generator = [PYTHON / "openapi-python-client", "generate", "--meta=none", "--overwrite", "--fail-on-warning"]
    # It asks for ruff by its name.
    path = f"{PYTHON}:{os.environ['PATH']}"
    run(*generator, f"--path={DOCUMENT}", f"--output-path={GENERATED / 'smtp_check_client'}", PATH=path)
    run(PYTHON / "mypy", "--strict", "--follow-imports=silent", "--no-incremental", "client.py", MYPYPATH=str(GENERATED))
    # By default it takes a parameter that has a default for one that has to be given.
    run(NODE / "openapi-typescript", DOCUMENT, f"--output={GENERATED / 'schema.d.ts'}", "--default-non-nullable=false")
    run(NODE / "tsc")


def run_clients(service: Service) -> None:
    facts = {"CONFORMANCE_URL": service.url, "CONFORMANCE_CHECK": json.dumps(service.check), "CONFORMANCE_TOKEN": TOKEN}
    run(sys.executable, "client.py", PYTHONPATH=str(GENERATED), **facts)
    run("node", GENERATED / "js/client.js", **facts)


main()
