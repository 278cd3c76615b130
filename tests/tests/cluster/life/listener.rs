//! What the client listener speaks: TLS, HTTP/2, the PROXY protocol. Judged by curl and HAProxy.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use weir_tests::client::Ask;
use weir_tests::place;
use weir_tests::process::eventually;
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site};
use weir_tests::topology::make_certificates;

use super::nothing_held;
use crate::in_turn;

const BODY: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"word word"}]}"#;

/// What curl gets from `url`: the version of HTTP, and the answer.
async fn curl(url: String, arguments: &[&str]) -> Result<(String, String)> {
    let mut command = std::process::Command::new("curl");
    command.args(["-s", "-S", "-m", "10", "-w", "\n%{http_version}"]).args(arguments).arg(url);
    let output =
        tokio::task::spawn_blocking(move || command.output()).await?.context("is curl installed?")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
    let (answer, version) = text.rsplit_once('\n').context("curl says nothing")?;
    Ok((version.to_owned(), answer.to_owned()))
}

/// The same of a streamed call.
async fn call(scheme: &str, addr: SocketAddr, arguments: &[&str]) -> Result<(String, String)> {
    let body = ["-H", "content-type: application/json", "-d", BODY];
    let (version, answer) =
        curl(format!("{scheme}://{addr}/v1/chat/completions"), &[arguments, &body].concat()).await?;
    ensure!(answer.trim_end().ends_with("data: [DONE]"), "not a whole stream: {answer}");
    Ok((version, answer))
}

/// The version of HTTP over TLS, if the server is who `authority` says.
async fn alive(addr: SocketAddr, authority: &str, how: &str) -> Result<String> {
    Ok(curl(format!("https://{addr}/livez"), &["--cacert", authority, how]).await?.0)
}

fn quick() -> Upstream {
    Upstream::new("a").behaving("--output 5")
}

/// Broken on purpose to see it fail: the certificate kept over a reload.
#[test]
fn tls_is_spoken_and_another_certificate_is_taken_while_a_stream_goes_on() -> Result<()> {
    in_turn(async {
        let place =
            std::env::temp_dir().join(format!("weir-tls-{}-{}", std::process::id(), fastrand::u32(..)));
        let [one, two] = ["one", "two"].map(|name| place.join(name));
        for folder in [&one, &two] {
            std::fs::create_dir_all(folder)?;
            make_certificates(Ipv4Addr::LOCALHOST, folder)?;
        }
        let (cert, key) = (place.join("cert.pem"), place.join("key.pem"));
        let install = |from: &Path| -> Result<()> {
            std::fs::copy(from.join("server.pem"), &cert)?;
            std::fs::copy(from.join("server.key"), &key)?;
            Ok(())
        };
        install(&one)?;
        let server = format!(
            "drain_delay = \"0s\"\ntls = {{ cert = \"{}\", key = \"{}\" }}\n",
            cert.display(),
            key.display()
        );
        let upstream = Upstream::new("a").behaving("--output 30 --pace 150ms");
        let site = Site::start(Plan { server, replicas: 1, ..Plan::new("life-tls", vec![upstream]) }).await?;
        let addr = site.replicas[0].addr();
        let trust = |folder: &Path| folder.join("ca.pem").display().to_string();
        let (first, second) = (trust(&one), trust(&two));
        ensure!(alive(addr, &first, "--http2").await? == "2");
        ensure!(alive(addr, &first, "--http1.1").await? == "1.1");
        let long = tokio::spawn({
            let first = first.clone();
            async move { call("https", addr, &["--cacert", &first]).await }
        });
        eventually("call", async || Ok(site.replicas[0].metric("weir_calls", "").await? == 1.0)).await?;
        ensure!(alive(addr, &second, "--http2").await.is_err(), "a foreign authority is trusted");
        std::fs::copy(two.join("server.key"), &key)?; // half of the change: they do not belong together
        eventually("refusal", async || Ok(!site.replicas[0].state().await?["config_refused"].is_null()))
            .await?;
        install(&two)?;
        eventually("the new certificate", async || Ok(alive(addr, &second, "--http2").await.is_ok())).await?;
        ensure!(alive(addr, &first, "--http2").await.is_err(), "the old one is still shown");
        long.await?.context("the stream that went on meanwhile")?;
        Ok(std::fs::remove_dir_all(place)?)
    })
}

