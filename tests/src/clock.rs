//! A clock that can be stepped, for one process: libfaketime reads an offset from a file at every look.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

/// libc before the allocator of the program: jemalloc looks at the clock while it starts, and libfaketime allocates
/// at its first look, which would go round in a circle. `$LIB` is the dynamic linker's.
const PRELOAD: &str = "/usr/$LIB/faketime/libfaketime.so.1:libc.so.6";

/// How far a process' clock is from this machine's.
#[derive(Debug)]
pub struct Clock {
    file: PathBuf,
    offset_ms: i64,
}

impl Clock {
    /// One that is right, kept in `folder`.
    pub fn new(folder: &Path) -> Result<Clock> {
        let mut clock = Clock { file: folder.join("clock"), offset_ms: 0 };
        clock.step(0)?;
        Ok(clock)
    }

    /// Makes `command` follow it. Durations stay true: only the time of day is stepped.
    pub fn rule(&self, command: &mut Command) {
        command.env("LD_PRELOAD", PRELOAD).env("FAKETIME_TIMESTAMP_FILE", &self.file);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }

    /// Makes `command` believe in a time that is so far from this machine's, such as `-2d`. (The command `faketime` does it by a semaphore
    /// with its process' number for a name, which one that was killed leaves behind for the next of that number to fail by.)
    pub fn shift(command: &mut Command, by: &str) {
        command.env("LD_PRELOAD", PRELOAD).env("FAKETIME", by);
    }

    /// Steps it.
    pub fn step(&mut self, ms: i64) -> Result<()> {
        self.offset_ms += ms;
        let next = self.file.with_extension("next"); // replaced as a whole: it is read at any moment
        std::fs::write(&next, format!("{:+.3}\n", self.offset_ms as f64 / 1_000.0))?;
        Ok(std::fs::rename(next, &self.file)?)
    }

    /// How far it is from this machine's, ms.
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms
    }
}
