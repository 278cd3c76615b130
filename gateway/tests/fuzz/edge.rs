//! What stands before a request's body, and the configuration.

use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue};
use weir::auth::Credentials;
use weir::config::check::check;
use weir::http::proxy::{MOST, Parsed, parse};

/// What every variable of the environment says.
const SECRET: &str = "sk-proj-fromtheenvironment";

/// The PROXY header: more bytes never change what was found, and none is awaited without end.
pub(crate) fn proxy(input: &[u8]) {
    let input = &input[..input.len().min(2 * MOST)];
    let mut found = Parsed::More;
    for end in 0..=input.len() {
        let parsed = parse(&input[..end]);
        match found {
            Parsed::More => found = parsed,
            _ => assert_eq!(parsed, found, "at {end}"),
        }
        match parsed {
            Parsed::More => assert!(end < MOST, "it waits for more than it reads"),
            Parsed::Header { length, .. } => assert!(length <= end),
            Parsed::Bad => {}
        }
    }
}

/// Headers, one a line, and in the first line a query: a key is never empty, comes from one of the four headers if any is
/// there, and is found in the query else.
pub(crate) fn credentials(input: &[u8]) {
    const NAMES: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
    let mut lines = input.split(|byte| *byte == b'\n');
    let query = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let mut headers = HeaderMap::new();
    for line in lines.take(1000) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line.get(colon + 1..).unwrap_or_default().trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let Some(key) = (Credentials { headers: &headers, query: &query }).key() else { return };
    assert!(!key.is_empty());
    let given: Vec<&HeaderValue> = NAMES.iter().filter_map(|name| headers.get(*name)).collect();
    let from_header = given.iter().any(|value| value.as_bytes().ends_with(key.trim_ascii_end()));
    assert!(if given.is_empty() { query.contains("key=") } else { from_header }, "a key from elsewhere");
}

/// A configuration: what is wrong with it is said in lines, each at a place that the file has.
pub(crate) fn config(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if text.contains("${file") {
        return; // no file of this machine is a test's to read
    }
    let Err(report) = check(Path::new("weir.toml"), &text, &|_| Some(SECRET.to_owned())) else { return };
    assert!(!report.problems.is_empty() && report.lines().len() == report.problems.len());
    for problem in &report.problems {
        let placed = report.position(problem).is_some();
        assert!(placed || problem.span.is_none(), "nowhere: {}", problem.message);
    }
    assert!(!report.to_string().contains(SECRET), "a secret is shown");
}
