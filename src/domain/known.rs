//! [`Survey`]: all that is known of a domain when its check has ended. The report and the findings are made of it.

use std::sync::Arc;

use super::{exchangers::Surveyed, records::StsFound};
use crate::{
    check::DomainCheck,
    mail_dns::{dkim, dmarc, mx::MailHosts, spf, tls_rpt},
    net::lookup::ResolverState,
    report::domain::SenderReport,
};

/// What the domain publishes beside its MX records.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) spf: spf::Spf,
    pub(super) dmarc: dmarc::Dmarc,
    pub(super) dkim: Vec<(String, dkim::Selector)>,
    pub(super) tls_rpt: tls_rpt::TlsRpt,
    pub(super) mta_sts: StsFound,
    pub(super) senders: Vec<SenderReport>,
}

/// All that is known when every part has ended.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) check: Arc<DomainCheck>,
    pub(super) resolver: ResolverState,
    pub(super) mx: MailHosts,
    pub(super) surveyed: Vec<Surveyed>,
    pub(super) published: Published,
}
