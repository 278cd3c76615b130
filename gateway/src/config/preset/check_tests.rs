//! Wrong and hostile files: what is reported, and at which line.

use std::path::Path;

use super::super::report::Report;
use super::{Preset, check};

/// A right file; tests change one thing of it.
pub(super) const RIGHT: &str = r#"name = "some"
as_of = 2026-11-29
sources = ["https://some.example/docs"]
base_url = "https://{region}.some.example/v1"
dialects = ["openai-chat"]
auth = [{ kind = "header", header = "api-key" }]
quirks = ["ignores-n"]
pools_per = ["model"]
retry_after = ["retry-after"]
request_id = "x-request-id"

[headers]
some-version = "1"

[values]
region = { about = "the region", default = "us" }

[paths]
chat = "/chat/completions"
models = "/models"

[counting]
charge = "end-actual"
max_tokens = "ignored"
input = "counted"
cached_input = "excluded"
cache_write = "unknown"
output = "counted"
failed = "unknown"
window = "bucket"

[[limit_headers]]
kind = "requests"
per = "1m"
limit = "x-limit"
reset = "x-reset"
format = "seconds"

[[tiers]]
name = "free"
pools = [
  { name = "a", models = ["a*"], limits = { rpm = 10 } },
  { name = "b", models = ["b"], meters = [{ kind = "tokens", limit = 5, per = "1h" }] },
]

[[tiers]]
name = "paid"
without = ["b"]
pools = [
  { name = "a", models = ["a*"], limits = { rpm = 100 } },
]
"#;

pub(super) fn read(text: &str) -> Result<Preset, Report> {
    check::read(Path::new("some.toml"), text, "some")
}

/// What is reported when the first `from` of the right file is `to`.
fn problems(from: &str, to: &str) -> Vec<String> {
    assert!(RIGHT.contains(from), "{from}");
    read(&RIGHT.replacen(from, to, 1)).err().map_or(Vec::new(), |report| report.lines())
}

