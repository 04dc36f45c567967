//! Text style: width, colours and characters of the output.

use std::{env, io, iter};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use terminal_size::{Width, terminal_size_of};

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

    /// For stdout, a terminal, as the environment describes it.
    pub(super) fn of_stdout() -> Self {
        Self {
            width: stdout_width(),
            // The library follows NO_COLOR and similar variables, but if CI is set it expects colours of a dumb
            // terminal too.
            colour: !is_dumb() && AutoStream::choice(&io::stdout()) != ColorChoice::Never,
            unicode: is_unicode(&["LC_ALL", "LC_CTYPE", "LANG"].map(|name| env::var(name).unwrap_or_default())),
        }
    }

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

    /// The line in rows that fit the width. Words stay whole where they can; rows after the first are indented.
    pub(super) fn wrapped(self, line: &str, indent: usize) -> Vec<String> {
        let width = self.width.max(MIN_WRAP_WIDTH);
        let indent = if width >= 2 * indent { indent } else { 0 };
        let (mut rows, mut row, mut used, mut is_start) = (Vec::new(), String::new(), 0, true);
        for word in line.split(' ') {
            let space = usize::from(!is_start);
            let mut end_row = |row: &mut String| {
                rows.push(row.trim_end().to_owned());
                *row = " ".repeat(indent);
                indent
            };
            if used + space + columns(word) <= width {
                row.push_str(&" ".repeat(space));
                used += space;
            } else if !is_start {
                used = end_row(&mut row);
            }
            for (piece, piece_width) in pieces(word) {
                if used + piece_width > width {
                    used = end_row(&mut row);
                }
                row.push_str(piece);
                used += piece_width;
            }
            is_start = false;
        }
        rows.push(row.trim_end().to_owned());
        rows
    }
}

/// Whether the cursor of the terminal cannot be moved.
pub(super) fn is_dumb() -> bool {
    ["", "dumb"].contains(&env::var("TERM").unwrap_or_default().as_str())
}

/// The width of the terminal on stdout, in columns; 80 where it is not known.
pub(super) fn stdout_width() -> usize {
    terminal_size_of(io::stdout()).map_or(80, |(Width(columns), _)| usize::from(columns))
}

/// Whether the locale is in UTF-8: the first variable that is set decides.
fn is_unicode(locale: &[String]) -> bool {
    let locale = locale.iter().find(|value| !value.is_empty()).map(|value| value.to_ascii_lowercase());
    locale.is_some_and(|locale| locale.contains("utf-8") || locale.contains("utf8"))
}

/// The narrowest width that text is wrapped to, in columns.
const MIN_WRAP_WIDTH: usize = 20;

/// The columns that the text takes on a terminal.
fn columns(text: &str) -> usize {
    pieces(text).map(|(_, width)| width).sum()
}

/// The characters of a text with their columns. A colour's escape sequence is one piece without a width.
fn pieces(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut rest = text;
    iter::from_fn(move || {
        let first = rest.chars().next()?;
        let is_colour = first == '\u{1b}';
        let length = if is_colour { rest.find('m').map_or(1, |end| end + 1) } else { first.len_utf8() };
        let (piece, others) = rest.split_at(length);
        rest = others;
        Some((piece, if is_colour { 0 } else { character_columns(first) }))
    })
}

/// Columns of a character: two for East Asian wide characters and pictographs (Unicode, UAX 11), none for common
/// combining marks.
fn character_columns(character: char) -> usize {
    match character {
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200d}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(width: usize, line: &str, indent: usize) -> Vec<String> {
        TextStyle { width, colour: true, unicode: true }.wrapped(line, indent)
    }

    #[test]
    fn the_first_variable_that_is_set_decides() {
        for (locale, unicode) in [
            (["", "", ""], false),
            (["", "", "C"], false),
            (["", "", "en_US.UTF-8"], true),
            (["", "C.utf8", "C"], true),
            (["C", "", "en_US.UTF-8"], false),
        ] {
            assert_eq!(is_unicode(&locale.map(str::to_owned)), unicode, "{locale:?}");
        }
    }

    #[test]
    fn rows_fit_the_width_and_words_stay_whole() {
        assert_eq!(wrapped(20, "short", 4), ["short"]);
        assert_eq!(wrapped(20, "", 4), [""]);
        assert_eq!(
            wrapped(20, "failed  550 5.7.1 blocked by a list", 4),
            ["failed  550 5.7.1", "    blocked by a", "    list"]
        );
        assert_eq!(wrapped(20, "exactly twenty chars and", 0), ["exactly twenty chars", "and"]);
        assert_eq!(
            wrapped(20, &"x".repeat(45), 2),
            ["x".repeat(20), format!("  {}", "x".repeat(18)), format!("  {}", "x".repeat(7))]
        );
        assert_eq!(wrapped(20, "漢字漢字漢字 漢字漢字漢字", 0), ["漢字漢字漢字", "漢字漢字漢字"]);
        assert_eq!(
            wrapped(20, "\u{1b}[31mfailed  \u{1b}[0m and twelve.", 0),
            ["\u{1b}[31mfailed  \u{1b}[0m and twelve."]
        );
        for width in 0..60 {
            let rows =
                wrapped(width, "one two  three 漢字 \u{1b}[31mfour\u{1b}[0m fiiiiiiiiiiiiiiiiiiiiiiiiiiiive", 15);
            assert!(rows.iter().all(|row| columns(row) <= width.max(MIN_WRAP_WIDTH)), "{width}: {rows:?}");
        }
    }
}
