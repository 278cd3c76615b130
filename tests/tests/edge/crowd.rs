//! Many clients that do little: slow in sending, slow in reading, idle. The others must not notice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::endpoints::ENDPOINTS;
use crate::gate::{CLIENT_KEY, Gate};
use crate::lies::run::Caller;
use crate::run;
use crate::upstream::{Step, chunk, stream_head};
use crate::wire::Wire;

/// Clients that send a head, a body, or read an answer, as slowly as they can.
const SLOW: usize = 150;
/// A piece of what they send.
const PAUSE: Duration = Duration::from_millis(200);
/// A head must have come by then.
const HEAD_WITHIN: Duration = Duration::from_secs(45);
/// Connections that say nothing.
const IDLE: usize = 10_000;
/// What an idle one may cost, bytes.
const IDLE_COST: usize = 32 << 10;
/// What a slow one may cost, bytes.
const SLOW_COST: usize = 1 << 20;

/// The times of normal calls, each right, one after the other from several clients.
async fn normal(gate: &Arc<Gate>, calls: usize) -> Result<Duration> {
    const CLIENTS: usize = 8;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let gate = gate.clone();
        clients.spawn(async move {
            let mut caller = Caller::new(gate.addr).await?;
            let mut times = Vec::new();
            for at in 0..calls / CLIENTS {
                let begun = Instant::now();
                caller.honest(client, &format!("case-normal-{client}-{at}"), at % 2 == 0).await?;
                times.push(begun.elapsed());
            }
            Ok::<_, anyhow::Error>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(client) = clients.join_next().await {
        times.extend(client??);
    }
    times.sort_unstable();
    Ok(times[times.len() * 95 / 100])
}

/// Slower than before by no more than a busy machine explains.
fn unharmed(before: Duration, meanwhile: Duration) -> Result<()> {
    println!("95 of 100 calls within {before:?} alone, within {meanwhile:?} in the crowd");
    ensure!(meanwhile < before * 10 + Duration::from_millis(500), "normal calls take {meanwhile:?}");
    Ok(())
}

/// Sends `text` byte by byte until the gateway has enough of it; how long that took.
async fn drip(addr: SocketAddr, first: String, text: u8) -> Result<Duration> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(first.as_bytes()).await?;
    let mut answer = [0; 512];
    loop {
        tokio::select! {
            // Its answer, its end or its reset.
            _ = stream.read(&mut answer) => return Ok(begun.elapsed()),
            () = tokio::time::sleep(PAUSE) => {
                if stream.write_all(&[text]).await.is_err() {
                    return Ok(begun.elapsed());
                }
            }
        }
    }
}

/// Asks for a stream without end and never reads it.
async fn stall(gate: &Gate, at: usize) -> Result<TcpStream> {
    let id = format!("case-stalled-{at}");
    let event =
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(16 << 10));
    let steps = vec![Step::Send(stream_head()), Step::Repeat(chunk(event.as_bytes()), usize::MAX)];
    gate.good.plan(&id, steps);
    let body = ENDPOINTS[0].request("sure-0", &id, r#","stream":true"#);
    let mut stream = TcpStream::connect(gate.addr).await?;
    let request = format!("{}content-length: {}\r\n\r\n{body}", head(), body.len());
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

fn head() -> String {
    format!("POST {} HTTP/1.1\r\nhost: weir\r\nauthorization: Bearer {CLIENT_KEY}\r\n", ENDPOINTS[0].path)
}

/// (That a body has its time is shown in `http/intake.rs`.) Broken on purpose to see it fail: `unread_timeout` of an hour.
#[test]
fn slow_clients_are_cut_off_and_harm_nobody() -> Result<()> {
    run(async {
        let gate = Arc::new(Gate::start("edge-slow").await?);
        let alone = normal(&gate, 400).await?;
        let (open, memory) = (gate.descriptors()?, gate.peak()?);
        let (mut heads, mut bodies) = (JoinSet::new(), JoinSet::new());
        let mut stalled = Vec::new();
        for at in 0..SLOW {
            heads.spawn(drip(gate.addr, "POST /v1/chat/completions HTTP/1.1\r\nx: ".into(), b'x'));
            bodies.spawn(drip(gate.addr, format!("{}content-length: 100000\r\n\r\n", head()), b' '));
            stalled.push(stall(&gate, at).await?);
        }
        unharmed(alone, normal(&gate, 400).await?)?;
        while let Some(time) = heads.join_next().await {
            let time = time??;
            ensure!(time < HEAD_WITHIN, "a head that never ended was waited for {time:?}");
        }
        ensure!(gate.good.requests() >= SLOW as u64, "nobody was stalled");
        gate.quiet().await.context("clients that do not read keep their calls")?;
        bodies.shutdown().await;
        drop(stalled);
        gate.sound().await?;
        let cost = gate.peak()?.saturating_sub(memory) / (3 * SLOW);
        ensure!(cost < SLOW_COST, "a slow client costs {cost} bytes");
        gate.good.close();
        let after = gate.descriptors_within(open + 2).await?;
        println!(
            "{} slow clients, {cost} bytes each; {open} file descriptors before, {after} after",
            3 * SLOW
        );
        Ok(())
    })
}

/// As many file descriptors as the system lets us have; how many that is.
fn descriptors() -> Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(limit.maximum.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX)))
}

