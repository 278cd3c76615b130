//! What a Redis server has done so far, by its own INFO.
use std::io::{Error, ErrorKind, Result};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Counters since the server's start.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    /// Scripts run for clients.
    pub scripts: u64,
    /// Times that a client's socket was read: commands that came together count once.
    pub reads: u64,
    /// Commands, those that scripts call included.
    pub commands: u64,
}

/// A connection for INFO alone.
pub struct Redis(BufReader<TcpStream>);

impl Redis {
    pub async fn open(address: &str) -> Result<Redis> {
        Ok(Redis(BufReader::new(TcpStream::connect(address).await?)))
    }

    pub async fn counts(&mut self) -> Result<Counts> {
        self.0.get_mut().write_all(b"INFO all\r\n").await?;
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        let size = line.strip_prefix('$').and_then(|size| size.trim_end().parse::<usize>().ok());
        let mut text = vec![0; size.ok_or(Error::new(ErrorKind::InvalidData, line))? + 2];
        self.0.read_exact(&mut text).await?;
        Ok(parse(&String::from_utf8_lossy(&text)))
    }
}

impl Counts {
    /// What came between.
    pub fn since(self, before: Counts) -> Counts {
        Counts {
            scripts: self.scripts.saturating_sub(before.scripts),
            reads: self.reads.saturating_sub(before.reads),
            commands: self.commands.saturating_sub(before.commands),
        }
    }
}

fn parse(info: &str) -> Counts {
    let mut counts = Counts::default();
    for (name, value) in info.lines().filter_map(|line| line.trim_end().split_once(':')) {
        match name {
            "total_reads_processed" => counts.reads = value.parse().unwrap_or(0),
            "total_commands_processed" => counts.commands = value.parse().unwrap_or(0),
            "cmdstat_evalsha" | "cmdstat_eval" | "cmdstat_fcall" => {
                let calls = value.strip_prefix("calls=").and_then(|rest| rest.split(',').next());
                counts.scripts += calls.and_then(|calls| calls.parse::<u64>().ok()).unwrap_or(0);
            }
            _ => {}
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_of_every_kind_are_counted() {
        let info = "# Stats\r\ntotal_commands_processed:9\r\ntotal_reads_processed:7\r\n# Commandstats\r\n\
                    cmdstat_evalsha:calls=4,usec=8,usec_per_call=2.00\r\ncmdstat_eval:calls=1,usec=1\r\n\
                    cmdstat_get:calls=2,usec=1\r\n";
        let Counts { scripts, reads, commands } = parse(info);
        assert_eq!((scripts, reads, commands), (5, 7, 9));
    }
}
