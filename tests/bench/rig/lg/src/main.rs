//! Load generator: POST of a fixed body over HTTP/1.1 with keep-alive, one thread, raw sockets.
//!
//! lg --url http://127.0.0.1:8080/v1/chat/completions --body-file body.json [-H 'name: value']...
//!    --conns 64 --duration 3 [--warmup 0.5] [--rate 500] [--over 10000] [--proc NAME=PID,PID]...
//!
//! Without --rate a closed loop: every connection sends its next call when the last is answered. With
//! it an open loop on a fixed schedule: a call that had to wait because every connection was busy is
//! timed from when it was due (no coordinated omission), one that this program's own timer started late
//! from its real start. Calls are counted when they complete, and CPU of the processes named by --proc
//! is read at the two ends of the same window, so that the two belong together. Prints one JSON object;
//! times in microseconds; every sample is kept, so percentiles are exact.
mod connection;
mod cpu;
mod samples;

use connection::{Connection, Reply};
use cpu::Group;
use samples::{Samples, Spent};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

struct Options {
    address: String,
    request: Vec<u8>,
    conns: usize,
    duration: f64,
    warmup: f64,
    rate: f64,
    over: Option<u32>,
    groups: Vec<Group>,
}

fn main() {
    let options = options();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let result = tokio::task::LocalSet::new().block_on(&runtime, run(options));
    println!("{result}");
}

fn options() -> Options {
    let (mut url, mut headers, mut body) = (String::new(), String::new(), Vec::new());
    let mut o = Options {
        address: String::new(),
        request: Vec::new(),
        conns: 1,
        duration: 3.0,
        warmup: 0.5,
        rate: 0.0,
        over: None,
        groups: vec![Group::own()],
    };
    let mut args = std::env::args().skip(1);
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        match name.as_str() {
            "--url" => url = value,
            "-H" => headers += &format!("{value}\r\n"),
            "--body-file" => body = std::fs::read(value).expect("--body-file FILE"),
            "--conns" => o.conns = value.parse().expect("--conns N"),
            "--duration" => o.duration = value.parse().expect("--duration SECONDS"),
            "--warmup" => o.warmup = value.parse().expect("--warmup SECONDS"),
            "--rate" => o.rate = value.parse().expect("--rate CALLS_PER_SECOND"),
            "--over" => o.over = Some(value.parse().expect("--over MICROSECONDS")),
            "--proc" => o.groups.push(Group::parse(&value).expect("--proc NAME=PID,PID")),
            _ => panic!("unknown option {name}"),
        }
    }
    let rest = url.strip_prefix("http://").expect("--url http://HOST:PORT/PATH");
    let (address, path) = rest.split_once('/').expect("--url with a path");
    let length = body.len();
    o.request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nAccept: */*\r\n{headers}\r\n"
    )
    .into_bytes();
    o.request.extend_from_slice(&body);
    o.address = address.into();
    o
}

async fn run(options: Options) -> String {
    let start = Instant::now();
    let from = start + Duration::from_secs_f64(options.warmup);
    let to = from + Duration::from_secs_f64(options.duration);
    let options = Rc::new(options);
    let load = Rc::new(Load {
        options: options.clone(),
        start,
        from,
        to,
        next: Cell::new(0),
        samples: RefCell::default(),
    });
    let tasks: Vec<_> =
        (0..options.conns).map(|_| tokio::task::spawn_local(load.clone().connection())).collect();
    let read = || -> Vec<u64> { options.groups.iter().map(Group::cpu_ns).collect() };
    sleep_until(from).await;
    let (before, began) = (read(), Instant::now());
    sleep_until(to).await;
    let (after, wall) = (read(), began.elapsed().as_secs_f64());
    let give_up = Instant::now() + Duration::from_secs(35);
    for task in tasks {
        // A call that never ends must not keep the result back; it shows as an error.
        if timeout_at(give_up, task).await.is_err() {
            load.samples.borrow_mut().io_errors += 1;
        }
    }
    let spent = options.groups.iter().zip(before.iter().zip(&after));
    let spent: Vec<Spent> = spent
        .map(|(group, (before, after))| Spent { name: group.name.clone(), ns: after.saturating_sub(*before) })
        .collect();
    load.samples.borrow_mut().json(wall, options.over, &spent)
}

/// The load, shared by all connections; one thread, so cells will do.
struct Load {
    options: Rc<Options>,
    start: Instant,
    /// The measured window.
    from: Instant,
    to: Instant,
    /// Calls of the open loop taken so far.
    next: Cell<u64>,
    samples: RefCell<Samples>,
}

impl Load {
    /// One connection's calls until the window's end.
    async fn connection(self: Rc<Self>) {
        let mut connection: Option<Connection> = None;
        while let Some(mut begin) = self.turn().await {
            let open = match &mut connection {
                Some(open) => open,
                None => match Connection::open(&self.options.address).await {
                    Ok(opened) => {
                        if self.options.rate == 0.0 {
                            begin = Instant::now();
                        }
                        connection.insert(opened)
                    }
                    Err(_) => {
                        self.samples.borrow_mut().io_errors += 1;
                        sleep(Duration::from_millis(20)).await; // do not spin on a target that is down
                        continue;
                    }
                },
            };
            let patience = Duration::from_secs(30);
            match timeout(patience, open.exchange(&self.options.request)).await {
                Ok(Ok(reply)) => {
                    if self.record(begin, &reply) {
                        connection = None;
                    }
                }
                Ok(Err(_)) | Err(_) => {
                    self.samples.borrow_mut().io_errors += 1;
                    connection = None;
                }
            }
        }
    }

    /// Waits for this connection's next call; when it counts as begun. None: the load is over.
    async fn turn(&self) -> Option<Instant> {
        if self.options.rate == 0.0 {
            return Some(Instant::now()).filter(|now| *now < self.to);
        }
        let index = self.next.replace(self.next.get() + 1);
        let due = self.start + Duration::from_secs_f64(index as f64 / self.options.rate);
        if due >= self.to {
            return None;
        }
        if due > Instant::now() {
            sleep_until(due).await;
            return Some(Instant::now());
        }
        if due > self.from {
            self.samples.borrow_mut().late += 1;
        }
        Some(due)
    }

    /// Counts a call that completed; true when its connection is used up.
    fn record(&self, begin: Instant, reply: &Reply) -> bool {
        let now = Instant::now();
        let mut samples = self.samples.borrow_mut();
        if now >= self.from && now < self.to {
            let first_byte = reply.first_byte.unwrap_or(now);
            samples.latency.push((now - begin).as_micros() as u32);
            samples.first_byte.push(first_byte.saturating_duration_since(begin).as_micros() as u32);
            *samples.statuses.entry(reply.status).or_default() += 1;
            samples.bytes += reply.bytes;
            samples.streams_done += u64::from(reply.done);
        }
        samples.reconnects += u64::from(reply.close);
        reply.close
    }
}
