//! Where the board is shown: redrawn in place on a terminal, as blocks of lines anywhere else.
//!
//! On a terminal the alternate screen is used and only lines that changed are written, so that text which stays (the
//! line to paste) can be selected with the mouse. Whatever ends the demo, dropping the screen gives the terminal back.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::board::Board;
use super::view::{self, Stage, Style};

const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// A place to show boards.
#[derive(Debug)]
pub(super) enum Display {
    /// A terminal that is redrawn.
    Screen(Screen),
    /// A file, a pipe, or a terminal of which nothing is asked.
    Plain,
}

impl Display {
    /// The one that fits standard output. Without a terminal the welcome is written at once.
    pub(super) fn open(plain: bool, stage: &Stage) -> io::Result<Display> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if plain || dumb || !io::stdout().is_terminal() {
            write_lines(&stage.welcome(Style::plain()))?;
            return Ok(Display::Plain);
        }
        Ok(Display::Screen(Screen::enter()?))
    }

    /// Time between two boards.
    pub(super) fn every(&self) -> Duration {
        match self {
            Display::Screen(_) => Duration::from_millis(500),
            Display::Plain => Duration::from_secs(2),
        }
    }

    /// Shows a board.
    pub(super) fn show(&mut self, board: &Board, stage: &Stage) -> io::Result<()> {
        match self {
            Display::Screen(screen) => screen.draw(board, stage),
            Display::Plain => {
                let mut lines = vec![String::new()];
                lines.extend(view::block(board, stage));
                write_lines(&lines)
            }
        }
    }
}

/// Writes lines to standard output at once.
pub(super) fn write_lines(lines: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in lines {
        writeln!(out, "{}", line.trim_end())?;
    }
    out.flush()
}

/// The alternate screen of a terminal.
#[derive(Debug)]
pub(super) struct Screen {
    colour: bool,
    blocks: bool,
    /// Columns and rows when it was last drawn.
    size: (u16, u16),
    shown: Vec<String>,
}

impl Screen {
    fn enter() -> io::Result<Screen> {
        let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        write_bytes(ENTER)?;
        Ok(Screen { colour, blocks: speaks_utf8(), size: (0, 0), shown: Vec::new() })
    }

    fn draw(&mut self, board: &Board, stage: &Stage) -> io::Result<()> {
        let (columns, rows) = size();
        let mut out = String::new();
        if (columns, rows) != self.size {
            out.push_str("\x1b[2J");
            self.size = (columns, rows);
            self.shown.clear();
        }
        let style = Style { colour: self.colour, blocks: self.blocks, width: usize::from(columns) };
        let mut lines = view::screen(board, stage, style);
        lines.truncate(usize::from(rows));
        lines.resize(lines.len().max(self.shown.len()), String::new()); // what was longer before is cleared
        for (row, line) in lines.iter().enumerate() {
            if self.shown.get(row) != Some(line) {
                out.push_str(&format!("\x1b[{};1H{line}\x1b[K", row + 1));
            }
        }
        self.shown = lines;
        write_bytes(&out)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = write_bytes(LEAVE);
    }
}

fn write_bytes(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Columns and rows of the terminal; 80 by 24 if it does not say.
fn size() -> (u16, u16) {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        Ok(_) | Err(_) => (80, 24),
    }
}

/// Does the environment promise UTF-8?
fn speaks_utf8() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    locale.ends_with("utf-8") || locale.ends_with("utf8")
}