/// Changes to the right file, and the start of the one problem that each makes: line and words of the message.
/// Broken on purpose: `complete` not called, `base_url` without `web_address`, `values` without its search for unknown
/// placeholders.
const WRONG: &[(&str, &str, usize, &str)] = &[
    ("name = \"some\"", "name = \"other\"", 1, "must be called `other.toml`"),
    ("name = \"some\"", "name = \"So me\"", 1, "small letters"),
    ("as_of = 2026-11-29", "as_of = 2026-13-29", 2, ""),
    ("\"ignores-n\"", "\"no-stream-options\"", 7, "without `usage-unasked`"),
    ("as_of = 2026-11-29", "as_of = \"2026-11-29\"", 2, "invalid type"),
    ("as_of = 2026-11-29", "as_of = 2026-11-29T10:00:00Z", 2, "without a time"),
    ("as_of = 2026-11-29", "as_of = 10:00:00", 2, "expected a date"),
    ("as_of = 2026-11-29", "as_of = 1026-11-29", 2, "expected a date"),
    ("[\"https://some.example/docs\"]", "[]", 3, "without sources"),
    ("https://some.example/docs", "some.example/docs", 3, "expected a URL"),
    ("https://some.example/docs", "file:///etc/passwd", 3, "expected a URL"),
    ("https://{region}", "ftp://{region}", 4, "starts with `https://`"),
    ("https://{region}", "https://u:p@{region}", 4, "without user"),
    ("https://{region}", "https://{region", 4, "`{` without `}`"),
    ("https://{region}", "https://region}", 4, "`}` without `{`"),
    ("https://{region}", "https://{Region}", 4, "in braces"),
    ("some.example/v1\"", "some.example/v1/\"", 4, "no `/` at the end"),
    ("some.example/v1\"", "some.example/v1?a=b\"", 4, "no query"),
    ("some.example/v1\"", "some.example:0/v1\"", 4, "expected a URL"),
    ("some.example/v1\"", "some.example:x/v1\"", 4, "expected a URL"),
    ("some.example/v1\"", "some_example/v1\"", 4, "expected a URL"),
    (
        "some.example/v1\"",
        "{regoin}.example/v1\"",
        4,
        "`{regoin}` is not among `values` (did you mean `region`?)",
    ),
    ("[\"openai-chat\"]", "[\"openai-caht\"]", 5, "unknown variant `openai-caht`"),
    ("[\"openai-chat\"]", "[\"openai-chat\", \"gemini\"]", 5, "no call of this dialect"),
    ("[\"openai-chat\"]", "[\"openai-chat\", \"openai-chat\"]", 5, "named twice"),
    ("[{ kind = \"header\", header = \"api-key\" }]", "[]", 6, "no way to pay"),
    ("header = \"api-key\"", "haeder = \"api-key\"", 6, "unknown field `haeder`"),
    (", header = \"api-key\"", "", 6, "`header` is missing"),
    ("kind = \"header\", header", "kind = \"bearer\", header", 6, "no `header`"),
    ("header = \"api-key\"", "header = \"api key\"", 6, "name of a header"),
    ("kind = \"header\"", "kind = \"basic\"", 6, "unknown variant `basic`"),
    ("ignores-n", "ignores-m", 7, "unknown variant `ignores-m`"),
    ("[\"ignores-n\"]", "[\"ignores-n\", \"ignores-n\"]", 7, "named twice"),
    ("[\"model\"]", "[\"planet\"]", 8, "unknown variant `planet`"),
    ("[\"retry-after\"]", "[\"retry after\"]", 9, "name of a header"),
    ("some-version = \"1\"", "some-version = \"1\\n\"", 13, "a header cannot carry"),
    ("some-version = \"1\"", "Authorization = \"Bearer sk-secret\"", 13, "keys belong to accounts"),
    ("some-version = \"1\"", "some-version = \"1\"\nSome-Version = \"2\"", 13, "given twice"),
    ("region = { about", "zone = {}\nregion = { about", 16, "missing field `about`"),
    ("region = { about", "zone = { about = \"?\" }\nregion = { about", 16, "no address has `{zone}`"),
    ("default = \"us\"", "default = \"\"", 16, "an empty default"),
    ("chat = \"/chat", "caht = \"/chat", 19, "unknown variant `caht`"),
    ("chat = \"/chat", "converse = \"/x\"\nchat = \"/chat", 19, "not among `dialects`"),
    ("\"/chat/completions\"", "\"chat/completions\"", 19, "begins with `/`"),
    ("\"/chat/completions\"", "\"/../admin\"", 19, "begins with `/`"),
    ("\"/chat/completions\"", "\"//evil.example\"", 19, "begins with `/`"),
    ("\"/chat/completions\"", "\"/chat completions\"", 19, "no URL can hold"),
    ("\"/chat/completions\"", "\"/chat\\r\\nx: y\"", 19, "no URL can hold"),
    ("\"/chat/completions\"", "\"/chat#top\"", 19, "no URL can hold"),
    ("\"/chat/completions\"", "\"/{project}/chat\"", 19, "`{project}` is not among `values`"),
    ("charge = \"end-actual\"", "charge = \"admission-max\"", 23, "both or none"),
    ("window = \"bucket\"", "window = \"pail\"", 30, "unknown variant `pail`"),
    ("window = \"bucket\"", "window = \"bucket\"\noutput_factor = 0", 31, "from 1"),
    ("kind = \"requests\"", "kind = \"usd\"", 33, "unknown variant `usd`"),
    ("per = \"1m\"", "per = \"soon\"", 34, "expected a duration"),
    ("per = \"1m\"", "per = \"40 days\"", 34, "at most 31 days"),
    ("format = \"seconds\"\n", "", 36, "`format` is missing"),
    ("reset = \"x-reset\"\n", "", 36, "without `reset`"),
    ("limit = \"x-limit\"\nreset = \"x-reset\"\nformat = \"seconds\"\n", "", 33, "names no header"),
    ("name = \"free\"", "name = \"paid\"", 47, "a second tier of this name"),
    ("name = \"free\"", "name = \"Free\"", 40, "a tier is named"),
    (
        "name = \"a\", models = [\"a*\"], limits = { rpm = 10 }",
        "name = \"a\", models = [\"a*\"]",
        42,
        "without limits",
    ),
    ("name = \"a\", models = [\"a*\"]", "name = \"a\", models = []", 42, "without `models`"),
    ("models = [\"a*\"]", "models = [\"a*b\"]", 42, "only once and at the end"),
    ("models = [\"b\"]", "models = [\"a*\"]", 43, "has the same models"),
    ("name = \"b\"", "name = \"a\"", 43, "a second pool of this name"),
    ("rpm = 10 ", "rpm = 0 ", 42, "from 1 to"),
    ("rpm = 10 ", "rpm = -1 ", 42, "from 1 to"),
    ("rpm = 10 ", "rpm = 9_000_000_000_000_000 ", 42, "from 1 to"),
    ("rpm = 10 ", "rpm = 1.5 ", 42, "invalid type"),
    ("rpm = 10 ", "rqm = 10 ", 42, "unknown field `rqm`"),
    (", per = \"1h\"", "", 43, "`per` is missing"),
    ("kind = \"tokens\", limit", "kind = \"concurrency\", limit", 43, "concurrency has no `per`"),
    (
        "meters = [",
        "limits = { tpm = 5 }, meters = [{ kind = \"tokens\", limit = 6, per = \"60s\" }, ",
        43,
        "a second limit",
    ),
    ("without = [\"b\"]\n", "", 47, "other tiers have `b`"),
    ("without = [\"b\"]", "without = [\"b\", \"c\"]", 48, "no tier has a pool of this name"),
    ("without = [\"b\"]", "without = [\"b\", \"a\"]", 48, "this tier has a pool of this name"),
];