/// Many calls on one connection, which ends with GOAWAY and loses none of them.
/// Broken on purpose to see it fail: the connection dropped instead of told to go away.
#[test]
fn http_2_carries_many_calls_and_its_end_loses_none() -> Result<()> {
    in_turn(async {
        let upstream = Upstream::new("a").behaving("--output 20 --pace 50ms");
        let mut site = Site::start(Plan { replicas: 1, ..Plan::new("life-h2", vec![upstream]) }).await?;
        let addr = site.replicas[0].addr();
        ensure!(call("http", addr, &["--http2-prior-knowledge"]).await?.0 == "2");
        ensure!(call("http", addr, &["--http1.1"]).await?.0 == "1.1");
        let stream = TcpStream::connect(addr).await?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut calls = JoinSet::new();
        for _ in 0..50 {
            let mut sender = sender.clone();
            calls.spawn(async move {
                let request = Request::post(format!("http://{addr}/v1/chat/completions"))
                    .header("content-type", "application/json")
                    .body(Full::new(Bytes::from(BODY)))?;
                let response = sender.send_request(request).await?;
                let version = response.version();
                let body = response.into_body().collect().await?.to_bytes();
                ensure!(version == Version::HTTP_2 && body.ends_with(b"data: [DONE]\n\n"), "{body:?}");
                Ok(())
            });
        }
        eventually("calls", async || Ok(site.replicas[0].metric("weir_calls", "").await? == 50.0)).await?;
        site.replicas[0].terminate()?;
        for call in calls.join_all().await {
            call?;
        }
        drop(sender);
        tokio::time::timeout(Duration::from_secs(3), connection)
            .await
            .context("the connection stays open")???;
        let code = site.replicas[0].exit_within(Duration::from_secs(5)).await?;
        ensure!(code == Some(0), "it ended with {code:?}:\n{}", site.replicas[0].tail());
        nothing_held(&site).await
    })
}

