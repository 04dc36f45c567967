//! JSON log lines: one object per line, with the fields on top.
//!
//! They are as tracing-subscriber writes them, but for two differences, and take a fifth of its instructions.
//!
//! - The Rust module is `module`: to an operator, the `target` of a line is the mail server.
//! - Characters that could disguise text on a terminal are `\u` escapes.

use std::fmt::{self, Debug, Write};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, format::Writer},
    registry::LookupSpan,
};

use crate::{
    clock, decimal,
    escape::{JsonText, escape_json},
    report::timestamp,
};

/// Bytes that most lines fit into.
const LINE_SIZE: usize = 512;

/// One JSON object per line.
#[derive(Debug)]
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::with_capacity(LINE_SIZE);
        let metadata = event.metadata();
        // None of these needs escapes.
        write!(line, r#"{{"timestamp":"{}","level":"{}""#, timestamp(clock::now()), metadata.level())?;
        event.record(&mut Fields(&mut line));
        if let Some(span) = context.lookup_current() {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>().map_or("{}", |fields| fields.as_str());
            let fields = escape_json(fields.trim_end_matches('}').to_owned());
            let separator = if fields.ends_with('{') { "" } else { "," };
            write!(line, r#","span":{fields}{separator}"name":"{}"}}"#, span.name())?;
        }
        writeln!(line, r#","module":"{}"}}"#, metadata.target())?;
        writer.write_str(&line)
    }
}

/// Writes fields as members of an object, after others.
struct Fields<'l>(&'l mut String);

impl Fields<'_> {
    fn name(&mut self, field: &Field) {
        self.0.extend([",\"", field.name(), "\":"]);
    }

    fn add(&mut self, field: &Field, value: impl fmt::Display) {
        self.name(field);
        // Writing to a `String` cannot fail.
        let _ = write!(self.0, "{value}");
    }

    fn add_text(&mut self, field: &Field, text: fmt::Arguments<'_>) {
        self.name(field);
        self.0.push('"');
        // A value that cannot show itself is shown in part.
        let _ = JsonText(self.0).write_fmt(text);
        self.0.push('"');
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        match serde_json::Number::from_f64(value) {
            Some(number) => self.add(field, number),
            None => self.add(field, "null"),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        decimal::push(self.0, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        self.0.push('"');
        // Writing to a `String` cannot fail.
        let _ = JsonText(self.0).write_str(value);
        self.0.push('"');
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add_text(field, format_args!("{value:?}"));
    }
}
