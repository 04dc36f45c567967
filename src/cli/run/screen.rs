//! The terminal on stdout, with a picture on it that is drawn anew as it changes.

use std::{
    env,
    io::{self, Write},
};

use anstream::{AutoStream, ColorChoice};
use terminal_size::{Height, Width, terminal_size_of};

use super::{
    look::Look,
    waterfall::{Waterfall, line},
};
use crate::{phase::Phase, report::PhaseReport};

/// From the cursor to the end of its line, and to that of the screen.
const ERASE_LINE: &str = "\x1b[K";
const ERASE_BELOW: &str = "\x1b[J";

/// The terminal on stdout.
#[derive(Debug)]
pub(super) struct Screen {
    /// Whether the cursor can be moved, and there is room for the whole picture.
    redraws: bool,
    colour: bool,
    unicode: bool,
    /// Lines of the picture that stands above the cursor.
    drawn: usize,
}

impl Screen {
    /// The terminal as the environment describes it.
    pub(super) fn new() -> Self {
        let dumb = ["", "dumb"].contains(&env::var("TERM").unwrap_or_default().as_str());
        let lines = terminal_size_of(io::stdout()).map_or(24, |(_, Height(lines))| usize::from(lines));
        Self {
            redraws: !dumb && lines > Phase::ALL.len(),
            // The choice heeds NO_COLOR and its kin, but with CI set it takes a dumb terminal for one that has colour.
            colour: !dumb && AutoStream::choice(&io::stdout()) != ColorChoice::Never,
            unicode: is_unicode(&["LC_ALL", "LC_CTYPE", "LANG"].map(|name| env::var(name).unwrap_or_default())),
            drawn: 0,
        }
    }

    /// How text is to look on it now: its width may change.
    pub(super) fn look(&self) -> Look {
        let width = terminal_size_of(io::stdout()).map_or(80, |(Width(columns), _)| usize::from(columns));
        Look { width, colour: self.colour, unicode: self.unicode }
    }

    /// From now on, another picture is drawn below what stands there.
    pub(super) fn begin(&mut self) {
        self.drawn = 0;
    }

    /// Draws the picture in place of the one before.
    pub(super) fn show(&mut self, waterfall: &Waterfall, now_ms: f64) {
        if self.redraws {
            let lines = waterfall.lines(now_ms, self.look());
            let below = if lines.len() < self.drawn { ERASE_BELOW } else { "" };
            let picture = self.redrawn(lines.iter().map(String::as_str));
            self.drawn = lines.len();
            // Wide characters may need more columns than were counted; a line that wrapped would put the next picture out of place.
            put(&format!("\x1b[?7l{picture}{below}\x1b[?7h"));
        }
    }

    /// Where nothing can be drawn twice, the phases are told one after the other.
    pub(super) fn append(&self, phase: &PhaseReport) {
        if !self.redraws {
            put(&format!("{}\n", line(phase, self.look())));
        }
    }

    /// Puts a text in place of the picture.
    pub(super) fn replace(&mut self, text: &str) -> bool {
        let below = if self.drawn > 0 { ERASE_BELOW } else { "" };
        let text = self.redrawn(text.lines()) + below;
        self.drawn = 0;
        put(&text)
    }

    /// The lines, written over those of the picture one by one: tmux, for one, takes what is erased from the top of the screen to its
    /// end for the past, and keeps it.
    fn redrawn<'a>(&self, lines: impl Iterator<Item = &'a str>) -> String {
        let up = if self.drawn > 0 { format!("\x1b[{}A\r", self.drawn) } else { String::new() };
        // Erased before it is written: past the last column, the cursor would still be at the last character.
        let erase = if self.redraws { ERASE_LINE } else { "" };
        lines.fold(up, |text, line| text + erase + line + "\n")
    }
}

/// Writes to stdout at once; false when nobody reads it any more.
pub(super) fn put(text: &str) -> bool {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_ok()
}

/// Whether the locale has Unicode: of the variables, in their order, the first that is set decides.
fn is_unicode(locale: &[String]) -> bool {
    let locale = locale.iter().find(|value| !value.is_empty()).map(|value| value.to_ascii_lowercase());
    locale.is_some_and(|locale| locale.contains("utf-8") || locale.contains("utf8"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
