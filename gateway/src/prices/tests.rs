use std::fs;

use super::*;
use crate::config::check::check;

/// 2026-11-30.
const TODAY: u64 = 1_795_996_800;

fn table(input: f64, more: &str) -> String {
    format!(
        "version = 1\n[[prices]]\nproviders = [\"openai\"]\nmodels = [\"gpt-5.5\"]\nprice = {{ input = {input:?}, output = 30 }}\n\
         source = \"https://example.com\"\nchecked = 2026-11-30\n{more}"
    )
}

/// Broken on purpose to see it fail: written in place (`fs::write`).
#[tokio::test]
async fn a_table_is_checked_compared_and_written_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (from, out) = (path("new.toml"), path("prices.toml"));
    let update = async |out: Option<&Path>| update(from.to_str().unwrap(), out, None, TODAY).await;
    fs::write(&from, table(5.0, "")).unwrap();
    let said = update(None).await.unwrap();
    assert!(said.contains("nothing is written"), "{said}");
    assert!(
        said.lines().any(|line| line.starts_with("- openai gpt-4o: ")),
        "beside the one built in: {said}"
    );
    update(Some(&out)).await.unwrap();
    let first = fs::File::open(&out).unwrap();
    assert_eq!(fs::read_to_string(&out).unwrap(), table(5.0, ""));
    assert!(update(Some(&out)).await.unwrap().contains("is the same"));
    fs::write(&from, table(4.0, "")).unwrap();
    let said = update(Some(&out)).await.unwrap();
    assert!(said.starts_with("- openai gpt-5.5: input 5, output 30"), "{said}");
    assert!(said.contains("\n+ openai gpt-5.5: input 4, output 30"), "{said}");
    assert_eq!(
        std::io::read_to_string(first).unwrap(),
        table(5.0, ""),
        "whoever reads the one before reads it whole"
    );
    fs::write(&from, table(-1.0, "")).unwrap();
    let wrong = update(Some(&out)).await.unwrap_err().to_string();
    assert!(wrong.contains("a price is not negative") && wrong.contains("new.toml:5"), "{wrong}");
    assert_eq!(fs::read_to_string(&out).unwrap(), table(4.0, ""));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

/// Whoever may read the file may go on reading it, and a link stays one. Broken on purpose to see it fail: the mode of a new file; the
/// link replaced by the file.
#[test]
fn a_table_is_written_to_where_it_stands_and_as_it_was() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("real.toml"), folder.path().join("link.toml"));
    fs::write(&real, "before").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    write(&link, "after").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap(), "after");
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
}

/// A table takes the place of the one before. Broken on purpose to see it fail: the configuration not looked at, with which replicas
/// that need the price would then not start.
#[tokio::test]
async fn a_table_without_the_price_of_a_deployment_is_not_written() {
    let config = |model: &str| {
        let text = format!(
            "version = 1\n[[accounts]]\nname = \"o\"\nprovider = \"openai\"\napi_key = \"k\"\n\
             [[deployments]]\nname = \"d\"\naccount = \"o\"\nmodel = \"{model}\"\n\
             [[deployments]]\nname = \"none\"\naccount = \"o\"\nmodel = \"gpt-7\"\n"
        );
        check(Path::new("weir.toml"), &text, &|_| None).unwrap_or_else(|report| panic!("{report}"))
    };
    let folder = tempfile::tempdir().unwrap();
    let (from, out) = (folder.path().join("new.toml"), folder.path().join("prices.toml"));
    fs::write(&from, table(5.0, "")).unwrap();
    let update =
        async |config: &Config| update(from.to_str().unwrap(), Some(&out), Some(config), TODAY).await;
    let wrong = update(&config("gpt-4o")).await.unwrap_err().to_string();
    assert!(wrong.contains("has no price for d: nothing is written"), "{wrong}");
    assert!(!out.exists());
    update(&config("gpt-5.5")).await.unwrap();
    assert_eq!(fs::read_to_string(&out).unwrap(), table(5.0, ""));
}

#[test]
fn what_deployments_cost_is_shown_with_where_it_is_from() {
    let text = "version = 1\n[[accounts]]\nname = \"g\"\nprovider = \"gemini\"\napi_key = \"k\"\n\
                [[deployments]]\nname = \"flash\"\naccount = \"g\"\nmodel = \"gemini-3.8-flash\"\n\
                [[deployments]]\nname = \"own\"\naccount = \"g\"\nmodel = \"x\"\nprice = { input = 1, output = 2, request = 0.5 }\n\
                [[deployments]]\nname = \"none\"\naccount = \"g\"\nmodel = \"x\"\n";
    let config = check(Path::new("weir.toml"), text, &|_| None).unwrap_or_else(|report| panic!("{report}"));
    let shown = show(&config, TODAY);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], "flash (gemini, gemini-3.8-flash)");
    assert_eq!(lines[1], "    input 0.75, output 3.75, cache_read 0.075, cache_write 0.75");
    assert!(
        lines[2].starts_with("    the table that is built in, line ") && lines[2].contains("https://"),
        "{shown}"
    );
    assert_eq!(lines[3], "    from 2027-01-01 on: input 1.5, output 7.5, cache_read 0.15, cache_write 1.5");
    assert_eq!(lines[5], "    input 1, output 2, cache_read 1, cache_write 1, request 0.5");
    assert_eq!(lines[6], "    its own `price`");
    assert!(lines[8].starts_with("    unknown: "), "{shown}");
    assert!(shown.contains("1 of 3 deployments have no price"), "{shown}");
}

