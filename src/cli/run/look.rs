//! How text looks where it is shown.

use anstyle::{AnsiColor, Style};

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default();

/// How text is to look where it is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Columns of the terminal.
    pub(super) width: usize,
    /// Whether there is colour.
    pub(super) colour: bool,
    /// Whether there are more characters than ASCII has.
    pub(super) unicode: bool,
}

impl Look {
    /// Without anything that a file or a pipe would not show.
    pub(super) const PLAIN: Self = Self { width: 80, colour: false, unicode: false };

    /// The text in this style, if there is colour.
    pub(super) fn paint(self, style: Style, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// The text, cut to so many characters.
    pub(super) fn cut(self, text: &str, room: usize) -> String {
        if text.chars().count() <= room {
            return text.to_owned();
        }
        let mut cut: String = text.chars().take(room.saturating_sub(1)).collect();
        cut.push(if self.unicode { '…' } else { '~' });
        cut
    }
}
