//! How a command in the foreground shows that it is alive: one line that renews itself on a terminal, plain
//! lines elsewhere, and JSON where a program reads it.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use serde::Serialize;

use super::print;
use crate::outside;

/// On a terminal the line is renewed this often.
const RENEW: Duration = Duration::from_millis(500);
/// A log gets a line this often: a 30 s batch shows some times, a day stays readable.
const REPEAT: Duration = Duration::from_secs(5);

/// Where progress goes.
pub(super) struct Progress {
    style: Style,
    drawn: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Terminal,
    Lines,
    Json,
}

impl Progress {
    pub(super) fn new(json: bool) -> Self {
        let style = match (json, io::stdout().is_terminal()) {
            (true, _) => Style::Json,
            (false, true) => Style::Terminal,
            (false, false) => Style::Lines,
        };
        Self { style, drawn: false }
    }

    /// How long to wait between two calls of [`Progress::show`].
    pub(super) fn interval(&self) -> Duration {
        match self.style {
            Style::Terminal => RENEW,
            Style::Lines | Style::Json => REPEAT,
        }
    }

    /// Shows `text`, or `value` to a program.
    pub(super) fn show(&mut self, text: &str, value: &impl Serialize) -> anyhow::Result<()> {
        match self.style {
            Style::Json => print::json(value)?,
            Style::Lines => print::line(text),
            Style::Terminal => {
                // Back to the line's start, and whatever stands behind the new text erased.
                let mut out = io::stdout().lock();
                let _ = write!(out, "\r{}\x1b[K", outside::printable(text));
                let _ = out.flush();
                self.drawn = true;
            }
        }
        Ok(())
    }

    /// The last word: what [`Progress::show`] would say, on a line that stays.
    pub(super) fn finish(mut self, text: &str, value: &impl Serialize) -> anyhow::Result<()> {
        self.show(text, value)?;
        if self.drawn {
            print::line("");
        }
        Ok(())
    }
}
