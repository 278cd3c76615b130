//! The three serving shapes that are compared; the path of a call is the same in all of them.
use crate::Options;
use crate::call::{App, OutBody, answer};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::io::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

/// Connections per worker: given since the start, and open now.
struct Shares(Vec<(AtomicUsize, AtomicUsize)>);

impl Shares {
    fn new(workers: usize) -> Arc<Shares> {
        Arc::new(Shares((0..workers).map(|_| Default::default()).collect()))
    }
    fn least_loaded(&self) -> usize {
        (0..self.0.len()).min_by_key(|&w| self.0[w].1.load(Relaxed)).unwrap_or(0)
    }
    fn text(&self) -> String {
        let given: Vec<String> = self.0.iter().map(|w| w.0.load(Relaxed).to_string()).collect();
        format!("[{}]", given.join(","))
    }
}

/// One open connection of a worker.
struct Open(Arc<Shares>, usize);

impl Open {
    fn new(shares: &Arc<Shares>, worker: usize) -> Open {
        shares.0[worker].0.fetch_add(1, Relaxed);
        shares.0[worker].1.fetch_add(1, Relaxed);
        Open(shares.clone(), worker)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0[self.1].1.fetch_sub(1, Relaxed);
    }
}

/// One multi-thread runtime; idle workers steal from busy ones.
pub fn steal(options: Options) {
    let shares = Shares::new(1);
    let runtime = Builder::new_multi_thread().worker_threads(options.workers).enable_all().build();
    runtime.expect("runtime").block_on(async move {
        let worker = Worker::new(&options, shares).await;
        let listener = TcpListener::bind(options.listen).await.expect("listen");
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                let open = Open::new(&worker.shares, 0);
                tokio::spawn(worker.clone().connection(stream, open));
            }
        }
    });
}

/// One runtime per thread; the kernel deals connections by a hash of their addresses.
pub fn percore(options: Options) {
    let shares = Shares::new(options.workers);
    threads(options.workers, |w| {
        let (options, shares) = (options.clone(), shares.clone());
        move |runtime: Runtime| {
            runtime.block_on(async move {
                let worker = Worker::new(&options, shares).await;
                let listener = reuse_port(&options).expect("listen");
                loop {
                    if let Ok((stream, _)) = listener.accept().await {
                        let open = Open::new(&worker.shares, w);
                        tokio::spawn(worker.clone().connection(stream, open));
                    }
                }
            });
        }
    });
}

/// One runtime per thread; an acceptor deals each connection to the worker with the fewest open ones.
pub fn deal(options: Options) {
    let shares = Shares::new(options.workers);
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..options.workers).map(|_| mpsc::unbounded_channel::<(std::net::TcpStream, Open)>()).unzip();
    let mut receivers = receivers.into_iter();
    let (listen, dealt) = (options.listen, shares.clone());
    std::thread::spawn(move || {
        let listener = std::net::TcpListener::bind(listen).expect("listen");
        loop {
            let Ok((stream, _)) = listener.accept() else { continue };
            let w = dealt.least_loaded();
            if stream.set_nonblocking(true).is_ok() {
                senders[w].send((stream, Open::new(&dealt, w))).expect("a worker that lives");
            }
        }
    });
    threads(options.workers, |_| {
        let (options, shares) = (options.clone(), shares.clone());
        let mut queue = receivers.next().expect("one queue per worker");
        move |runtime: Runtime| {
            runtime.block_on(async move {
                let worker = Worker::new(&options, shares).await;
                while let Some((stream, open)) = queue.recv().await {
                    if let Ok(stream) = TcpStream::from_std(stream) {
                        tokio::spawn(worker.clone().connection(stream, open));
                    }
                }
            });
        }
    });
}

/// Runs one thread with a current_thread runtime per worker, for ever.
fn threads<F: FnOnce(Runtime) + Send + 'static>(workers: usize, mut make: impl FnMut(usize) -> F) {
    let spawn = |w| {
        let run = make(w);
        std::thread::spawn(move || run(Builder::new_current_thread().enable_all().build().expect("runtime")))
    };
    for thread in (0..workers).map(spawn).collect::<Vec<_>>() {
        thread.join().expect("a worker that lives");
    }
}

fn reuse_port(options: &Options) -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(options.listen)?;
    socket.listen(1024)
}

/// What serves connections: a runtime has one of them.
#[derive(Clone)]
struct Worker {
    app: Arc<App>,
    shares: Arc<Shares>,
    router: Option<axum::Router>,
}

impl Worker {
    async fn new(options: &Options, shares: Arc<Shares>) -> Worker {
        let app = Arc::new(App::new(options).await.expect("redis"));
        let mut worker = Worker { app, shares, router: None };
        if options.axum {
            let w = worker.clone();
            let any = move |r: axum::extract::Request| {
                let w = w.clone();
                async move { w.handle(r).await.map(axum::body::Body::new) }
            };
            let paths = axum::Router::new().route("/v1/chat/completions", post(any.clone()));
            worker.router = Some(paths.route("/spin", post(any.clone())).route("/workers", get(any)));
        }
        worker
    }

    async fn connection(self, stream: TcpStream, _open: Open) {
        // A connection without TCP_NODELAY would be slow but right; its end is the client's to report.
        let _ = stream.set_nodelay(true);
        let stream = TokioIo::new(stream);
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new());
        let _ = match self.router.clone() {
            Some(router) => http.serve_connection(stream, TowerToHyperService::new(router)).await,
            None => {
                let service = service_fn(move |r: Request<Incoming>| {
                    let worker = self.clone();
                    async move { Ok::<_, Infallible>(worker.handle(r).await) }
                });
                http.serve_connection(stream, service).await
            }
        };
    }

    async fn handle<B>(&self, request: Request<B>) -> Response<OutBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<crate::call::BoxErr>,
    {
        if request.method() == Method::GET {
            return answer(StatusCode::OK, self.shares.text());
        }
        if request.uri().path() == "/spin" {
            let end = Instant::now() + Duration::from_millis(20);
            while Instant::now() < end {
                std::hint::spin_loop();
            }
            return answer(StatusCode::OK, "spun");
        }
        self.app.handle(request).await
    }
}
