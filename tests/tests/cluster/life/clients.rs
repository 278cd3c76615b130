//! Clients that ask too much of a replica: they do not read, do nothing, or are too many.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use weir_tests::client::{Ask, Client, post};
use weir_tests::process::eventually;
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site, Timeouts};

use super::nothing_held;
use crate::in_turn;

/// More than sockets and windows take.
const ENDLESS: &str =
    r#"{"model":"m","stream":true,"max_tokens":400000,"messages":[{"role":"user","content":"word"}]}"#;

/// A call with this body, as bytes.
fn request(body: &str) -> Vec<u8> {
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: weir\r\ncontent-type: application/json\r\n";
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn chatty(name: &str, server: &str) -> Plan {
    let timeouts = Timeouts { total: Duration::from_secs(60), ..Timeouts::default() };
    let upstream = Upstream {
        tpm: Some(10_000_000),
        concurrency: Some(1_000),
        charge: "end-actual",
        ..Upstream::new("a").behaving("--output 400000 --pace 0ms")
    };
    Plan { server: server.to_owned(), replicas: 1, timeouts, ..Plan::new(name, vec![upstream]) }
}

/// The call has ended: in the replica, at the provider, and in the books.
async fn given_up(site: &Site, within: Duration) -> Result<()> {
    let begun = Instant::now();
    eventually("end of the call", async || Ok(site.replicas[0].metric("weir_calls", "").await? == 0.0))
        .await?;
    ensure!(begun.elapsed() < within, "only after {:?}", begun.elapsed());
    eventually("end at the provider", async || {
        Ok(site.providers[0]
            .arrivals()
            .await?
            .iter()
            .all(|arrival| arrival.aborted && arrival.end_us.is_some()))
    })
    .await?;
    nothing_held(site).await
}

/// It stays connected, its kernel answers every probe, and it reads nothing.
/// Broken on purpose to see it fail: `Pipe::watched` that never rings.
#[test]
fn a_client_that_never_reads_is_given_up() -> Result<()> {
    in_turn(async {
        let site =
            Site::start(chatty("life-unread", "unread_timeout = \"2s\"\ndrain_delay = \"0s\"\n")).await?;
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let mut stream = socket.connect(site.replicas[0].addr()).await?;
        stream.write_all(&request(ENDLESS)).await?;
        eventually("call", async || Ok(!site.providers[0].arrivals().await?.is_empty())).await?;
        given_up(&site, Duration::from_secs(6)).await?;
        drop(stream);
        Ok(())
    })
}

/// Broken on purpose to see it fail: an answer given to the connection as bytes alone (0 calls and 0 bytes in hand).
#[test]
fn a_plain_answer_counts_until_its_client_has_it() -> Result<()> {
    in_turn(async {
        let mut plan = chatty("life-plain", "unread_timeout = \"3s\"\ndrain_delay = \"0s\"\nmax_calls = 1\n");
        plan.upstreams[0].behaviour = ["--output", "2000000", "--pace", "0ms"].map(str::to_owned).to_vec();
        let site = Site::start(plan).await?;
        let replica = &site.replicas[0];
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let mut stream = socket.connect(replica.addr()).await?;
        let body = r#"{"model":"m","max_tokens":2000000,"messages":[{"role":"user","content":"word"}]}"#;
        stream.write_all(&request(body)).await?;
        eventually("settled answer", async || {
            let arrivals = site.providers[0].arrivals().await?;
            Ok(!arrivals.is_empty() && arrivals.iter().all(|arrival| arrival.end_us.is_some()))
        })
        .await?;
        nothing_held(&site).await?;
        let in_hand =
            [replica.metric("weir_calls", "").await?, replica.metric("weir_buffered_bytes", "").await?];
        ensure!(in_hand[0] == 1.0 && in_hand[1] > 5e6, "calls and bytes in hand: {in_hand:?}");
        let refused = replica.client.call(&Ask::new("m").max_tokens(1)).await;
        ensure!(refused.status == 503, "{refused:?}");
        eventually("end of the answer", async || Ok(replica.metric("weir_calls", "").await? == 0.0)).await?;
        ensure!(replica.metric("weir_buffered_bytes", "").await? == 0.0, "bytes stay in hand");
        let served = replica.client.call(&Ask::new("m").max_tokens(1)).await;
        ensure!(served.is_good(false), "{served:?}");
        drop(stream);
        Ok(())
    })
}

/// It reads, but so little that its call would last for ever. Broken on purpose to see it fail: `Reply` without its task.
#[test]
fn a_client_that_reads_slowly_keeps_its_call_no_longer_than_the_calls_time() -> Result<()> {
    in_turn(async {
        let total = Duration::from_secs(3);
        let plan = Plan {
            timeouts: Timeouts { total, ..Timeouts::default() },
            ..chatty("life-slow", "drain_delay = \"0s\"\n")
        };
        let site = Site::start(plan).await?;
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let mut stream = socket.connect(site.replicas[0].addr()).await?;
        stream.write_all(&request(ENDLESS)).await?;
        eventually("call", async || Ok(!site.providers[0].arrivals().await?.is_empty())).await?;
        let reading = tokio::spawn(async move {
            let mut piece = [0; 512];
            while stream.read(&mut piece).await.is_ok_and(|read| read > 0) {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        given_up(&site, total + Duration::from_secs(2)).await?;
        reading.abort();
        Ok(())
    })
}

/// The same of one stream of a connection that is lively otherwise. Broken on purpose to see it fail: `Patient` without
/// its alarm.
#[test]
fn a_stream_of_http_2_that_is_never_read_is_given_up_and_its_connection_goes_on() -> Result<()> {
    in_turn(async {
        let site =
            Site::start(chatty("life-unread-h2", "unread_timeout = \"2s\"\ndrain_delay = \"0s\"\n")).await?;
        let addr = site.replicas[0].addr();
        let stream = TcpStream::connect(addr).await?;
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection); // its errors show in the calls on it
        let request = |body: &'static str| {
            Request::post(format!("http://{addr}/v1/chat/completions"))
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(body)))
        };
        let mut unread = sender.send_request(request(ENDLESS)?).await?.into_body();
        given_up(&site, Duration::from_secs(8)).await?;
        while let Some(Ok(_)) = unread.frame().await {}
        let models = Request::get(format!("http://{addr}/v1/models")).body(Full::new(Bytes::new()))?;
        ensure!(sender.send_request(models).await?.status() == 200, "the connection is gone as well");
        Ok(())
    })
}

