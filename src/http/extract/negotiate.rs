//! Content negotiation: the format that a caller prefers (`Accept`, RFC 9110, section 12.5.1).

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header::ACCEPT, request::Parts},
};

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportFormat {
    /// One JSON document after the check. The default, also if the caller has no preference.
    Json,
    /// Server-sent events while the check runs.
    EventStream,
}

impl ReportFormat {
    fn of(headers: &HeaderMap) -> Self {
        if prefers(headers, "text/event-stream", "application/json") { Self::EventStream } else { Self::Json }
    }
}

impl<S: Sync> FromRequestParts<S> for ReportFormat {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

/// Whether the caller prefers OpenMetrics to Prometheus' older text format, which is the default.
pub(crate) fn prefers_open_metrics(headers: &HeaderMap) -> bool {
    prefers(headers, "application/openmetrics-text", "text/plain")
}

fn prefers(headers: &HeaderMap, wanted: &str, default: &str) -> bool {
    // Most callers accept everything alike.
    if headers.get_all(ACCEPT).iter().all(|value| value == "*/*") {
        return false;
    }
    let ranges = || headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    let preference = |media_type| ranges().filter_map(|range| Preference::of(range, media_type)).max();
    let rank = preference(wanted).map(Preference::by_rank);
    rank.is_some_and(|rank| rank.0 > 0 && Some(rank) > preference(default).map(Preference::by_rank))
}

/// How much a caller prefers a media type. The most specific range that covers the type decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Preference {
    specificity: u8,
    /// The weight `q`, in thousandths.
    weight: u16,
}

impl Preference {
    /// The preference that a media range gives the type. `None`: it does not cover the type, or is malformed.
    fn of(range: &str, media_type: &str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        let range = parts.next()?.to_ascii_lowercase();
        let (kind, _) = media_type.split_once('/')?;
        let specificity = match range.split_once('/')? {
            _ if range == media_type => 2,
            (of_kind, "*") if of_kind == kind => 1,
            ("*", "*") => 0,
            _ => return None,
        };
        let q = parts.find_map(|parameter| parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q=")));
        Some(Self { specificity, weight: q.map_or(Some(1000), weight)? })
    }

    /// Order of two types: by weight; of two with equal weight, the one with the more specific range.
    fn by_rank(self) -> (u16, u8) {
        (self.weight, self.specificity)
    }
}

/// Parses a `qvalue`: from 0 to 1, with up to three decimals.
fn weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if !["0", "1"].contains(&whole) || decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{whole}{decimals:0<3}").parse().ok()?;
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stream_must_be_preferred() {
        for (accept, events) in [
            (&[][..], false),
            (&["*/*"], false),
            (&["application/json"], false),
            (&["text/event-stream"], true),
            (&["Text/Event-Stream; charset=utf-8"], true),
            (&["text/event-stream, */*"], true),
            (&["text/event-stream;q=0.9, */*;q=0.1"], true),
            (&["text/event-stream", "application/json;q=0.9"], true),
            (&["application/json;q=0.5,text/event-stream;q=0.501"], true),
            (&["text/*"], true),
            (&["text/*, application/json"], false),
            // What a browser sends for a page; and equal weights.
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], false),
            (&["application/json, text/event-stream"], false),
            (&["application/json, text/event-stream;q=0.5"], false),
            (&["*/*, text/event-stream;q=0.5"], false),
            (&["text/event-stream;q=0"], false),
            (&["text/event-stream;q=0.000, application/json;q=0"], false),
            // The more specific range decides, even if its weight is lower.
            (&["text/*, text/event-stream;q=0.1, application/json;q=0.2"], false),
            // A malformed range is ignored.
            (&["text/event-stream;q=2"], false),
            (&["text/event-stream;q=high"], false),
            (&["event-stream, text"], false),
            (&["text/html"], false),
        ] {
            let headers = accept.iter().map(|value| (ACCEPT, value.parse().expect("a header value"))).collect();
            assert_eq!(ReportFormat::of(&headers) == ReportFormat::EventStream, events, "{accept:?}");
        }
    }

    #[test]
    fn weights_are_thousandths() {
        for (text, thousandths) in
            [("1", Some(1000)), ("1.000", Some(1000)), ("0.5", Some(500)), ("0.", Some(0)), ("0.001", Some(1))]
        {
            assert_eq!(weight(text), thousandths, "{text}");
        }
        for text in ["", "2", "1.001", "0.0001", "-1", ".5", "0,5", "1e0", "0.+1"] {
            assert_eq!(weight(text), None, "{text}");
        }
    }
}
