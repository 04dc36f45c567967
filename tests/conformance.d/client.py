"""Code of a user of the generated Python client. `mypy --strict` checks it too: an unneeded `type: ignore` is an error."""

import json
import os
from uuid import UUID

from smtp_check_client import AuthenticatedClient, Client
from smtp_check_client.api.checks import run_check
from smtp_check_client.api.service import version
from smtp_check_client.models import CheckRequest, FailureKind, Outcome, Phase, Problem, ProblemType, Report, Version
from smtp_check_client.types import Unset

URL = os.environ["CONFORMANCE_URL"]
CHECK = CheckRequest.from_dict(json.loads(os.environ["CONFORMANCE_CHECK"]))
client = AuthenticatedClient(base_url=URL, token=os.environ["CONFORMANCE_TOKEN"])


def delivered() -> None:
    report = run_check.sync(client=client, body=CHECK)
    assert isinstance(report, Report), report
    assert report.outcome is Outcome.DELIVERED and report.failure is None
    identity: UUID = report.id
    assert identity.version == 7

    first = report.phases[0]
    assert first.name is Phase.CONNECT
    time: float = first.time_ms  # type: ignore[assignment]  # a phase that never ended has none
    assert time >= 0
    assert not isinstance(report.metrics.banner_time, Unset)
    banner: float = report.metrics.banner_time
    assert banner > 0

    names = report.tls.chain[0].names  # type: ignore[union-attr]  # a check without TLS has no chain
    assert "localhost" in names
    assert report.capabilities.after_tls is not None
    assert "AUTH" in report.capabilities.after_tls


def rejected() -> None:
    body = CheckRequest.from_dict({**CHECK.to_dict(), "to": "nobody@sandbox.test"})
    report = run_check.sync(client=client, body=body)
    assert isinstance(report, Report) and report.failure is not None, report
    kind: FailureKind = report.failure.kind
    assert kind is FailureKind.REJECTED and report.failure.phase is Phase.RCPTTO
    code: int = report.failure.code  # type: ignore[assignment]  # not every failure is a reply
    assert code == 550 and report.failure.enhanced_code == "5.1.1"


def invalid() -> None:
    problem = run_check.sync(client=client, body=CheckRequest(to="nobody", port=0))
    assert isinstance(problem, Problem), problem
    problem_type: ProblemType = problem.type_
    assert problem_type is ProblemType.INVALID_PARAMETERS
    assert not isinstance(problem.errors, Unset)
    pointers: list[str] = [violation.pointer for violation in problem.errors]
    assert pointers == ["/port", "/to"], problem


def unauthorized() -> None:
    answer = run_check.sync_detailed(client=Client(base_url=URL), body=CHECK)
    assert answer.status_code == 401
    assert isinstance(answer.parsed, Problem) and answer.parsed.type_ is ProblemType.UNAUTHORIZED


def without_a_token() -> None:
    answer = version.sync(client=Client(base_url=URL))
    assert isinstance(answer, Version) and answer.name == "smtp-check"


for case in (delivered, rejected, invalid, unauthorized, without_a_token):
    case()
print("the Python client works")
