//! A real Redis of the test's own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails by panicking")]

use std::net::TcpListener;
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::time::Duration;

use weir::config::{Endpoint, Login, StateConfig, Topology};
use weir::state::connect::Servers;

/// A redis-server on a unix socket and a port; ended on drop.
pub(crate) struct Server {
    _child: Ended,
    _dir: tempfile::TempDir,
    #[allow(dead_code, reason = "not every test that includes this connects once more")]
    port: u16,
    /// A connection for looking at it.
    pub(crate) connection: redis::Connection,
}

impl Server {
    /// Starts it and waits until it listens.
    pub(crate) fn start() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Process::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--unixsocket", "redis.sock"]);
        command.current_dir(dir.path()).stdout(Stdio::null());
        let child = Ended(command.spawn().expect("redis-server must be installed"));
        let client = redis::Client::open(url(&dir)).unwrap();
        for _ in 0..200 {
            if let Ok(connection) = client.get_connection() {
                return Server { _child: child, _dir: dir, port, connection };
            }
            std::thread::sleep(Duration::from_millis(20)); // waiting for a process to listen
        }
        panic!("redis-server did not come up");
    }

    /// It, as a configuration names it.
    #[allow(dead_code, reason = "not every test that includes this connects once more")]
    pub(crate) fn servers(&self, namespace: &str, timeout: Duration) -> Arc<Servers> {
        let node = Endpoint { host: "127.0.0.1".into(), port: self.port };
        let redis = Topology::Single { node, login: Login::default() };
        Servers::new(StateConfig {
            redis,
            tls: None,
            namespace: namespace.into(),
            timeout,
            expected_replicas: 0,
            leases: false,
        })
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
