//! Prometheus' text format 0.0.4, which every scraper and `promtool` can read.
//!
//! The library writes OpenMetrics 1.0. Its samples are the same; only the `HELP` and `TYPE` of counters and infos
//! differ.

use std::fmt::{self, Write};

use prometheus_client::{encoding::text::encode_registry, registry::Registry};

/// The media type of the text that [`encode()`] returns.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes all metrics of a registry.
pub(super) fn encode(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode_registry(&mut text, registry)?;
    from_openmetrics(&text)
}

/// Gives `HELP` and `TYPE` the name of the samples: OpenMetrics leaves out `_total` and `_info` there.
fn from_openmetrics(text: &str) -> Result<String, fmt::Error> {
    let mut plain = String::with_capacity(text.len() + text.len() / 16);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) else {
            writeln!(plain, "{line}")?;
            continue;
        };
        let kind = lines.next_if(|line| line.starts_with("# TYPE ")).and_then(|line| line.rsplit(' ').next());
        let (suffix, kind) = match kind {
            Some("counter") => ("_total", "counter"),
            Some("info") => ("_info", "gauge"),
            Some("unknown") | None => ("", "untyped"),
            Some(kind) => ("", kind),
        };
        writeln!(plain, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}")?;
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::{
        counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info,
    };

    use super::*;

    #[test]
    fn help_and_type_have_the_name_of_the_samples() {
        let mut registry = Registry::with_prefix("a");
        let counters = Family::<[(&str, &str); 1], Counter>::default();
        counters.get_or_create(&[("of", "say \"x\"\n# TYPE forged counter")]).inc();
        registry.register("things", "All of them", counters);
        registry.register("now", "At the moment", Gauge::<i64>::default());
        registry.register("build", "Which", Info::new([("version", "1")]));
        registry.register("seconds", "How long", Histogram::new([0.5]));
        let expected = "\
# HELP a_things_total All of them.
# TYPE a_things_total counter
a_things_total{of=\"say \\\"x\\\"\\n# TYPE forged counter\"} 1
# HELP a_now At the moment.
# TYPE a_now gauge
a_now 0
# HELP a_build_info Which.
# TYPE a_build_info gauge
a_build_info{version=\"1\"} 1
# HELP a_seconds How long.
# TYPE a_seconds histogram
a_seconds_sum 0.0
a_seconds_count 0
a_seconds_bucket{le=\"0.5\"} 0
a_seconds_bucket{le=\"+Inf\"} 0
";
        assert_eq!(encode(&registry).expect("text"), expected);
    }
}
