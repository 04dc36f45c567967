//! `demo`: the service together with a sandbox mail server, and a first check of that server.

use std::{error::Error, net::SocketAddr, process::ExitCode};

use serde_json::{Map, Value, json};
use tokio::signal::unix::Signal;
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
use tower::ServiceExt;

use super::{
    build,
    healthcheck::reachable,
    output::{failure, json, print},
    serve::{Service, bind, check_clock},
};
use crate::{
    check::Check,
    config::{ServeSettings, invalid},
    os_error,
    probe::CheckJob,
    sandbox::{PASSWORD, RECIPIENTS, Sandbox, USER},
    telemetry::WorkerGuard,
    tls::TrustAnchors,
};

/// Starts both, runs the check, and serves until a signal stops it.
pub(super) async fn demo(
    settings: &ServeSettings,
    log: &WorkerGuard,
    hangup: Option<Signal>,
) -> Result<ExitCode, clap::Error> {
    if let Err(code) = check_clock() {
        return Ok(code);
    }
    let mut anchors = build::trust_anchors(&settings.target)?;
    // Before the sandbox: its keys take a while, and a port that is taken is the most common mistake.
    let listener = match bind(settings.service.listen).await {
        Ok(listener) => listener,
        Err(code) => return Ok(code),
    };
    let sandbox = match Sandbox::start(([127, 0, 0, 1], 0).into()).await {
        Ok(sandbox) => sandbox,
        Err(error) => {
            return Ok(failure(format_args!(
                "the sandbox mail server does not start: {}",
                os_error::of_system(&error)
            )));
        }
    };
    if let Err(error) = trust(&mut anchors, &sandbox) {
        return Ok(failure(format_args!("the sandbox's CA certificate cannot be used: {error}")));
    }
    let service = Service::new(settings, anchors, log)?;
    let access = ServiceAccess {
        address: reachable(listener.local_addr().unwrap_or(settings.service.listen)),
        has_tls: settings.service.tls_cert.is_some(),
        needs_token: settings.tokens_file.is_some(),
    };
    let parameters = parameters(&sandbox);
    let members = parameters.clone().into_iter().collect();
    let check = Check::parse(members, settings.modules.settings()).map_err(|error| invalid(&error.to_string()))?;
    let report = match service.probe.clone().oneshot(CheckJob::new(check)).await {
        Ok(report) => json(&report),
        Err(refusal) => return Ok(failure(format_args!("the check was not run: {refusal}"))),
    };
    print(introduction(&sandbox, &access, &report, &Value::Object(parameters).to_string()));
    Ok(service.run(listener, hangup).await)
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

/// How to reach the service.
struct ServiceAccess {
    address: SocketAddr,
    has_tls: bool,
    needs_token: bool,
}

fn introduction(sandbox: &Sandbox, access: &ServiceAccess, report: &str, body: &str) -> String {
    // -k, because the certificate is rarely for the address.
    let (curl, scheme) = if access.has_tls { ("curl -sSk", "https") } else { ("curl -sS", "http") };
    let origin = format!("{scheme}://{}", access.address);
    let (token, header) = if access.needs_token {
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
