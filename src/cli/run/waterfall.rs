//! Waterfall: the phases of a check as bars on a time scale, in text.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use super::reply_text::ReplyText;
use crate::cli::style::{BAD, GOOD, TextStyle};
use crate::report::{PhaseEvent, PhaseReport, PhaseStart};

/// Columns before the bar: mark, name, time.
const MARGIN_WIDTH: usize = 27;
/// The narrowest and the widest bar, in columns.
const BAR_WIDTH: std::ops::RangeInclusive<usize> = 10..=48;

const RUNNING: Style = AnsiColor::Cyan.on_default();

/// The phases of a check, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Waterfall(Vec<Row>);

#[derive(Debug)]
struct Row {
    start: PhaseStart,
    /// `None` while the phase is running.
    end: Option<PhaseReport>,
}

impl Waterfall {
    /// Adds the event.
    pub(super) fn update(&mut self, event: PhaseEvent) {
        match event {
            PhaseEvent::Began(start) => {
                // If several addresses are tried, only the last attempt is shown.
                self.0.retain(|row| row.end.is_some() || row.start.name != start.name);
                self.0.push(Row { start, end: None });
            }
            PhaseEvent::Ended(phase) => {
                if let Some(row) = self.0.iter_mut().rfind(|row| row.start.name == phase.name) {
                    row.end = Some(phase);
                }
            }
        }
    }

    /// The lines of the picture, `now_ms` milliseconds after the start of the check.
    pub(super) fn lines(&self, now_ms: f64, style: TextStyle) -> Vec<String> {
        self.0.iter().map(|row| row.line(now_ms, style)).collect()
    }
}

/// The line of an ended phase, without a bar.
pub(super) fn line(phase: &PhaseReport, style: TextStyle) -> String {
    let start = PhaseStart { name: phase.name, started_ms: phase.started_ms };
    Row { start, end: Some(phase.clone()) }.line(0.0, TextStyle { width: usize::MAX, ..style })
}

impl Row {
    fn line(&self, now_ms: f64, style: TextStyle) -> String {
        let (mark, colour, time) = match &self.end {
            None => (' ', RUNNING, "...".to_owned()),
            Some(phase) => {
                let time = phase.time_ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.3} ms"));
                if phase.expected.unwrap_or(phase.ok) { (' ', GOOD, time) } else { ('!', BAD, time) }
            }
        };
        let mut line = style.paint(colour, &format!("{mark} {:9}", self.start.name.name()));
        let _ = write!(line, " {time:>13}  ");
        let bar = if style.width == usize::MAX { 0 } else { bar_width(style.width) };
        if bar > 0 {
            line += &style.paint(colour, &self.bar(now_ms, bar, style));
            line += "  ";
        }
        let used = MARGIN_WIDTH + if bar > 0 { bar + 2 } else { 0 };
        let text = self.end.as_ref().map(|phase| ReplyText::from(phase).to_string()).unwrap_or_default();
        line += &style.cut(&text, style.width.saturating_sub(used));
        line.trim_end().to_owned()
    }

    /// A bar from the phase's start to its end, on a scale from 0 to `now_ms`.
    fn bar(&self, now_ms: f64, width: usize, style: TextStyle) -> String {
        let time = self.end.as_ref().and_then(|phase| phase.time_ms);
        let end_ms = time.map_or(now_ms, |time| self.start.started_ms + time);
        let (from, to) = (eighths(self.start.started_ms, now_ms, width), eighths(end_ms, now_ms, width));
        // It starts at a whole column, so that the thinnest bar is visible.
        let from = (from / 8).min(width - 1);
        let to = to.max(from * 8 + 1);
        let full = to / 8 - from;
        let rest = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][to % 8];
        let bar = if style.unicode {
            let rest = if to.is_multiple_of(8) { String::new() } else { rest.to_string() };
            format!("{}{}{rest}", " ".repeat(from), "█".repeat(full))
        } else {
            format!("{}{}", " ".repeat(from), "#".repeat((to.div_ceil(8) - from).max(1)))
        };
        format!("{bar:width$}")
    }
}

/// Columns of a bar on a terminal of this width; zero if none fits.
fn bar_width(columns: usize) -> usize {
    let width = columns.saturating_sub(MARGIN_WIDTH) * 2 / 5;
    if width < *BAR_WIDTH.start() { 0 } else { width.min(*BAR_WIDTH.end()) }
}

