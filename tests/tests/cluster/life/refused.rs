//! Answers that are ready before the request has come: their clients must get them, and stay connected.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site};

use crate::in_turn;

const SIZE: usize = 3 << 20;
const CHAT: &str = "/v1/chat/completions";

async fn site(name: &str) -> Result<Site> {
    let server = "max_body = \"1MiB\"\ndrain_delay = \"0s\"\n".to_owned();
    Site::start(Plan { server, replicas: 1, ..Plan::new(name, vec![Upstream::new("a")]) }).await
}

fn head(path: &str, framing: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: weir\r\ncontent-type: application/json\r\n{framing}\r\n\r\n")
}

/// Sends a body in pieces, slower than the answer comes, and reads nothing before all of it is sent.
async fn upload(stream: &mut TcpStream, chunked: bool) -> Result<()> {
    let piece = [b' '; 64 << 10];
    for _ in 0..SIZE / piece.len() {
        if chunked {
            stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
        }
        stream.write_all(&piece).await?;
        if chunked {
            stream.write_all(b"\r\n").await?;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    if chunked {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}

/// What comes up to the end of one answer whose body ends with `end`.
async fn answer(stream: &mut TcpStream, end: &str) -> Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        ensure!(stream.read_buf(&mut bytes).await? > 0, "ended after {:?}", String::from_utf8_lossy(&bytes));
    }
    Ok(String::from_utf8(bytes)?)
}

/// Broken on purpose to see it fail: `Arriving` dropped without reading on (the connection is reset).
#[test]
fn a_client_that_still_sends_gets_its_refusal_and_stays_connected() -> Result<()> {
    in_turn(async {
        let site = site("life-refused").await?;
        let known = format!("content-length: {SIZE}");
        let chunked = "transfer-encoding: chunked";
        for (path, framing, status) in
            [(CHAT, known.as_str(), " 413 "), (CHAT, chunked, " 413 "), ("/v1/nothing", &known, " 404 ")]
        {
            let case = || format!("{path}, {framing}");
            let mut stream = TcpStream::connect(site.replicas[0].addr()).await?;
            stream.write_all(head(path, framing).as_bytes()).await?;
            upload(&mut stream, framing == chunked).await.with_context(case)?;
            let told = answer(&mut stream, "}").await.with_context(case)?;
            ensure!(told.starts_with("HTTP/1.1") && told[..14].contains(status), "{}: {told}", case());
            stream.write_all(b"GET /livez HTTP/1.1\r\nhost: weir\r\n\r\n").await?;
            let next = answer(&mut stream, "ok\n").await.with_context(case)?;
            ensure!(next.starts_with("HTTP/1.1 200 "), "{}: {next}", case());
        }
        Ok(())
    })
}

/// The body is asked for, and turns out to be too large. Broken on purpose to see it fail: `on_request` that reading does
/// not end.
#[test]
fn a_client_that_was_asked_for_its_body_gets_its_refusal_as_well() -> Result<()> {
    in_turn(async {
        let site = site("life-asked").await?;
        let mut stream = TcpStream::connect(site.replicas[0].addr()).await?;
        let framing = "transfer-encoding: chunked\r\nexpect: 100-continue";
        stream.write_all(head(CHAT, framing).as_bytes()).await?;
        let asked = answer(&mut stream, "\r\n\r\n").await?;
        ensure!(asked == "HTTP/1.1 100 Continue\r\n\r\n", "{asked}");
        upload(&mut stream, true).await?;
        let told = answer(&mut stream, "}").await?;
        ensure!(told.starts_with("HTTP/1.1 413 "), "{told}");
        Ok(())
    })
}

/// The rest is waited for, but not for ever, and not asked for. Broken on purpose to see it fail: no `PAUSE_TIME`; a body
/// behind `expect` read on.
#[test]
fn a_client_that_sends_no_more_is_let_go() -> Result<()> {
    in_turn(async {
        let site = site("life-rest").await?;
        for (more, within) in [("", 9), ("\r\nexpect: 100-continue", 2)] {
            let mut stream = TcpStream::connect(site.replicas[0].addr()).await?;
            let begun = Instant::now();
            let framing = format!("content-length: {SIZE}{more}");
            stream.write_all(head(CHAT, &framing).as_bytes()).await?;
            let mut told = String::new();
            stream.read_to_string(&mut told).await?;
            ensure!(told.starts_with("HTTP/1.1 413 ") && told.matches("HTTP/1.1").count() == 1, "{told}");
            ensure!(told.contains("\r\nconnection: close\r\n") != more.is_empty(), "{told}");
            ensure!(begun.elapsed() < Duration::from_secs(within), "only after {:?}", begun.elapsed());
        }
        Ok(())
    })
}

/// As README.md says.
#[test]
#[ignore = "takes a minute"]
fn a_body_that_drips_is_given_up_after_a_minute() -> Result<()> {
    in_turn(async {
        let site = site("life-drip").await?;
        let stream = TcpStream::connect(site.replicas[0].addr()).await?;
        let begun = Instant::now();
        let (mut from, mut to) = stream.into_split();
        to.write_all(head(CHAT, "content-length: 1000").as_bytes()).await?;
        let dripping = tokio::spawn(async move {
            while to.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        });
        let mut told = vec![0; 4096];
        let read = from.read(&mut told).await?;
        dripping.abort();
        let told = String::from_utf8_lossy(&told[..read]);
        ensure!(told.starts_with("HTTP/1.1 408 "), "{told}");
        ensure!((59..70).contains(&begun.elapsed().as_secs()), "after {:?}", begun.elapsed());
        Ok(())
    })
}
