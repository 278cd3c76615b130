//! The floor: the least a Rust gateway can do per call, in steps, to learn what is achievable.
//!
//!   --mode pass      stream the request body and the response through
//!   --mode parse     collect the body, read model/stream/max_tokens, rewrite `model`
//!   --mode redis     parse + one EVALSHA (check and count over 4 candidates) before the upstream call
//!   --shape steal    one multi-thread runtime of W workers, one upstream pool, one Redis connection
//!   --shape percore  W threads, each a current_thread runtime with its own SO_REUSEPORT listener,
//!                    upstream pool and Redis connection
//!   --shape deal     percore, but one acceptor thread gives each new connection to the worker that
//!                    has the fewest open ones
//!   --server axum|hyper   --workers 2   --listen 127.0.0.1:9200
//!   --upstream http://127.0.0.1:9100    --redis redis://127.0.0.1:6379
//!
//! `GET /workers` answers how many connections each worker has been given; `POST /spin` keeps its
//! worker busy for 20 ms, the stand-in for a handler that computes too long. The allocator is a build
//! feature: none (system), mimalloc, jemalloc.
mod admit;
mod call;
mod serve;

use std::collections::HashMap;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How much of a gateway's work is done.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Pass,
    Parse,
    Redis,
}

/// What the command line says.
#[derive(Clone)]
struct Options {
    mode: Mode,
    shape: String,
    axum: bool,
    workers: usize,
    listen: std::net::SocketAddr,
    upstream: http::Uri,
    redis: String,
}

fn main() {
    let options = options();
    match options.shape.as_str() {
        "steal" => serve::steal(options),
        "percore" => serve::percore(options),
        "deal" => serve::deal(options),
        other => panic!("unknown shape {other}"),
    }
}

fn options() -> Options {
    let mut given: HashMap<&str, String> = HashMap::from([
        ("mode", "pass".into()),
        ("shape", "percore".into()),
        ("server", "axum".into()),
        ("workers", "2".into()),
        ("listen", "127.0.0.1:9200".into()),
        ("upstream", "http://127.0.0.1:9100".into()),
        ("redis", "redis://127.0.0.1:6379".into()),
    ]);
    let mut args = std::env::args().skip(1);
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        let slot = given.get_mut(name.trim_start_matches('-'));
        *slot.unwrap_or_else(|| panic!("unknown option {name}")) = value;
    }
    Options {
        mode: match given["mode"].as_str() {
            "pass" => Mode::Pass,
            "parse" => Mode::Parse,
            "redis" => Mode::Redis,
            other => panic!("unknown mode {other}"),
        },
        shape: given["shape"].clone(),
        axum: given["server"] == "axum",
        workers: given["workers"].parse().expect("--workers N"),
        listen: given["listen"].parse().expect("--listen ADDR:PORT"),
        upstream: given["upstream"].parse().expect("--upstream URL"),
        redis: given["redis"].clone(),
    }
}
