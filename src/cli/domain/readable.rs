//! The report of a domain as text for people: verdicts, a table of hosts, addresses and senders, then the findings.

use std::fmt::{self, Display, Formatter, Write};

use crate::{
    cli::style::{BAD, GOOD, TextStyle},
    config::in_flags,
    escape::Escaped,
    mail_dns::{State, Verdict},
    report::{
        Finding,
        domain::{AddressReport, DomainReport, RecordReport, Views},
    },
};

/// Where the values begin, and the further rows of a long one, in columns.
const INDENT: usize = 15;
/// The width of a column of the table.
const VIEW_WIDTH: usize = 14;

/// Shows a report. What the domain and its servers say is escaped.
pub(super) struct Readable<'a> {
    pub(super) report: &'a DomainReport,
    pub(super) style: TextStyle,
}

impl Display for Readable<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write_lines(&mut text)?;
        let mut rows = text.lines().flat_map(|line| self.style.wrapped(line, INDENT));
        rows.try_for_each(|row| writeln!(f, "{row}"))
    }
}

impl Readable<'_> {
    /// One line for each fact, however long.
    fn write_lines(&self, f: &mut String) -> fmt::Result {
        let report = self.report;
        let counts: Vec<_> = report.counts.iter().filter(|(_, count)| **count > 0).collect();
        let counts: Vec<_> = counts.iter().map(|(severity, count)| format!("{count} {severity}")).collect();
        let counts = if counts.is_empty() { "nothing found".to_owned() } else { counts.join(", ") };
        writeln!(f, "{}: {counts} ({:.0} ms)", Escaped(&report.domain), report.duration_ms)?;
        writeln!(f, "  {:11}  {}", "senders", self.views(&report.verdict))?;
        let dns = &report.dns;
        let records = [
            ("MX", &dns.mx),
            ("SPF", &dns.spf.record),
            ("DMARC", &dns.dmarc.record),
            ("MTA-STS", &dns.mta_sts.record),
            ("TLS-RPT", &dns.tls_rpt),
        ];
        for (name, record) in records {
            writeln!(f, "  {name:<11}  {}", record_line(record))?;
        }
        for key in &dns.dkim {
            writeln!(f, "  {:<11}  {}: {}", "DKIM", Escaped(&key.selector), record_line(&key.record))?;
        }
        self.write_table(f)?;
        for difference in &report.differences {
            write!(f, "  {:<11}  {}:", "differ in", difference.of)?;
            for value in &difference.values {
                let addresses: Vec<_> = value.addresses.iter().map(ToString::to_string).collect();
                write!(f, " {} ({});", Escaped(&value.value), addresses.join(", "))?;
            }
            writeln!(f)?;
        }
        for Finding { id, severity, subject, message, remedy, .. } in &report.findings {
            writeln!(f, "  {:<12} {id} {}: {}", severity.name(), Escaped(subject), Escaped(message))?;
            if !remedy.is_empty() {
                writeln!(f, "  {:11}  {}", "", Escaped(&in_flags(remedy)))?;
            }
        }
        Ok(())
    }

    fn write_table(&self, f: &mut String) -> fmt::Result {
        if self.report.hosts.is_empty() {
            return Ok(());
        }
        let names = self.report.hosts.iter().map(|host| host.name.chars().count());
        let addresses = self.report.hosts.iter().flat_map(|host| &host.addresses);
        let addresses = addresses.map(|seen| seen.address.to_string().len() + 2);
        let longest = names.chain(addresses).max().unwrap_or_default();
        let width = longest.min(self.style.width.saturating_sub(3 * VIEW_WIDTH + 4)).max(8);
        writeln!(f)?;
        let heading = ["opportunistic", "MTA-STS", "DANE"].map(|view| format!("{view:<VIEW_WIDTH$}")).concat();
        writeln!(f, "  {:width$}  {}", "", heading.trim_end())?;
        for host in &self.report.hosts {
            let reason = host.reason.as_deref();
            self.write_row(f, &Escaped(&host.name).to_string(), width, &host.views, reason)?;
            for seen in &host.addresses {
                let reason = seen.refusal.as_deref().or_else(|| failure(seen));
                self.write_row(f, &format!("  {}", seen.address), width, &seen.views, reason)?;
            }
        }
        writeln!(f)
    }

    fn write_row(&self, f: &mut String, name: &str, width: usize, views: &Views, reason: Option<&str>) -> fmt::Result {
        let name = self.style.cut(name, width);
        let columns: Vec<_> = [views.opportunistic, views.mta_sts, views.dane]
            .into_iter()
            .map(|verdict| {
                let padding = " ".repeat(VIEW_WIDTH - word(verdict).len());
                self.verdict(verdict) + &padding
            })
            .collect();
        writeln!(f, "  {name:width$}  {}", columns.concat().trim_end())?;
        match reason {
            Some(reason) => writeln!(f, "  {:11}  {}", "", Escaped(reason)),
            None => Ok(()),
        }
    }

    fn views(&self, views: &Views) -> String {
        let named = [("opportunistic", views.opportunistic), ("MTA-STS", views.mta_sts), ("DANE", views.dane)];
        named.map(|(name, verdict)| format!("{name} {}", self.verdict(verdict))).join(", ")
    }

    fn verdict(&self, verdict: Verdict) -> String {
        match verdict {
            Verdict::Ok => self.style.paint(GOOD, word(verdict)),
            Verdict::Fail => self.style.paint(BAD, word(verdict)),
            Verdict::Inconclusive | Verdict::NotApplicable => word(verdict).to_owned(),
        }
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Fail => "fail",
        Verdict::Inconclusive => "inconclusive",
        Verdict::NotApplicable => "-",
    }
}

/// Why the session with an address failed, in the first line of what is said about it.
fn failure(seen: &AddressReport) -> Option<&str> {
    seen.report.as_ref()?.failure.as_ref()?.message.lines().next()
}

fn record_line(record: &RecordReport) -> String {
    let state = match record.state {
        State::Ok => "",
        State::Absent => "none",
        State::Invalid => "invalid: ",
        State::Inconclusive => "inconclusive: ",
        State::NotTested => "not tested: ",
    };
    let reason = record.reason.as_deref().map(|reason| Escaped(reason).to_string()).unwrap_or_default();
    let records: Vec<_> = record.records.iter().map(|record| Escaped(record).to_string()).collect();
    let text = [format!("{state}{reason}"), records.join("; ")];
    text.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}