/// An answer that is complete in the replica, and of which its client takes only the head. Broken on purpose to see it
/// fail: `Watched` that says when its body has ended, and gives it out in one piece: then the connection keeps it for ever.
#[test]
fn an_answer_of_http_2_that_is_never_read_ends_and_its_connection_goes_on() -> Result<()> {
    in_turn(async {
        let site =
            Site::start(chatty("life-unread-whole", "unread_timeout = \"1s\"\ndrain_delay = \"0s\"\n"))
                .await?;
        let addr = site.replicas[0].addr();
        let stream = TcpStream::connect(addr).await?;
        let handshake = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(16_384)
            .handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await?;
        tokio::spawn(connection); // its errors show in the calls on it
        let whole = r#"{"model":"m","max_tokens":60000,"messages":[{"role":"user","content":"word"}]}"#;
        let request = Request::post(format!("http://{addr}/v1/chat/completions"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(whole)))?;
        let answer = sender.send_request(request).await?;
        ensure!(answer.status() == 200, "{answer:?}");
        // 1 s, and 8 s for a piece of 64 KiB.
        tokio::time::sleep(Duration::from_secs(11)).await;
        let read = answer.into_body().collect().await;
        ensure!(read.is_err(), "it was kept: {} bytes", read.map(|body| body.to_bytes().len()).unwrap_or(0));
        let models = Request::get(format!("http://{addr}/v1/models")).body(Full::new(Bytes::new()))?;
        ensure!(sender.send_request(models).await?.status() == 200, "the connection is gone as well");
        Ok(())
    })
}

