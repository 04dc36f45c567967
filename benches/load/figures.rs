//! The results as a Markdown table.

/// The lines of the table.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<Figure>);

#[derive(Debug)]
struct Figure {
    what: String,
    measured: String,
    goal: String,
    met: bool,
}

impl Figures {
    /// A figure with a goal.
    pub(crate) fn held_to(&mut self, what: impl Into<String>, measured: impl Into<String>, goal: &str, met: bool) {
        self.0.push(Figure { what: what.into(), measured: measured.into(), goal: goal.to_owned(), met });
    }

    /// A figure without a goal.
    pub(crate) fn told(&mut self, what: impl Into<String>, measured: impl Into<String>) {
        self.held_to(what, measured, "", true);
    }

    pub(crate) fn all_met(&self) -> bool {
        self.0.iter().all(|figure| figure.met)
    }

    pub(crate) fn print(&self) {
        println!("| what | measured | goal | |\n|---|---|---|---|");
        for Figure { what, measured, goal, met } in &self.0 {
            let verdict = match (goal.as_str(), met) {
                ("", _) => "",
                (_, true) => "met",
                (_, false) => "missed",
            };
            println!("| {what} | {measured} | {goal} | {verdict} |");
        }
    }
}

/// Times, in ms.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<f32>);

impl Times {
    pub(crate) fn push(&mut self, ms: f64) {
        self.0.push(ms as f32);
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The percentile: the smallest time that this share does not exceed; 0 where there are no times.
    pub(crate) fn percentile(&self, hundredths: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let rank = (sorted.len() * hundredths).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default().into()
    }

    /// Median and 99th percentile as text.
    pub(crate) fn shown(&self) -> String {
        format!("p50 {:.2} ms, p99 {:.2} ms", self.percentile(50), self.percentile(99))
    }
}