/// A connection from one of several addresses: each has its own ports.
async fn idle(addr: SocketAddr, at: usize) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(format!("127.0.0.{}:0", 2 + at % 20).parse()?)?;
    Ok(socket.connect(addr).await?)
}

/// Broken on purpose to see it fail: a buffer of 64 KiB made for each connection at once.
#[test]
fn ten_thousand_idle_connections_are_survived() -> Result<()> {
    run(async {
        let room = descriptors()?;
        let count = IDLE.min(room.saturating_sub(500));
        if count < IDLE {
            println!("only {count} connections: no more than {room} file descriptors are allowed");
        }
        let gate = Arc::new(Gate::start("edge-idle").await?);
        let alone = normal(&gate, 400).await?;
        let (open, memory) = (gate.descriptors()?, gate.peak()?);
        let mut connections = Vec::new();
        for at in 0..count {
            connections.push(idle(gate.addr, at).await.with_context(|| format!("connection {at}"))?);
        }
        unharmed(alone, normal(&gate, 400).await?)?;
        let held = gate.descriptors()?;
        ensure!(held >= count, "{held} file descriptors for {count} connections");
        for (at, connection) in connections.iter_mut().step_by(97).enumerate() {
            wakes(connection, at).await.with_context(|| format!("idle connection {}", at * 97))?;
        }
        let cost = gate.peak()?.saturating_sub(memory) / count;
        ensure!(cost < IDLE_COST, "an idle connection costs {cost} bytes");
        drop(connections);
        gate.quiet().await?;
        gate.sound().await?;
        gate.good.close();
        let after = gate.descriptors_within(open + 2).await?;
        println!(
            "{count} idle connections, {cost} bytes each; {open} file descriptors before, {after} after"
        );
        Ok(())
    })
}

/// A connection that was idle is as good as a new one.
async fn wakes(connection: &mut TcpStream, at: usize) -> Result<()> {
    let id = format!("case-woken-{at}");
    let body = ENDPOINTS[0].request("sure-0", &id, r#","stream":true"#);
    let request = format!("{}content-length: {}\r\n\r\n{body}", head(), body.len());
    connection.write_all(request.as_bytes()).await?;
    let answer = Wire::new(connection).answer(false).await?.context("it was closed")?;
    let expected = ENDPOINTS[0].stream(&id);
    if answer.status != 200 || answer.body != expected.as_bytes() {
        bail!("{answer:?}");
    }
    Ok(())
}
