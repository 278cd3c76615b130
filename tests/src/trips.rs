//! How often calls ask Redis for room, as Redis itself saw it (MONITOR).

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weir::state::core::{Caller, Command, Incarnation, Reserve, Stamp, Tell};
use weir::state::scripts::{Call, Keys};

/// Counts RESERVEs that a Redis executes, until it is dropped.
#[derive(Debug)]
pub struct Trips {
    seen: Arc<AtomicU64>,
    connection: TcpStream,
}

impl Trips {
    /// Begins to count.
    pub fn watch(redis: SocketAddr) -> Result<Trips> {
        let connection = TcpStream::connect(redis)?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut lines = BufReader::new(connection.try_clone()?);
        (&connection).write_all(b"MONITOR\r\n")?;
        let mut line = String::new();
        lines.read_line(&mut line)?;
        ensure!(line.trim() == "+OK", "MONITOR: {line}");
        let (seen, digest) = (Arc::new(AtomicU64::new(0)), digest()?);
        let counter = seen.clone();
        std::thread::spawn(move || {
            let mut line = Vec::new();
            // It ends with the connection.
            while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                if line.windows(digest.len()).any(|part| part == digest) {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
                line.clear();
            }
        });
        Ok(Trips { seen, connection })
    }

    /// So many so far.
    pub fn so_far(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }
}

impl Drop for Trips {
    fn drop(&mut self) {
        let _ = self.connection.shutdown(std::net::Shutdown::Both); // it may be gone
    }
}

/// The name of the script that gives room, by which EVALSHA knows it.
fn digest() -> Result<Vec<u8>> {
    let ask = Reserve {
        caller: Caller { epoch: 0, inc: Incarnation::default(), l_ack: 0, x: 0 },
        pools: Vec::new(),
        common: Vec::new(),
        candidates: Vec::new(),
        session: None,
        tell: Tell::default(),
        luck: 0,
        most: 0,
        turn: None,
    };
    let call = Call::new(&Keys::new("weir"), &Command::Reserve(ask.into()), Stamp::default());
    let command = call.by_sha();
    let mut words = command.args_iter().filter_map(|word| match word {
        redis::Arg::Simple(word) => Some(word.to_vec()),
        _ => None,
    });
    words.nth(1).context("EVALSHA has a digest")
}