/// As theirs looks (the numbers are of it, the entries cut down). Broken on purpose to see it fail: free of charge taken over; output
/// that is paid otherwise than by the token taken for free.
#[tokio::test]
async fn litellms_table_is_taken_where_it_has_prices_per_token() {
    let json = r#"{
      "sample_spec": {"litellm_provider": "one of", "mode": "one of", "input_cost_per_token": 0.0},
      "gpt-5.5": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 5e-06, "output_cost_per_token": 3e-05,
        "cache_read_input_token_cost": 5e-07, "input_cost_per_token_above_272k_tokens": 1e-05,
        "output_cost_per_token_above_272k_tokens": 4.5e-05, "cache_read_input_token_cost_above_272k_tokens": 1e-06,
        "input_cost_per_token_flex": 2.5e-06, "input_cost_per_token_priority": 1.25e-05},
      "claude-opus-5-5": {"litellm_provider": "anthropic", "mode": "chat", "input_cost_per_token": 4e-06,
        "output_cost_per_token": 2e-05, "cache_creation_input_token_cost": 5e-06,
        "cache_creation_input_token_cost_above_1hr": 8e-06, "cache_read_input_token_cost": 2e-07},
      "gemini/gemini-embedding-001": {"litellm_provider": "gemini", "mode": "embedding", "input_cost_per_token": 1.5e-07},
      "openai/by-the-second": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-06},
      "openai/by-the-character": {"litellm_provider": "openai", "mode": "responses", "input_cost_per_token": 1e-06,
        "output_cost_per_token": null, "output_cost_per_character": 1e-06},
      "groq/free": {"litellm_provider": "groq", "mode": "chat", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
      "1024-x-1024/dall-e-2": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_pixel": 1.9e-08},
      "elsewhere/m": {"litellm_provider": "elsewhere", "mode": "chat", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}
    }"#;
    let folder = tempfile::tempdir().unwrap();
    let (from, out) = (folder.path().join("theirs.json"), folder.path().join("prices.toml"));
    fs::write(&from, json).unwrap();
    let said = update(from.to_str().unwrap(), Some(&out), None, TODAY).await.unwrap();
    assert!(said.contains("5 entries were left out"), "{said}");
    let table =
        Prices::read(&out, &fs::read_to_string(&out).unwrap()).unwrap_or_else(|report| panic!("{report}"));
    let built_in = Prices::built_in().unwrap();
    for (provider, model) in
        [("openai", "gpt-5.5"), ("anthropic", "claude-opus-5-5"), ("gemini", "gemini-embedding-001")]
    {
        let of = |prices: &Prices| *prices.of(provider, model).at(TODAY).unwrap();
        let (theirs, ours) = (of(&table), of(&built_in));
        assert_eq!(theirs.rates.input, ours.rates.input, "{model}");
        assert_eq!(
            (theirs.rates.output, theirs.rates.cache_read),
            (ours.rates.output, ours.rates.cache_read),
            "{model}"
        );
        assert_eq!(theirs.rates.cache_write_long, ours.rates.cache_write_long, "{model}");
        assert_eq!(theirs.long, ours.long, "{model}");
    }
    assert_eq!(table.rows().count(), 3);
    let factors = table.of("openai", "gpt-5.5").at(TODAY).unwrap().service.unwrap();
    assert_eq!((factors.flex, factors.priority), (Some(0.5), Some(2.5)));
}

/// A server that answers once, with this.
async fn server(answer: Vec<u8>) -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 1024];
        let _ = stream.read(&mut asked).await.unwrap();
        let _ = stream.write_all(&answer).await; // the client may have had enough
    });
    addr
}

/// Broken on purpose to see it fail: no bound of the size; plain HTTP taken from anywhere.
#[tokio::test]
async fn a_table_is_fetched_bounded_and_only_from_who_can_be_believed() {
    rustls::crypto::ring::default_provider().install_default().ok(); // a second call keeps the first
    let body = table(5.0, "");
    let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let addr = server(whole.into_bytes()).await;
    assert_eq!(read(&format!("http://{addr}/prices.toml")).await.unwrap(), body);
    let wrong = async |url: String| read(&url).await.unwrap_err().to_string();
    assert!(wrong("http://prices.example.com/p.toml".to_owned()).await.contains("only https"));
    let addr =
        server(b"HTTP/1.1 302 Found\r\nlocation: http://elsewhere/\r\ncontent-length: 0\r\n\r\n".to_vec())
            .await;
    assert!(wrong(format!("http://{addr}/")).await.contains("answered 302"));
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.resize(endless.len() + crate::config::LONGEST_PRICES as usize + 1, b' ');
    let addr = server(endless).await;
    let said = wrong(format!("http://{addr}/")).await;
    assert!(said.contains("length limit"), "{said}");
    let addr = server(b"HTTP/1.1 200 OK\r\n\r\n\xff".to_vec()).await;
    assert!(wrong(format!("http://{addr}/")).await.contains("UTF-8"));
}
