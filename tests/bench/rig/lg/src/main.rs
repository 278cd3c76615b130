//! Load generator: POST of fixed bodies over HTTP/1.1 with keep-alive, one thread, raw sockets.
//!
//! lg --url http://127.0.0.1:8080/v1/chat/completions [--url ...] --body-file body.json [--body-file ...]
//!    [-H 'name: value']... [--keys-file FILE] --conns 64 --duration 3 [--warmup 0.5] [--rate 500] [--wave 40]
//!    [--ramp 5] [--over 10000] [--content TEXT] [--redis HOST:PORT] [--proc NAME=PID,PID]...
//!
//! Without --rate a closed loop: every connection sends its next call when the last is answered. With
//! it an open loop on a fixed schedule: a call that had to wait because every connection was busy is
//! timed from when it was due (no coordinated omission), one that this program's own timer started late
//! from its real start. Calls are counted when they complete, and CPU of the processes named by --proc
//! is read at the two ends of the same window, so that the two belong together; so is what the server
//! at --redis has done. Prints one JSON object; times in microseconds; every sample is kept, so
//! percentiles are exact.
//!
//! Several --url share the connections evenly. Several bodies, and the bearer tokens of --keys-file (one a
//! line), are taken in turn. --ramp spreads the connections' first calls over so many seconds, so that
//! long streams do not all end together. With --wave the open loop sends a tenth of its rate for so many
//! seconds, then 1.9 times its rate for as long. --content is looked for in streams: when it came first is `ttft`.
mod connection;
mod cpu;
mod options;
mod redis;
mod samples;

use connection::{Connection, Reply};
use cpu::Group;
use options::Options;
use redis::{Counts, Redis};
use samples::{Samples, Spent};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

/// Servers close connections that are idle, some after 5 s: one that was for this long is opened anew, or
/// a call could meet its end.
const KEPT_IDLE: Duration = Duration::from_secs(4);

fn main() {
    let options = options::options();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let result = tokio::task::LocalSet::new().block_on(&runtime, run(options));
    println!("{result}");
}

async fn run(options: Options) -> String {
    let mut redis = match &options.redis {
        Some(address) => Some(Redis::open(address).await.expect("--redis HOST:PORT")),
        None => None,
    };
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
        sent: Cell::new(0),
        samples: RefCell::default(),
    });
    let tasks: Vec<_> =
        (0..options.conns).map(|at| tokio::task::spawn_local(load.clone().connection(at))).collect();
    sleep_until(from).await;
    let (before, began) = (Reading::take(&options.groups, &mut redis).await, Instant::now());
    sleep_until(to).await;
    let (after, wall) = (Reading::take(&options.groups, &mut redis).await, began.elapsed().as_secs_f64());
    let give_up = Instant::now() + Duration::from_secs(35);
    for task in tasks {
        // A call that never ends must not keep the result back; it shows as an error.
        if timeout_at(give_up, task).await.is_err() {
            load.samples.borrow_mut().io_errors += 1;
        }
    }
    let spent = options.groups.iter().zip(before.cpu_ns.iter().zip(&after.cpu_ns));
    let spent: Vec<Spent> = spent
        .map(|(group, (before, after))| Spent { name: group.name.clone(), ns: after.saturating_sub(*before) })
        .collect();
    let asked = after.redis.zip(before.redis).map(|(after, before)| after.since(before));
    if options.rate > 0.0 {
        let due = [options.warmup, options.warmup + options.duration].map(|at| options.due_until(at));
        load.samples.borrow_mut().due = due[1] - due[0];
    }
    load.samples.borrow_mut().json(wall, options.over, &spent, asked)
}

/// What is read at each end of the window.
struct Reading {
    cpu_ns: Vec<u64>,
    redis: Option<Counts>,
}

impl Reading {
    async fn take(groups: &[Group], redis: &mut Option<Redis>) -> Reading {
        let cpu_ns = groups.iter().map(Group::cpu_ns).collect();
        let redis = match redis {
            Some(redis) => Some(redis.counts().await.expect("INFO of Redis")),
            None => None,
        };
        Reading { cpu_ns, redis }
    }
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
    /// Requests sent so far, whichever loop.
    sent: Cell<usize>,
    samples: RefCell<Samples>,
}

impl Load {
    /// One connection's calls until the window's end.
    async fn connection(self: Rc<Self>, at: usize) {
        let address = &self.options.addresses[at % self.options.addresses.len()];
        sleep(Duration::from_secs_f64(self.options.ramp * at as f64 / self.options.conns as f64)).await;
        let mut connection: Option<Connection> = None;
        let mut used = Instant::now();
        while let Some(mut begin) = self.turn().await {
            if used.elapsed() > KEPT_IDLE {
                connection = None;
            }
            let open = match &mut connection {
                Some(open) => open,
                None => match Connection::open(address).await {
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
            match timeout(patience, open.exchange(self.request(), &self.options.content)).await {
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
            used = Instant::now();
        }
    }

    /// The next request in turn.
    fn request(&self) -> &[u8] {
        let requests = &self.options.requests;
        &requests[self.sent.replace(self.sent.get() + 1) % requests.len()]
    }

    /// Waits for this connection's next call; when it counts as begun. None: the load is over.
    async fn turn(&self) -> Option<Instant> {
        if self.options.rate == 0.0 {
            return Some(Instant::now()).filter(|now| *now < self.to);
        }
        let index = self.next.replace(self.next.get() + 1);
        let due = self.start + Duration::from_secs_f64(self.options.due(index));
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
            let first_content = reply.first_content.map(|at| at.saturating_duration_since(begin));
            samples.first_content.extend(first_content.map(|after| after.as_micros() as u32));
            *samples.statuses.entry(reply.status).or_default() += 1;
            samples.bytes += reply.bytes;
            samples.streams_done += u64::from(reply.done);
        }
        samples.reconnects += u64::from(reply.close);
        reply.close
    }
}
