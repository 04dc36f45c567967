"""Hooks of schemathesis: values that lead to the sandbox, so that checks really run, and the validation of event streams."""

import atexit
import json
import os
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import jsonschema_rs
import schemathesis

CHECK = json.loads(os.environ["CONFORMANCE_CHECK"])
GUARDED = bool(os.environ.get("CONFORMANCE_GUARDED"))
CHECKS_DOOR = "POST /v1/checks/smtp"
RECIPIENTS = ["you", "nobody", "later", "full", "hangup"]
FORBIDDEN = "192.0.2.1"

# Validators of events, by name.
DATA = {"begin": "PhaseStart", "phase": "PhaseReport", "report": "Report"}
DATA_OF_DOMAINS = {"server": "AddressReport", "report": "DomainReport"}

# Validators: of the document's schemas, and of the parameters of a check.
schemas: dict[str, Any] = {}
properties: dict[str, Any] = {}
answers: Counter[str] = Counter()
atexit.register(lambda: Path(os.environ["CONFORMANCE_ANSWERS"]).write_text(json.dumps(answers)))


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    if GUARDED:
        # In the document a token is optional. This service requires it.
        operations = [operation for methods in raw_schema["paths"].values() for operation in methods.values()]
        for secured in [raw_schema, *operations]:
            if len(secured.get("security", [])) > 1:
                secured["security"].remove({})
    for methods in raw_schema["paths"].values():
        for operation in methods.values():
            if stream := operation["responses"].get("200", {}).get("content", {}).get("text/event-stream"):
                # Here a stream is checked event by event; in OpenAPI 3.1 it is one string.
                stream["schema"] = {"type": "object", "required": ["event", "data"]}
    for name, schema in raw_schema["components"]["schemas"].items():
        schemas[name] = jsonschema_rs.validator_for({**schema, "components": raw_schema["components"]})
    for name, schema in raw_schema["components"]["schemas"]["CheckRequest"]["properties"].items():
        properties[name] = jsonschema_rs.validator_for({**schema, "components": raw_schema["components"]})


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    chance = Random(json.dumps([case.body, case.query], default=str))
    accept(case, chance)
    # The other half stays as generated.
    if chance.random() < 0.5:
        return
    if case.operation.label == CHECKS_DOOR and isinstance(case.body, dict):
        lead_to_sandbox(case.body, chance)
    if isinstance(case.query.get("target"), str):
        case.query["target"] = f"{CHECK['target']}:{CHECK['port']}"


def accept(case: Any, chance: Random) -> None:
    """Requests each media type of the response."""
    responses = case.operation.definition.raw["responses"]
    forms = [form for status, response in responses.items() if status == "200" for form in response.get("content", {})]
    # After a change to the headers schemathesis no longer knows which header it had left out.
    if len(forms) > 1 and not case.meta.generation.mode.is_negative:
        case.headers["Accept"] = chance.choice(forms)


def lead_to_sandbox(body: dict[str, Any], chance: Random) -> None:
    """Replaces every parameter that matches its schema by a value that matches all other rules too. One that does not match is kept,
    and is then the only error."""

    def fits(name: str) -> bool:
        return name not in body or properties[name].is_valid(body[name])

    def put(name: str, value: Any) -> None:
        if fits(name):
            # Numbers and booleans are accepted as strings too. The document has to say so.
            as_text = isinstance(value, (bool, int)) and chance.random() < 0.2
            body[name] = str(value).lower() if as_text else value

    put("to", f"{chance.choice(RECIPIENTS)}@sandbox.test")
    put("target", FORBIDDEN if chance.random() < 0.2 else CHECK["target"])
    put("port", CHECK["port"])
    put("sasl_user", CHECK["sasl_user"])
    put("sasl_password", CHECK["sasl_password"])
    # `require` without TLS is an error of its own.
    put("starttls", chance.random() < 0.7 or body.get("tls_verify") == "require")
    known = {
        "ehlo": "conformance.test",
        "from": chance.choice(["", "conformance@sandbox.test"]),
        "implicit_tls": False,
        "ip_family": "ipv4",
        "message": {"subject": "conformance", "text": ".\u00e9\n", "from": "conformance@sandbox.test"},
        "payload": "Subject: conformance\r\n\r\n.\u00e9",
        "proxy_dest_port": 25,
        "proxy_source_port": 40000,
        "proxy_version": 1,
        "sasl_auth_id": "",
        "stop_after": chance.choice(["banner", "ehlo", "mailfrom", "rcptto", None]),
        "timeout_ms": 2000,
        "tls_server_name": "localhost",
    }
    for name, value in known.items():
        if name in body:
            put(name, value)
    # An expectation turns the outcome round. The last two name what only an operator's settings have.
    for name in ("proxy_source_address", "proxy_dest_address", "expect", "source_address", "tls_client_certificate"):
        if fits(name):
            body.pop(name, None)
    # These settings have no key, and a message takes the place of a payload.
    if fits("dkim"):
        body.pop("dkim", None)
    if "message" in body and fits("message") and fits("payload"):
        body.pop("payload", None)


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    answers[f"{case.operation.label} {response.status_code}"] += 1


@schemathesis.check
def what_can_run_runs(ctx: Any, response: Any, case: Any) -> None:
    body = case.body
    if case.operation.label != CHECKS_DOOR or not isinstance(body, dict):
        return
    is_led = str(body.get("port")) == str(CHECK["port"]) and body.get("target") in (CHECK["target"], FORBIDDEN)
    if is_led and schemas["CheckRequest"].is_valid(body) and response.status_code in (400, 422):
        raise AssertionError(f"every parameter was seen to, and yet: {response.text}")


@schemathesis.check
def events_carry_what_they_are_named_after(ctx: Any, response: Any, case: Any) -> None:
    if not response.headers.get("content-type", [""])[0].startswith("text/event-stream"):
        return
    for event in response.text.split("\n\n"):
        # A line that begins with a colon is a comment.
        if fields := dict(line.split(": ", 1) for line in event.splitlines() if not line.startswith(":")):
            event, data = fields["event"], json.loads(fields["data"])
            if case.operation.label == CHECKS_DOOR:
                schemas[DATA[event]].validate(data)
            elif event == "record":
                # The value has the schema of the member of `dns` with this name.
                assert set(data) == {"name", "value"}, data
            else:
                schemas[DATA_OF_DOMAINS[event]].validate(data)
    answers[f"live {case.operation.label}"] += 1
