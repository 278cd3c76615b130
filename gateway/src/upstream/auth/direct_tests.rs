use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Asks a server that answers `answer` and goes on.
async fn asked(answer: Vec<u8>) -> Result<Response<Bytes>, Unreachable> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/token?secret=s3cret", listener.local_addr().unwrap());
    let request = Request::post(uri).body(Bytes::from_static(b"form")).unwrap();
    let serving = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = vec![0; 4096];
        let read = stream.read(&mut seen).await.unwrap();
        assert!(read > 0);
        // Whoever has read enough hangs up.
        let _ = stream.write_all(&answer).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    };
    let outside = Outside::real();
    tokio::select! {
        answered = outside.exchange.exchange(request, Duration::from_millis(500)) => answered,
        () = serving => panic!("no answer, and no error"),
    }
}

/// Broken on purpose: statuses above 299 made errors.
#[tokio::test]
async fn any_status_is_an_answer_and_no_redirect_is_followed() {
    for (status, body) in [("200 OK", "{}"), ("401 No", "why"), ("302 Found", "")] {
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status}\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let answer = asked(text.into_bytes()).await.unwrap();
        assert!(status.starts_with(answer.status().as_str()));
        assert_eq!(answer.body(), body);
    }
}

/// Broken on purpose: a body of any length read.
#[tokio::test]
async fn what_is_too_long_or_too_late_is_no_answer_and_names_no_address() {
    let mut endless = b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n".to_vec();
    endless.resize(LONGEST + 1000, b'x');
    let silent = b"HTTP/1.1 200 OK\r\n".to_vec();
    for (answer, why) in [(endless, "length limit exceeded"), (silent, "too late")] {
        let Unreachable(text) = asked(answer).await.unwrap_err();
        assert_eq!(text, why);
    }
}

#[tokio::test]
async fn nobody_there_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/s3cret", listener.local_addr().unwrap());
    drop(listener);
    let request = Request::get(uri).body(Bytes::new()).unwrap();
    let Unreachable(text) =
        Outside::real().exchange.exchange(request, Duration::from_secs(5)).await.unwrap_err();
    assert!(text.contains("refused") && !text.contains("s3cret"), "{text}");
}
