//! The terminal on stdout, with a picture on it that is drawn anew as it changes.

use std::{
    env,
    fmt::Write as _,
    io::{self, Write as _},
};

use anstream::{AutoStream, ColorChoice};
use terminal_size::{Height, Width, terminal_size_of};

use super::{
    look::Look,
    waterfall::{Waterfall, line},
};
use crate::{phase::Phase, report::PhaseReport};

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
            let picture = self.erased() + &lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            self.drawn = lines.len();
            // Wide characters may need more columns than were counted; a line that wrapped would put the next picture out of place.
            put(&format!("\x1b[?7l{picture}\x1b[?7h"));
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
        let text = self.erased() + text;
        self.drawn = 0;
        put(&text)
    }

    /// What erases the picture.
    fn erased(&self) -> String {
        let mut erase = String::new();
        if self.drawn > 0 {
            let _ = write!(erase, "\x1b[{}A\r\x1b[J", self.drawn);
        }
        erase
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