/// Broken on purpose to see it fail: a buffer of 64 KiB made for each connection at once.
#[test]
fn ten_thousand_idle_connections_cost_little_and_disturb_nobody() -> Result<()> {
    in_turn(async {
        const MANY: usize = 9_000; // with both ends on one machine, below the usual bound of 10,000 files of a process
        let upstream = Upstream::new("a").behaving("--output 5");
        let site = Site::start(Plan { replicas: 1, ..Plan::new("life-idle", vec![upstream]) }).await?;
        let (replica, addr) = (&site.replicas[0], site.replicas[0].addr());
        ensure!(replica.client.call(&Ask::new("m")).await.is_good(false));
        let before = replica.memory()?;
        let mut idle = Vec::with_capacity(MANY);
        for _ in 0..MANY {
            idle.push(TcpStream::connect(addr).await.context("connecting")?);
        }
        let answer = Client::new(addr).call(&Ask::new("m")).await;
        ensure!(answer.is_good(false), "{answer:?}");
        let each = replica.memory()?.saturating_sub(before) / MANY as u64;
        println!("{each} bytes for each of {MANY} idle connections");
        ensure!(each < 8 << 10, "{each} bytes each");
        Ok(())
    })
}

/// Broken on purpose to see it fail: a place given back before the stream has ended.
#[test]
fn calls_above_the_bound_are_told_to_come_back() -> Result<()> {
    in_turn(async {
        let upstream = Upstream::new("a").behaving("--output 20 --pace 100ms");
        let server = "max_calls = 10\ndrain_delay = \"0s\"\n".to_owned();
        let site =
            Site::start(Plan { server, replicas: 1, ..Plan::new("life-shed", vec![upstream]) }).await?;
        let mut calls = JoinSet::new();
        for _ in 0..25 {
            let client = site.client.clone();
            calls.spawn(async move { client.call(&Ask::new("m").streamed(true)).await });
        }
        let answers = calls.join_all().await;
        let (served, shed): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.is_good(true));
        ensure!((served.len(), shed.len()) == (10, 15), "{} served", served.len());
        for answer in &shed {
            let told: serde_json::Value = serde_json::from_slice(&answer.body)?;
            let error = (&told["error"]["code"], &told["error"]["type"]);
            ensure!(error.0 == "overloaded" && error.1 == "service_unavailable_error", "{told}");
            ensure!((answer.status, answer.retry_after) == (503, Some(1)), "{answer:?}");
        }
        let counted = site.replicas[0].metric("weir_errors_total", "kind=\"overloaded\"").await?;
        ensure!(counted == 15.0, "{counted} counted");
        ensure!(site.client.call(&Ask::new("m").streamed(true)).await.is_good(true), "afterwards");
        Ok(())
    })
}

/// Bodies that come at once are more than may be held. Broken on purpose to see it fail: what does not fit taken all the
/// same.
#[test]
fn bodies_above_the_budget_are_refused_and_memory_stays_bounded() -> Result<()> {
    in_turn(async {
        let upstream = Upstream::new("a").behaving("--output 5");
        let server = "max_body = \"4MiB\"\nmax_buffered = \"8MiB\"\ndrain_delay = \"0s\"\n".to_owned();
        let site =
            Site::start(Plan { server, replicas: 1, ..Plan::new("life-bodies", vec![upstream]) }).await?;
        let addr = site.replicas[0].addr();
        let body = format!(
            "{{\"model\":\"m\",\"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}]}}",
            "x".repeat(3 << 20)
        );
        let before = site.replicas[0].memory()?;
        let mut calls = JoinSet::new();
        for _ in 0..40 {
            calls.spawn(post(addr, "/v1/chat/completions", body.clone()));
        }
        let mut statuses = Vec::new();
        for answer in calls.join_all().await {
            statuses.push(answer?.0);
        }
        let count = |status: u16| statuses.iter().filter(|found| **found == status).count();
        println!("{} served, {} refused", count(200), count(503));
        ensure!(count(200) >= 1 && count(503) >= 10 && count(200) + count(503) == 40, "{statuses:?}");
        let grown = site.replicas[0].memory()?.saturating_sub(before);
        println!("{} MiB more than before", grown >> 20);
        ensure!(grown < 96 << 20, "{grown} bytes more");
        ensure!(site.replicas[0].metric("weir_buffered_bytes", "").await? == 0.0, "something is still held");
        let (status, _) = post(addr, "/v1/chat/completions", body).await?;
        ensure!(status == 200, "afterwards {status}");
        Ok(())
    })
}
