//! Parts of the service, made from the settings. Each error names the flag.

use std::{net::IpAddr, sync::Arc};

use clap::Error;

use crate::{
    config::{TargetSettings, TelemetrySettings, invalid},
    destination::policy::{HostRules, TargetPolicy},
    domain::Surveyor,
    net::{
        dial::can_bind,
        lookup::DnsClient,
        resolve::{MAX_SOCKETS, Resolver},
    },
    probe::{self, Limits, Probe},
    telemetry::Traces,
    tls::{TlsClient, TrustAnchors},
};

pub(super) fn trust_anchors(settings: &TargetSettings) -> Result<TrustAnchors, Error> {
    TrustAnchors::load(settings.ca_file.as_deref()).map_err(|error| invalid(&format!("--ca-file: {error}")))
}

/// Makes sure that this machine has the addresses.
pub(super) fn check_source_addresses(addresses: &[IpAddr]) -> Result<(), Error> {
    addresses.iter().try_for_each(|address| {
        can_bind(*address).map_err(|error| invalid(&format!("--source-address: {address}: {error}")))
    })
}

pub(super) fn traces(settings: &TelemetrySettings) -> Result<Option<Traces>, Error> {
    let traces = settings.otlp_endpoint.as_ref().map(Traces::to).transpose();
    traces.map_err(|error| invalid(&format!("--otlp-endpoint: {error}")))
}

/// What runs checks of servers, and what looks at domains by it.
pub(super) fn probe(
    settings: &TargetSettings,
    resolver: Resolver,
    limits: Limits,
    anchors: TrustAnchors,
    traces: Option<&Traces>,
) -> Result<(Probe, Surveyor), Error> {
    let resolver = resolver.with_spare_sockets(limits.checks.div_ceil(2).max(MAX_SOCKETS));
    let (policy, tls) = (Arc::new(policy(settings)), TlsClient::new(anchors));
    let dns = dns_client(settings, resolver.clone())?;
    let probe = probe::probe(limits, resolver, Arc::clone(&policy), tls.clone());
    let probe = match traces {
        Some(traces) => probe::traced(probe, traces.tracer()),
        None => probe,
    };
    let surveyor = Surveyor::new(probe.clone(), dns, policy, tls, settings.mta_sts_port);
    Ok((probe, surveyor))
}

fn dns_client(settings: &TargetSettings, resolver: Resolver) -> Result<DnsClient, Error> {
    let Some(file) = &settings.dns_trust_anchor else { return Ok(DnsClient::new(resolver, settings.dnssec)) };
    let anchors = DnsClient::read_anchors(file)
        .map_err(|error| invalid(&format!("--dns-trust-anchor: {}: {error}", file.display())))?;
    Ok(DnsClient::with_anchors(resolver, settings.dnssec, anchors))
}

pub(super) fn resolver(settings: &TargetSettings) -> Resolver {
    match settings.dns_server.as_slice() {
        [] => Resolver::system(),
        servers => Resolver::with_servers(servers),
    }
}

fn policy(settings: &TargetSettings) -> TargetPolicy {
    let addresses = TargetPolicy::new(
        settings.target_deny.iter().copied(),
        settings.target_allow.iter().copied(),
        settings.target_ports.iter().copied(),
    );
    addresses.with_hosts(HostRules::new(
        settings.target_deny_host.iter().cloned(),
        settings.target_allow_host.iter().cloned(),
    ))
}