#[test]
fn the_right_file_is_right() {
    let preset = read(RIGHT).unwrap();
    assert_eq!((preset.name.as_str(), preset.as_of.as_str()), ("some", "2026-11-29"));
}

#[test]
fn what_is_wrong_is_reported_with_its_line() {
    for (from, to, line, words) in WRONG {
        let found = problems(from, to);
        let start = format!("some.toml:{line}:");
        let told = found.iter().any(|problem| problem.starts_with(&start) && problem.contains(words));
        assert!(told, "{from} -> {to}: expected {start} .. {words}, found {found:#?}");
    }
}

#[test]
fn every_problem_of_a_file_is_reported_at_once() {
    let text = RIGHT
        .replace("name = \"some\"", "name = \"other\"")
        .replace("https://some.example/docs", "nowhere")
        .replace("rpm = 10 ", "rpm = 0 ");
    let lines = read(&text).unwrap_err().lines();
    assert_eq!(lines.len(), 3, "{lines:#?}");
}

#[test]
fn every_key_is_needed_but_those_that_may_be_absent() {
    let optional =
        ["base_url", "quirks", "retry_after", "request_id", "some-version", "default", "[headers]"];
    for line in RIGHT.lines().take(30).filter(|line| line.contains(" = ") && !line.starts_with("base_url")) {
        let key = line.split(' ').next().unwrap();
        let missing = problems(&format!("{line}\n"), "");
        // The first of two paths of a dialect is needed, `models` is not; `region` is, for the base URL.
        let may = optional.contains(&key) || key == "models";
        assert_eq!(missing.is_empty(), may, "{key}: {missing:#?}");
    }
}

/// What somebody may put there: no panic, and a report that says where.
/// Broken on purpose: `hide`, then `misplaced`, then `unquoted` left out of `read` (the key showed up).
#[test]
fn hostile_files_are_refused_quietly() {
    let nested = format!("x = {}1{}", "[".repeat(5000), "]".repeat(5000));
    let texts = [
        "",
        "\0",
        "name",
        "name = ",
        "[[[",
        "\u{feff}name = \"some\"\n[paths",
        nested.as_str(),
        "name = \"some\"\nname = \"some\"",
    ];
    for text in texts {
        let report = read(text).unwrap_err();
        assert!(!report.problems.is_empty() && !report.to_string().is_empty());
    }
    let secrets = [
        RIGHT.replace("some-version = \"1\"", "x-api-key = \"sk-verysecret\""),
        RIGHT.replace("some-version = \"1\"", "x-other = [\"sk-verysecret\"]"),
        RIGHT.replace("some-version = \"1\"", "x-api-key = \"sk-verysecret"),
        RIGHT.replace("some-version = \"1\"", "x-other = 77777777777"),
        RIGHT.replace("as_of", "api_key = \"sk-verysecret\"\nas_of"),
        RIGHT.replace("as_of", "apikey = [\"sk-verysecret\"]\nas_of"),
        RIGHT.replace("{ kind = \"header\"", "{ secret = \"sk-verysecret\", kind = \"header\""),
        RIGHT.replace("[{ kind = \"header\", header = \"api-key\" }]", "\"sk-verysecret\""),
        RIGHT.replace("https://some.example/docs", "https://u:sk-verysecret@h"),
        RIGHT.replace("https://{region}", "https://u:sk-verysecret@{region}"),
    ];
    for text in secrets {
        let report = read(&text).unwrap_err();
        let shown = format!("{report}{report:?}{:?}", report.lines());
        assert!(!shown.contains("verysecret") && !shown.contains("77777"), "{shown}");
    }
}
