//! Terminal on stdout: shows a picture, and replaces it as it changes.

use std::io;

use terminal_size::{Height, terminal_size_of};

use super::waterfall::{Waterfall, line};
use crate::{
    cli::{
        output::print,
        style::{TextStyle, is_dumb, stdout_width},
    },
    phase::Phase,
    report::PhaseReport,
};

/// From the cursor to the end of its line, and to that of the screen.
const ERASE_LINE: &str = "\x1b[K";
const ERASE_BELOW: &str = "\x1b[J";

/// The terminal on stdout.
#[derive(Debug)]
pub(super) struct Screen {
    /// Whether the cursor can be moved, and the whole picture fits.
    redraws: bool,
    style: TextStyle,
    /// Lines of the picture above the cursor.
    drawn: usize,
}

impl Screen {
    /// The terminal as the environment describes it.
    pub(super) fn new() -> Self {
        let lines = terminal_size_of(io::stdout()).map_or(24, |(_, Height(lines))| usize::from(lines));
        Self { redraws: !is_dumb() && lines > Phase::ALL.len(), style: TextStyle::of_stdout(), drawn: 0 }
    }

    /// The style of text on it now: its width may change.
    pub(super) fn style(&self) -> TextStyle {
        TextStyle { width: stdout_width(), ..self.style }
    }

    /// Leaves the picture as it is; the next one is drawn below.
    pub(super) fn begin(&mut self) {
        self.drawn = 0;
    }

    /// Draws the picture in place of the one before.
    pub(super) fn show(&mut self, waterfall: &Waterfall, now_ms: f64) {
        if self.redraws {
            let lines = waterfall.lines(now_ms, self.style());
            let below = if lines.len() < self.drawn { ERASE_BELOW } else { "" };
            let picture = self.redrawn(lines.iter().map(String::as_str));
            self.drawn = lines.len();
            // Without line wrap: wide characters may take more columns than counted, and a wrapped line would shift the
            // next picture.
            print(format_args!("\x1b[?7l{picture}{below}\x1b[?7h"));
        }
    }

    /// Prints a line for the phase, if the terminal cannot redraw a picture.
    pub(super) fn append(&self, phase: &PhaseReport) {
        if !self.redraws {
            print(line(phase, self.style()) + "\n");
        }
    }

    /// Shows a text in place of the picture; false if nobody reads stdout any more. Its lines are wrapped here, and
    /// indented: where the terminal wraps one, the rest of it is written over a row that is not erased.
    pub(super) fn replace(&mut self, text: &str, indent: usize) -> bool {
        let below = if self.drawn > 0 { ERASE_BELOW } else { "" };
        let style = self.style();
        let rows: Vec<String> = text.lines().flat_map(|line| style.wrapped(line, indent)).collect();
        let text = self.redrawn(rows.iter().map(String::as_str)) + below;
        self.drawn = 0;
        print(text)
    }

    /// The lines, written over those of the picture one by one: if the whole screen is erased at once, tmux keeps its
    /// content in the scrollback.
    fn redrawn<'a>(&self, lines: impl Iterator<Item = &'a str>) -> String {
        let up = if self.drawn > 0 { format!("\x1b[{}A\r", self.drawn) } else { String::new() };
        // Erased before it is written: after a full line, the cursor still stands on its last character.
        let erase = if self.redraws { ERASE_LINE } else { "" };
        lines.fold(up, |text, line| text + erase + line + "\n")
    }
}
