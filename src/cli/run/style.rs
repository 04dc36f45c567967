//! Text style: width, colours and characters of the output.

use anstyle::{AnsiColor, Style};

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default();

/// What the output can show.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextStyle {
    /// In columns.
    pub(super) width: usize,
    /// Whether colours are shown.
    pub(super) colour: bool,
    /// Whether characters beyond ASCII are shown.
    pub(super) unicode: bool,
}

impl TextStyle {
    /// For a file or a pipe.
    pub(super) const PLAIN: Self = Self { width: 80, colour: false, unicode: false };

    /// The text in this colour, if colours are shown.
    pub(super) fn paint(self, colour: Style, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("{colour}{text}{colour:#}") } else { text.to_owned() }
    }

    /// The text, cut to at most `max` characters.
    pub(super) fn cut(self, text: &str, max: usize) -> String {
        if text.chars().count() <= max {
            return text.to_owned();
        }
        let mut cut: String = text.chars().take(max.saturating_sub(1)).collect();
        cut.push(if self.unicode { '…' } else { '~' });
        cut
    }
}
