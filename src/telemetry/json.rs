//! JSON log lines: as tracing-subscriber writes them, with two differences.
//!
//! - The Rust module is `module`: to an operator, the `target` of a line is the mail server.
//! - Characters that could disguise text on a terminal are `\u` escapes.

use std::fmt;

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Json, Writer},
    },
    registry::LookupSpan,
};

use crate::escape::escape_json;

/// One JSON object per line.
#[derive(Debug)]
pub(super) struct JsonLines(Format<Json>);

impl JsonLines {
    pub(super) fn new() -> Self {
        Self(Format::default().json().flatten_event(true).with_span_list(false).with_target(false))
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        line.truncate(line.trim_end().strip_suffix('}').ok_or(fmt::Error)?.len());
        // The name of a module needs no escapes.
        let module = event.metadata().target();
        writeln!(writer, r#"{},"module":"{module}"}}"#, escape_json(line))
    }
}
