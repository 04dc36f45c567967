"""What schemathesis cannot know: which values lead to the sandbox, so that checks really run, and what the events of a stream hold."""

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

# Of events, by their names.
DATA = {"begin": "PhaseStart", "phase": "PhaseReport", "report": "Report"}

# Validators: of the document's schemas, and of the parameters of a check.
schemas: dict[str, Any] = {}
properties: dict[str, Any] = {}
answers: Counter[str] = Counter()
atexit.register(lambda: Path(os.environ["CONFORMANCE_ANSWERS"]).write_text(json.dumps(answers)))


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    if GUARDED:
        # The document says that a token may be asked for. This service does ask.
        doors = [door for methods in raw_schema["paths"].values() for door in methods.values()]
        for secured in [raw_schema, *doors]:
            if len(secured.get("security", [])) > 1:
                secured["security"].remove({})
    for methods in raw_schema["paths"].values():
        for door in methods.values():
            if stream := door["responses"].get("200", {}).get("content", {}).get("text/event-stream"):
                # Here it is event by event; to OpenAPI 3.1, a stream is one string.
                stream["schema"] = {"type": "object", "required": ["event", "data"]}
    for name, schema in raw_schema["components"]["schemas"].items():
        schemas[name] = jsonschema_rs.validator_for({**schema, "components": raw_schema["components"]})
    for name, schema in raw_schema["components"]["schemas"]["CheckRequest"]["properties"].items():
        properties[name] = jsonschema_rs.validator_for({**schema, "components": raw_schema["components"]})


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    chance = Random(json.dumps([case.body, case.query], default=str))
    accept(case, chance)
    # The other half stays as it was made up.
    if chance.random() < 0.5:
        return
    if case.operation.label == CHECKS_DOOR and isinstance(case.body, dict):
        lead_to_sandbox(case.body, chance)
    if isinstance(case.query.get("target"), str):
        case.query["target"] = f"{CHECK['target']}:{CHECK['port']}"


def accept(case: Any, chance: Random) -> None:
    """Asks for each form of the answer that the door has."""
    responses = case.operation.definition.raw["responses"]
    forms = [form for status, response in responses.items() if status == "200" for form in response.get("content", {})]
    # A touched header would make schemathesis forget which header it had left out.
    if len(forms) > 1 and not case.meta.generation.mode.is_negative:
        case.headers["Accept"] = chance.choice(forms)


def lead_to_sandbox(body: dict[str, Any], chance: Random) -> None:
    """Gives every parameter that fits its schema a value that fits all other rules as well. What does not fit stays, and is then
    the only thing that can be wrong."""

    def fits(name: str) -> bool:
        return name not in body or properties[name].is_valid(body[name])

    def put(name: str, value: Any) -> None:
        if fits(name):
            # Numbers and booleans are taken as strings, too. The document has to say so, or this is a wrong that is let pass.
            as_text = isinstance(value, (bool, int)) and chance.random() < 0.2
            body[name] = str(value).lower() if as_text else value

    put("to", f"{chance.choice(RECIPIENTS)}@sandbox.test")
    put("target", FORBIDDEN if chance.random() < 0.2 else CHECK["target"])
    put("port", CHECK["port"])
    put("sasl_user", CHECK["sasl_user"])
    put("sasl_password", CHECK["sasl_password"])
    put("starttls", chance.random() < 0.7)
    known = {
        "ehlo": "conformance.test",
        "from": chance.choice(["", "conformance@sandbox.test"]),
        "implicit_tls": False,
        "ip_family": "ipv4",
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
    for name in ("proxy_source_address", "proxy_dest_address"):
        if fits(name):
            body.pop(name, None)


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
            schemas[DATA[fields["event"]]].validate(json.loads(fields["data"]))
    answers[f"live {case.operation.label}"] += 1
