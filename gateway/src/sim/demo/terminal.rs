//! Where the board is shown: redrawn in place on a terminal, as blocks of lines anywhere else.
//!
//! On a terminal the alternate screen is used and only lines that changed are written, so that text which stays (the
//! line to paste) can be selected with the mouse. Whatever ends the demo, dropping the screen gives the terminal back.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::board::Board;
use super::text::Style;
use super::view::{self, Stage};

const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Shows boards from a thread of its own: a terminal that stops reading must not stop the providers.
#[derive(Debug)]
pub(super) struct Display {
    boards: SyncSender<Board>,
    thread: JoinHandle<io::Result<()>>,
    /// Time between two boards.
    pub(super) every: Duration,
    /// Redrawn in place, instead of line after line.
    pub(super) in_place: bool,
}

impl Display {
    /// The one that fits standard output. Without a terminal the welcome is written at once.
    pub(super) fn open(plain: bool, stage: &Stage) -> io::Result<Display> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let in_place = !plain && !dumb && io::stdout().is_terminal();
        let surface = if in_place {
            Surface::Screen(Screen::enter()?)
        } else {
            write_lines(&stage.welcome(Style::plain()))?;
            Surface::Plain
        };
        let (boards, inbox) = sync_channel(1);
        let stage = stage.clone();
        let show = move || surface.show_all(&inbox, &stage);
        let thread = std::thread::Builder::new().name("display".into()).spawn(show)?;
        let every = if in_place { Duration::from_millis(500) } else { Duration::from_secs(2) };
        Ok(Display { boards, thread, every, in_place })
    }

    /// Shows a board, unless the one before is still being written. False when nothing can be shown any more.
    pub(super) fn show(&self, board: Board) -> bool {
        match self.boards.try_send(board) {
            Ok(()) | Err(TrySendError::Full(_)) => true,
            Err(TrySendError::Disconnected(_)) => false,
        }
    }

    /// Gives the terminal back. Says what went wrong with showing, if anything did.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        drop(self.boards);
        let thread = self.thread;
        match tokio::task::spawn_blocking(move || thread.join()).await? {
            Ok(shown) => Ok(shown?),
            Err(_) => anyhow::bail!("the display panicked"),
        }
    }
}

/// A place to show boards.
#[derive(Debug)]
enum Surface {
    /// A terminal that is redrawn.
    Screen(Screen),
    /// A file, a pipe, or a terminal of which nothing is asked.
    Plain,
}

impl Surface {
    fn show_all(mut self, boards: &Receiver<Board>, stage: &Stage) -> io::Result<()> {
        while let Ok(board) = boards.recv() {
            match &mut self {
                Surface::Screen(screen) => screen.draw(&board, stage)?,
                Surface::Plain => write_lines(&view::block(&board, stage))?,
            }
        }
        Ok(())
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
struct Screen {
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
