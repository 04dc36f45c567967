//! `demo`: the service beside a mail server of its own, and a first check of it, for whoever wants to see one.

use std::{error::Error, net::SocketAddr, process::ExitCode};

use serde_json::{Map, Value, json};
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
use tower::ServiceExt;

use super::{failure, healthcheck::reachable, json, print, serve::Parts, trust_anchors};
use crate::{
    check::Check,
    config::{Settings, invalid},
    probe::CheckJob,
    sandbox::{PASSWORD, RECIPIENTS, Sandbox, USER},
    telemetry::Log,
    tls::TrustAnchors,
};

/// Starts both, runs the check, and serves until a signal says stop.
pub(super) async fn demo(settings: &Settings, log: &Log) -> Result<ExitCode, clap::Error> {
    let mut anchors = trust_anchors(settings)?;
    let sandbox = match Sandbox::start(([127, 0, 0, 1], 0).into()).await {
        Ok(sandbox) => sandbox,
        Err(error) => return Ok(failure(format_args!("the sandbox mail server does not start: {error}"))),
    };
    if let Err(error) = trust(&mut anchors, &sandbox) {
        return Ok(failure(format_args!("the sandbox's CA is of no use: {error}")));
    }
    let parts = Parts::new(settings, anchors, log)?;
    let listener = match parts.bind().await {
        Ok(listener) => listener,
        Err(error) => return Ok(failure(format_args!("--listen: cannot listen on {}: {error}", settings.listen))),
    };
    let door = Door {
        address: reachable(listener.local_addr().unwrap_or(settings.listen)),
        has_tls: settings.tls_cert.is_some(),
        asks_for_token: settings.tokens_file.is_some(),
    };
    let parameters = parameters(&sandbox);
    let members = parameters.clone().into_iter().collect();
    let check = Check::parse(members, settings.max_timeout).map_err(|error| invalid(&error.to_string()))?;
    match parts.probe.clone().oneshot(CheckJob::new(check)).await {
        Ok(report) => print(introduction(&sandbox, &door, &json(&report), &Value::Object(parameters).to_string())),
        Err(refusal) => return Ok(failure(format_args!("the check was not run: {refusal}"))),
    }
    Ok(parts.run(listener).await)
}

fn trust(anchors: &mut TrustAnchors, sandbox: &Sandbox) -> Result<(), Box<dyn Error>> {
    Ok(anchors.add(CertificateDer::from_pem_slice(sandbox.ca_pem().as_bytes())?)?)
}

fn parameters(sandbox: &Sandbox) -> Map<String, Value> {
    let parameters = json!({
        "to": "you@sandbox.test",
        "target": sandbox.addr().ip().to_string(),
        "port": sandbox.addr().port(),
        "starttls": true,
        "tls_verify": "require",
        "sasl_authentication": "plain",
        "sasl_user": USER,
        "sasl_password": PASSWORD,
    });
    if let Value::Object(parameters) = parameters { parameters } else { Map::new() }
}

/// What whoever knocks at the service has to know.
struct Door {
    address: SocketAddr,
    has_tls: bool,
    asks_for_token: bool,
}

fn introduction(sandbox: &Sandbox, door: &Door, report: &str, body: &str) -> String {
    // Whom the certificate is for is not known here, and hardly for an address.
    let (curl, scheme) = if door.has_tls { ("curl -sSk", "https") } else { ("curl -sS", "http") };
    let origin = format!("{scheme}://{}", door.address);
    let (token, header) = if door.asks_for_token {
        (
            ", with one of your tokens in TOKEN; a browser takes it as the password",
            " -H \"Authorization: Bearer $TOKEN\"",
        )
    } else {
        ("", "")
    };
    let recipients: String = RECIPIENTS.iter().map(|(name, answer)| format!("  {name:8} {answer}\n")).collect();
    format!(
        "A sandbox mail server listens on {} (STARTTLS; AUTH as {USER}, password {PASSWORD}) and on {} (TLS from the start).\n\
         A check of it, just now:\n\n{report}\n\
         Run it again over HTTP{token}:\n\n\
         {curl} {origin}/v1/checks/smtp{header} -H 'Content-Type: application/json' -d '{body}'\n\n\
         Some recipients at sandbox.test have answers of their own:\n\n{recipients}\n\
         In a browser, {origin}/ runs checks, and {origin}/docs shows the API. Ctrl-C ends it all.\n",
        sandbox.addr(),
        sandbox.smtps_addr(),
    )
}