/// The position of an instant on a scale of `width` columns, in eighths of a column.
fn eighths(ms: f64, end_ms: f64, width: usize) -> usize {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 8 times a small width"
    )]
    let place = (if end_ms > 0.0 { (ms / end_ms).clamp(0.0, 1.0) } else { 0.0 } * (width * 8) as f64).round() as usize;
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::{Clock, Phase};

    fn begin(name: Phase, started_ms: f64) -> PhaseEvent {
        PhaseEvent::Began(PhaseStart { name, started_ms })
    }

    fn ended(name: Phase, started_ms: f64, time_ms: Option<f64>, code: Option<u16>, message: &str) -> PhaseEvent {
        let ok = code.is_none_or(|code| code < 400) && time_ms.is_some();
        let message = (!message.is_empty()).then(|| message.to_owned());
        let clock = Clock::Kernel;
        PhaseEvent::Ended(PhaseReport {
            name,
            started_ms,
            time_ms,
            clock,
            ok,
            expected: None,
            code,
            enhanced_code: None,
            message,
        })
    }

    fn rejected() -> Waterfall {
        let mut waterfall = Waterfall::default();
        for event in [
            begin(Phase::Connect, 0.0),
            begin(Phase::Connect, 10.0),
            ended(Phase::Connect, 10.0, Some(10.0), None, ""),
            begin(Phase::Banner, 10.0),
            ended(Phase::Banner, 10.0, Some(30.0), Some(220), "mx.example.com ESMTP at your service"),
            begin(Phase::RcptTo, 40.0),
            ended(Phase::RcptTo, 40.0, Some(39.5), Some(550), "no such user\nhere"),
            begin(Phase::Quit, 79.9),
        ] {
            waterfall.update(event);
        }
        waterfall
    }

    fn style(width: usize, unicode: bool) -> TextStyle {
        TextStyle { width, colour: false, unicode }
    }

    #[test]
    fn bars_show_when_phases_ran() {
        assert_eq!(
            rejected().lines(80.0, style(80, true)),
            [
                "  connect       10.000 ms    ███▎",
                "  banner        30.000 ms    ████████▌            220 mx.example.com ESMTP at y…",
                "! rcptto        39.500 ms            ██████████▉  550 no such user (and 1 more)",
                "  quit                ...                      █",
            ]
            .map(|line| line.to_owned())
        );
    }

    /// An expected rejection is no failure, and an unexpected success is one.
    #[test]
    fn the_mark_goes_by_what_was_expected() {
        for (code, expected, mark) in [(550, true, " "), (550, false, "!"), (250, true, " "), (250, false, "!")] {
            let PhaseEvent::Ended(phase) = ended(Phase::RcptTo, 1.0, Some(1.0), Some(code), "text") else {
                panic!("ended");
            };
            let phase = PhaseReport { expected: Some(expected), ..phase };
            assert!(line(&phase, style(80, true)).starts_with(&format!("{mark} rcptto")), "{code} {expected}");
        }
    }

    #[test]
    fn a_narrow_terminal_shows_less() {
        for line in rejected().lines(80.0, style(80, false)) {
            assert!(line.is_ascii() && line.len() <= 80, "{line}");
        }
        let narrow = rejected().lines(80.0, style(48, true));
        assert_eq!(narrow[1], "  banner        30.000 ms  220 mx.example.com E…");
        assert!(rejected().lines(80.0, style(20, true)).iter().all(|line| !line.contains('█')));
    }

    #[test]
    fn a_line_on_its_own_has_no_bar() {
        let PhaseEvent::Ended(phase) = ended(Phase::Ehlo, 1.0, Some(0.4), Some(250), "mx\u{1b}[2J\nSIZE\nHELP") else {
            panic!("ended");
        };
        assert_eq!(line(&phase, style(80, true)), "  ehlo           0.400 ms  250 mx\\u{1b}[2J (and 2 more)");
    }

    #[test]
    fn colours_are_used_only_if_asked_for() {
        let plain = rejected().lines(80.0, style(80, true)).concat();
        assert!(!plain.contains('\u{1b}'));
        let coloured = rejected().lines(80.0, TextStyle { colour: true, ..style(80, true) });
        assert!(coloured[1].starts_with("\u{1b}[32m") && coloured[2].starts_with("\u{1b}[31m"), "{coloured:?}");
    }

    #[test]
    fn any_width_and_instant_gives_a_picture() {
        for width in 0..200 {
            for now in [0.0, 0.001, 79.9, 80.0, 1e9] {
                assert_eq!(rejected().lines(now, style(width, true)).len(), 4);
            }
        }
    }
}
