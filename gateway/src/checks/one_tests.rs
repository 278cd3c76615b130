//! What a provider may answer to a check, as bytes.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::config::check::check as checked;
use crate::upstream::Upstreams;

/// What is found if the list of models is answered so, within half a second.
async fn found(answer: Vec<u8>) -> Found {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 4_096];
        let size = stream.read(&mut asked).await.unwrap();
        // (Who has read enough goes.)
        let _ = stream.write_all(&answer).await;
        std::future::pending::<()>().await;
        size
    });
    let text = format!(
        "version = 1\n[[accounts]]\nname = \"a\"\nprovider = \"openai-compatible\"\nbase_url = \"http://{addr}/v1\"\n\
         api_key = \"k\"\n[[deployments]]\nname = \"d\"\naccount = \"a\"\nmodel = \"x\"\n\
         [[models]]\nname = \"m\"\ndeployments = [\"d\"]\n"
    );
    let config = checked(Path::new("weir.toml"), &text, &|_| None).unwrap();
    let snapshot = Snapshot::new(config, "r", None).unwrap();
    let until = Instant::now() + Duration::from_millis(500);
    let connect = snapshot.config.models[0].targets[0].timeouts.connect;
    let upstreams = Upstreams::default();
    let found = in_time(until, models(&upstreams, &snapshot.endpoints[0], connect, until)).await;
    serving.abort();
    found
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    [format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n").as_bytes(), body].concat()
}

#[tokio::test]
async fn lists_pages_redirects_and_what_never_ends() {
    assert_eq!(found(answer("200 OK", b" \n{\"object\":\"list\",\"data\":[]}")).await, Found::Well);
    assert_eq!(found(answer("200 OK", b"[]")).await, Found::Well);
    for garbage in [&b"<html>log in</html>"[..], b"", b"\0\0\0"] {
        assert_eq!(found(answer("200 OK", garbage)).await.outcome(), "failed", "{garbage:?}");
    }
    let elsewhere = answer("302 Found\r\nlocation: http://127.0.0.1:1/", b"");
    assert_eq!(found(elsewhere).await, Found::Nothing("unusable"));
    assert_eq!(found(answer("404 Not Found", b"{}")).await, Found::Nothing("unusable"));
    assert_eq!(found(answer("403 Forbidden", b"{}")).await, Found::Nothing("unusable"));
    assert_eq!(found(answer("401 Unauthorized", b"{}")).await, Found::Refused(OfAccount::Key, None));
    assert_eq!(found(answer("429 Too Many Requests", b"{}")).await, Found::Nothing("limited"));
    assert_eq!(found(answer("503 Service Unavailable", b"no upstream")).await.outcome(), "failed");
    assert_eq!(found(b"HTTP/9 what".to_vec()).await.outcome(), "failed");
    let mut endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    endless.extend(std::iter::repeat_n(&b"4\r\n    \r\n"[..], 200).flatten());
    assert_eq!(found(endless).await.outcome(), "failed", "it has no end");
    let large = [b"{".as_slice(), &vec![b' '; 4 * MOST]].concat();
    assert_eq!(found(answer("200 OK", &large)).await, Found::Well, "what it is is seen from its beginning");
}
