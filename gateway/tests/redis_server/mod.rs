//! A real Redis of the test's own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails by panicking")]

use std::process::{Child, Command as Process, Stdio};
use std::time::Duration;

/// A redis-server on a unix socket; ended on drop.
pub(crate) struct Server {
    _child: Ended,
    dir: tempfile::TempDir,
    /// A connection for looking at it.
    pub(crate) connection: redis::Connection,
}

impl Server {
    /// Starts it and waits until it listens.
    pub(crate) fn start() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Process::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket", "redis.sock"]);
        command.current_dir(dir.path()).stdout(Stdio::null());
        let child = Ended(command.spawn().expect("redis-server must be installed"));
        let client = redis::Client::open(url(&dir)).unwrap();
        for _ in 0..200 {
            if let Ok(connection) = client.get_connection() {
                return Server { _child: child, dir, connection };
            }
            std::thread::sleep(Duration::from_millis(20)); // waiting for a process to listen
        }
        panic!("redis-server did not come up");
    }

    /// Where it listens.
    #[allow(dead_code, reason = "not every test that includes this connects once more")]
    pub(crate) fn url(&self) -> String {
        url(&self.dir)
    }
}

fn url(dir: &tempfile::TempDir) -> String {
    format!("redis+unix://{}/redis.sock", dir.path().display())
}

/// A process that does not outlive this value.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