/// Broken on purpose to see it fail: the header read and not believed.
#[test]
fn a_balancer_may_introduce_its_clients_and_then_must() -> Result<()> {
    in_turn(async {
        for how in ["send-proxy", "send-proxy-v2"] {
            let plan = Plan::new(&format!("life-{how}"), vec![quick()]);
            let server = "drain_delay = \"0s\"\nproxy_protocol = true\n".to_owned();
            let site = Site::start(Plan { server, introduces: Some(how), replicas: 1, ..plan }).await?;
            let balancer = site.client.addr();
            eventually("a healthy replica", async || {
                Ok(call("http", balancer, &["--interface", "127.0.0.77"]).await.is_ok())
            })
            .await?;
            let named = "\"client\":\"127.0.0.77\"";
            eventually("a line that names the client", async || Ok(site.replicas[0].log()?.contains(named)))
                .await?;
            ensure!(
                call("http", site.replicas[0].addr(), &[]).await.is_err(),
                "{how}: served without a header"
            );
            // curl says version 1 itself.
            ensure!(call("http", site.replicas[0].addr(), &["--haproxy-protocol"]).await.is_ok());
            ensure!(site.client.call(&Ask::new("m")).await.is_good(false));
        }
        Ok(())
    })
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Sends `flood(0)`, `flood(1)`, ... until the replica ends the connection; how many bytes it took of it.
async fn flooded(addr: SocketAddr, flood: impl Fn(u32) -> Vec<u8>) -> Result<usize> {
    const ENOUGH: usize = 64 << 20;
    let socket = TcpSocket::new_v4()?;
    // What waits in the sender's own buffer, megabytes on a busy machine, the replica has not taken.
    socket.set_send_buffer_size(64 << 10)?;
    let (mut reading, mut writing) = socket.connect(addr).await?.into_split();
    // What it answers is read, or the connection would only be stuck.
    let reader = tokio::spawn(async move { tokio::io::copy(&mut reading, &mut tokio::io::sink()).await });
    writing.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    writing.write_all(&frame(4, 0, 0, &[])).await?;
    let mut sent = 0;
    for n in 0.. {
        let frames = flood(n);
        let written = tokio::time::timeout(Duration::from_secs(5), writing.write_all(&frames)).await;
        if reader.is_finished() || !matches!(written, Ok(Ok(()))) {
            break;
        }
        sent += frames.len();
        ensure!(sent < ENOUGH, "it took {sent} bytes and goes on");
    }
    Ok(sent)
}

/// Requests that are reset at once, and a head that never ends.
/// Broken on purpose to see it fail: `RESETS` of a billion (h2's other bounds then end it after some MB).
#[test]
fn floods_of_http_2_end_their_connection_and_nothing_else() -> Result<()> {
    in_turn(async {
        let site = Site::start(Plan { replicas: 1, ..Plan::new("life-floods", vec![quick()]) }).await?;
        let addr = site.replicas[0].addr();
        let get = [0x82, 0x86, 0x84, 0x01, 4, b'w', b'e', b'i', b'r']; // GET http /, of the host weir
        let resets = |n: u32| {
            let stream = 2 * n + 1;
            [frame(1, 5, stream, &get), frame(3, 0, stream, &8u32.to_be_bytes())].concat()
        };
        let field = [&[0x00, 1, b'a', 0x7f, 0x81, 0x7c][..], &[b'x'; 16_000]].concat(); // a: 16,000 times x
        let endless = |n: u32| if n == 0 { frame(1, 1, 1, &get) } else { frame(9, 0, 1, &field) };
        let before = site.replicas[0].memory()?;
        for (what, sent) in
            [("resets", flooded(addr, resets).await?), ("a head", flooded(addr, endless).await?)]
        {
            println!("{what}: ended after {sent} bytes");
            ensure!(
                sent < if what == "resets" { 512 << 10 } else { 16 << 20 },
                "{what}: only after {sent} bytes"
            );
        }
        let grown = site.replicas[0].memory()?.saturating_sub(before);
        ensure!(grown < 32 << 20, "{grown} bytes more");
        ensure!(call("http", addr, &["--http2-prior-knowledge"]).await?.0 == "2", "it serves no more");
        Ok(())
    })
}

/// Who does not say whom it speaks for, and who does and shows no TLS: both are let go. Broken on purpose to see it fail:
/// either without a bound.
#[test]
fn connections_that_never_begin_are_let_go() -> Result<()> {
    in_turn(async {
        let folder = place::folder("life-silent-certificates")?;
        make_certificates(Ipv4Addr::LOCALHOST, &folder)?;
        let path = |name: &str| folder.join(name).display().to_string();
        let server = format!(
            "drain_delay = \"0s\"\nproxy_protocol = true\ntls = {{ cert = \"{}\", key = \"{}\" }}\n",
            path("server.pem"),
            path("server.key")
        );
        let plan = Plan { introduces: Some("send-proxy"), ..Plan::new("life-silent", vec![quick()]) };
        let site = Site::start(Plan { server, replicas: 1, ..plan }).await?;
        let let_go = async |said: &[u8]| -> Result<Duration> {
            let mut stream = TcpStream::connect(site.replicas[0].addr()).await?;
            stream.write_all(said).await?;
            let begun = Instant::now();
            let mut byte = [0];
            // The end, or a reset: nothing else may come.
            let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut byte)).await;
            ensure!(!read.context("still connected")?.is_ok_and(|read| read > 0), "it answers");
            Ok(begun.elapsed())
        };
        let introduced = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 2000\r\n";
        let (silent, half) = tokio::join!(let_go(b""), let_go(introduced));
        for time in [silent?, half?] {
            ensure!((9..15).contains(&time.as_secs()), "let go after {time:?}");
        }
        Ok(())
    })
}
