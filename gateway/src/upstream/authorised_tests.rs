//! Requests that are authorised for each sending, at a provider and a service of tokens on this machine.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::auth::{Outside, Pass};
use super::{Endpoint, Failed, Upstreams};
use crate::clock::boot_ms;
use crate::config::check::check;
use crate::config::preset::Call;

type Answers = dyn Fn(&str) -> String + Send + Sync;

/// A server that answers each request by what it says, and remembers the requests.
struct Server {
    addr: std::net::SocketAddr,
    seen: Arc<Mutex<Vec<String>>>, // short sections
}

impl Server {
    async fn start(answers: Arc<Answers>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, seen) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let log = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answers.clone(), log.clone()));
            }
        });
        Server { addr, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().clone()
    }
}

async fn serve(mut stream: TcpStream, answers: Arc<Answers>, seen: Arc<Mutex<Vec<String>>>) {
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut piece).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
        if is_whole(&text) {
            let answer = answers(&text);
            seen.lock().push(std::mem::take(&mut text));
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Gives out the tokens `token-1`, `token-2` and so on.
async fn tokens() -> Server {
    let given = AtomicUsize::new(0);
    let give = move |_: &str| {
        let nth = given.fetch_add(1, Ordering::Relaxed) + 1;
        answer("200 OK", &format!("{{\"access_token\":\"token-{nth}\",\"expires_in\":3600}}"))
    };
    Server::start(Arc::new(give)).await
}

fn endpoint(provider: &Server, keys: &str) -> Endpoint {
    let text = format!(
        "version = 1\n[[accounts]]\nname = \"a\"\nbase_url = \"http://{}\"\n{keys}\n\
         [[deployments]]\nname = \"d\"\naccount = \"a\"\nmodel = \"m\"\n",
        provider.addr
    );
    let config = check(Path::new("weir.toml"), &text, &|_| None).unwrap_or_else(|report| panic!("{report}"));
    let deployment = &config.deployments[0];
    let pass = Pass::of(&deployment.account.access, &Outside::real, &|_| None).unwrap();
    Endpoint::new(deployment, &pass).unwrap()
}

fn azure(provider: &Server, tokens: &Server) -> Endpoint {
    let authority = tokens.addr;
    let app = "tenant = \"t\", client = \"c\", secret = \"s3cret\"";
    let keys = format!(
        "provider = \"azure\"\n\
         credentials = {{ kind = \"entra\", {app}, authority = \"http://{authority}\" }}"
    );
    endpoint(provider, &keys)
}

async fn send(endpoint: &Endpoint, call: Call, within: Duration) -> Result<String, Failed> {
    let outgoing = endpoint.call(call, Bytes::from_static(b"{}"), boot_ms() + 60_000).unwrap();
    let upstreams = Upstreams::default();
    let response = upstreams.send(outgoing, Duration::from_secs(5), Instant::now() + within).await?;
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
    Ok(String::from_utf8(body.to_bytes().to_vec()).unwrap())
}

const SOON: Duration = Duration::from_secs(10);

/// Broken on purpose: the refusal returned without another try.
#[tokio::test]
async fn a_refused_token_is_replaced_and_the_call_sent_again() {
    let tokens = tokens().await;
    let accepting = |request: &str| match request.contains("authorization: Bearer token-2") {
        true => answer("200 OK", "served"),
        false => answer("401 Unauthorized", "{\"error\":{\"code\":\"401\",\"message\":\"expired\"}}"),
    };
    let provider = Server::start(Arc::new(accepting)).await;
    let endpoint = azure(&provider, &tokens);
    assert_eq!(send(&endpoint, Call::Chat, SOON).await.unwrap(), "served");
    assert_eq!((provider.seen().len(), tokens.seen().len()), (2, 2));
    // The new token is kept.
    assert_eq!(send(&endpoint, Call::Chat, SOON).await.unwrap(), "served");
    assert_eq!((provider.seen().len(), tokens.seen().len()), (3, 2));
    assert!(tokens.seen()[0].contains("scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default"));
}

/// A provider that refuses every token costs one more try, and then none. Broken on purpose: tried until it is served.
#[tokio::test]
async fn a_token_that_is_always_refused_is_the_answer() {
    let tokens = tokens().await;
    let provider = Server::start(Arc::new(|_: &str| answer("401 Unauthorized", "{}"))).await;
    let endpoint = azure(&provider, &tokens);
    for expected in [(2, 2), (3, 2)] {
        let failed = send(&endpoint, Call::Chat, SOON).await.unwrap_err();
        assert!(matches!(failed, Failed::Answered { status, .. } if status == 401), "{failed:?}");
        assert_eq!((provider.seen().len(), tokens.seen().len()), expected);
    }
}

/// Broken on purpose: a refusal taken for a broken connection.
#[tokio::test]
async fn without_a_token_nothing_is_sent_and_no_secret_is_told() {
    let tokens =
        Server::start(Arc::new(|_: &str| answer("400 Bad Request", "{\"error\":\"invalid_client\"}"))).await;
    let provider = Server::start(Arc::new(|_: &str| answer("200 OK", "served"))).await;
    let failed = send(&azure(&provider, &tokens), Call::Chat, SOON).await.unwrap_err();
    let Failed::NotSent(detail) = &failed else { panic!("{failed:?}") };
    assert_eq!(detail, "not authorised: Microsoft Entra answered 400 (invalid_client)");
    assert!(provider.seen().is_empty() && !format!("{failed:?}").contains("s3cret"));
}

/// Broken on purpose: the token waited for without a limit.
#[tokio::test]
async fn a_token_is_waited_for_as_long_as_the_call_has() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tokens = Server { addr: silent.local_addr().unwrap(), seen: Arc::default() };
    let provider = Server::start(Arc::new(|_: &str| answer("200 OK", "served"))).await;
    let began = Instant::now();
    let failed = send(&azure(&provider, &tokens), Call::Chat, Duration::from_millis(200)).await.unwrap_err();
    assert!(matches!(&failed, Failed::NotSent(detail) if detail == "not authorised in time"), "{failed:?}");
    assert!(began.elapsed() < Duration::from_secs(3));
}

/// Fixed keys are not exchanged, so what is refused stays refused.
#[tokio::test]
async fn bedrock_is_signed_on_what_is_sent() {
    let provider = Server::start(Arc::new(|_: &str| answer("403 Forbidden", "{\"message\":\"no\"}"))).await;
    let keys = "provider = \"bedrock\"\nregion = \"eu-west-1\"\n\
                credentials = { kind = \"aws\", access_key_id = \"AKIA1\", secret_access_key = \"s3cret\" }";
    let failed = send(&endpoint(&provider, keys), Call::Converse, SOON).await.unwrap_err();
    assert!(matches!(failed, Failed::Answered { status, .. } if status == 403), "{failed:?}");
    let seen = provider.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].starts_with("POST /model/m/converse HTTP/1.1\r\n"), "{}", seen[0]);
    assert!(
        seen[0].contains("/eu-west-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date, ")
    );
}
