//! LiteLLM's files and what becomes of them: four in `tests/import`, with Weir's file and the notes beside each
//! (`WEIR_BLESS=1 cargo test -p weir --lib import` writes them anew), and what must hold of every file.

mod meanings;

use std::fs;
use std::path::{Path, PathBuf};

use super::litellm::of_tree;
use super::{Imported, Sort, litellm, yaml};
use crate::config::{Config, check};

/// Every secret of the files holds this.
const SECRET: &str = "hunter2";
const EMPTY_KEY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const KEY_FILE: &str = include_str!("../../tests/import/key.json");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

fn files() -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "yaml"));
    files.sort();
    assert_eq!(files.len(), 4);
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// What the variables that Weir's files name may hold.
fn made_up(name: &str) -> Option<String> {
    let file = || folder().join("key.json").display().to_string();
    Some(match name {
        name if name.ends_with("SHA256") => EMPTY_KEY.to_owned(),
        name if name.ends_with("FILE") => file(),
        name if name.ends_with("JSON") => KEY_FILE.to_owned(),
        name if name.contains("WEBHOOK") => "https://hooks.internal/alerts".to_owned(),
        name if name.ends_with("ENDPOINT") => "http://otel.internal:4318".to_owned(),
        name if name.ends_with("URL") => "redis://redis.internal:6379/0".to_owned(),
        name if name.ends_with("HOST") => "redis.internal".to_owned(),
        name if name.ends_with("PORT") => "6379".to_owned(),
        name if name.ends_with("DB") => "0".to_owned(),
        name if name.ends_with("BASE") => "https://llm.internal".to_owned(),
        name if name.ends_with("REGION") || name.ends_with("LOCATION") => "us-east-1".to_owned(),
        _ => "made-up".to_owned(),
    })
}

fn loads(toml: &str) -> Config {
    check::check(Path::new("weir.toml"), toml, &made_up).unwrap_or_else(|report| panic!("{report}\n{toml}"))
}

fn told(imported: &Imported) -> String {
    imported.notes.iter().map(|note| format!("{note}\n")).collect()
}

/// Translates the text, and holds the result to what every result must be.
fn translated(text: &str) -> (Imported, Config) {
    let imported = litellm("config.yaml", text).unwrap();
    let config = loads(&imported.toml);
    (imported, config)
}

#[test]
fn four_files_become_what_stands_beside_them_and_load() {
    let bless = std::env::var_os("WEIR_BLESS").is_some();
    for (name, text) in files() {
        let imported = litellm(&name, &text).unwrap();
        loads(&imported.toml);
        for (ending, came) in [("toml", imported.toml.clone()), ("txt", told(&imported))] {
            assert!(!came.contains(SECRET), "{name} shows a secret:\n{came}");
            let path = folder().join(&name).with_extension(ending);
            if bless {
                fs::write(&path, &came).unwrap();
            }
            let expected = fs::read_to_string(&path).unwrap_or_default();
            assert!(expected == came, "{}: WEIR_BLESS=1 accepts\n{came}", path.display());
        }
        assert!(imported.notes.iter().any(|note| note.sort == Sort::Left));
    }
}

/// What says what is so anyway, or would be without it: keys that are taken from these variables anyway, the order of the one
/// deployment, a weight of nothing, what is the default.
const SILENT_THERE: [&str; 11] = [
    "cost.yaml: model_list[1].litellm_params.api_key",
    "cost.yaml: model_list[2].model_info.supports_function_calling",
    "cost.yaml: model_list[4].model_info",
    "cost.yaml: model_list[4].model_info.mode",
    "cost.yaml: litellm_settings.cache_params.type",
    "health.yaml: model_list[2].litellm_params.api_key",
    "health.yaml: model_list[2].litellm_params.weight",
    "health.yaml: model_list[3].litellm_params.api_key",
    "health.yaml: router_settings.routing_strategy",
    "latency.yaml: model_list[3].litellm_params.order",
    "simple.yaml: model_list[0].litellm_params.api_key",
];

/// Nothing is lost: what is taken out of a file changes what comes of it, or its list.
///
/// Broken on purpose to see it fail: `retry_after` read and not written; `additional_drop_params` marked as seen.
#[test]
fn every_key_has_an_effect_or_is_listed() {
    let mut lost = Vec::new();
    for (name, text) in files() {
        let tree = yaml::read(&text).unwrap().unwrap();
        let whole = of_tree(&name, &tree.edited("nothing", None).unwrap(), &text).unwrap();
        for (path, _) in tree.paths() {
            let within =
                |listed: &str| path.strip_prefix(listed).is_some_and(|rest| rest.starts_with(['.', '[']));
            if whole.notes.iter().any(|note| note.sort == Sort::Left && within(&note.path)) {
                continue; // all of it is listed as one
            }
            let less = of_tree(&name, &tree.edited(&path, None).unwrap(), &text).unwrap();
            if less.toml == whole.toml {
                lost.push(format!("{name}: {path}"));
            }
        }
    }
    assert_eq!(lost, SILENT_THERE);
}

/// What stands in the environment there has an effect here, or is listed: nobody takes it for no, or for what is so without it.
///
/// Broken on purpose to see it fail: flags that are neither yes nor no taken for no.
#[test]
fn what_the_environment_says_is_not_lost() {
    // A name that nobody else has is the same as none, and of modes only those count that Weir has no calls for.
    const AS_WITHOUT: [&str; 2] = ["credential_name", "mode"];
    let mut lost = Vec::new();
    for (name, text) in files() {
        let tree = yaml::read(&text).unwrap().unwrap();
        for (path, _) in tree.paths().iter().filter(|(_, is_scalar)| *is_scalar) {
            let is_without = AS_WITHOUT.contains(&path.rsplit('.').next().unwrap_or_default());
            let of = |value: Option<&str>| of_tree(&name, &tree.edited(path, value).unwrap(), &text).unwrap();
            let (without, with) = (of(None), of(Some("os.environ/SOMETHING")));
            let covers = |listed: &str| {
                path.strip_prefix(listed).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            let is_listed = with.notes.iter().any(|note| note.sort == Sort::Left && covers(&note.path));
            if without.toml == with.toml && !is_listed && !is_without {
                lost.push(format!("{name}: {path}"));
            }
        }
    }
    assert_eq!(lost, Vec::<String>::new());
}

/// Keys whose values Weir's file shows as they are: names, addresses, numbers.
fn may_be_shown(path: &str) -> bool {
    const SHOWN: [&str; 14] = [
        "model_name",
        "model",
        "api_base",
        "id",
        "api_version",
        "aws_region_name",
        "aws_role_name",
        "vertex_project",
        "vertex_location",
        "organization",
        "X-Team",
        "host",
        "redis_host",
        "redis_port",
    ];
    let key = path.rsplit('.').next().unwrap_or_default();
    SHOWN.contains(&key) || path.contains("tags[") || path.contains("model_group_alias")
        // Read as the path of a key file, unless it looks like one's text.
        || key == "vertex_credentials"
}

/// Broken on purpose to see it fail: `api_key` written as it is; a note that quotes what it is about.
#[test]
fn no_note_shows_a_value_and_no_secret_is_written() {
    for (name, text) in files() {
        let tree = yaml::read(&text).unwrap().unwrap();
        for (path, _) in tree.paths().iter().filter(|(_, is_scalar)| *is_scalar) {
            for value in [
                "sentinel7",
                "https://u:sentinel7@h/v1",
                "{\"key\": \"sentinel7\"}",
                "os.environ/not a name sentinel7",
            ] {
                let imported = of_tree(&name, &tree.edited(path, Some(value)).unwrap(), "").unwrap();
                assert!(
                    !told(&imported).contains("sentinel7"),
                    "{name}: {path}: {value}\n{}",
                    told(&imported)
                );
                let shown = imported.toml.contains("sentinel7");
                assert!(!shown || may_be_shown(path), "{name}: {path}: {value}\n{}", imported.toml);
            }
        }
    }
}

/// Whatever stands there, what is written loads.
///
/// Broken on purpose to see it fail: a limit of 0 written; fallbacks that lead back written.
#[test]
fn whatever_stands_in_a_file_what_comes_of_it_loads() {
    let odd = [
        "",
        "0",
        "-1",
        "1.5",
        "59",
        "a b*c",
        "模型*",
        "1e12",
        "true",
        "${X}",
        "gpt-4o",
        "http://h:x",
        "\"\\\n",
        "os.environ/X",
        "prompt_caching",
    ];
    let mut broken = Vec::new();
    for (name, text) in files() {
        let tree = yaml::read(&text).unwrap().unwrap();
        for (path, is_scalar) in tree.paths() {
            let without = of_tree(&name, &tree.edited(&path, None).unwrap(), &text).unwrap();
            loads(&without.toml);
            // (A key file must be there, and what is made up for a variable is no address.)
            let is_address = |value: &str| {
                value.starts_with("os.environ")
                    && ["api_base", "redis_port", "llm_exceptions"].iter().any(|end| path.ends_with(end))
            };
            let is_scalar = is_scalar && !path.ends_with("vertex_credentials");
            for value in odd.iter().filter(|value| is_scalar && !is_address(value)) {
                let imported = of_tree(&name, &tree.edited(&path, Some(value)).unwrap(), &text).unwrap();
                let checked = check::check(Path::new("weir.toml"), &imported.toml, &made_up);
                if let Err(report) = checked {
                    broken.push(format!("{name}: {path} = {value:?}: {report}"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn aliases_and_merges_are_what_they_stand_for() {
    let text = "
d: &d { api_key: os.environ/K, rpm: 7 }
e: &e { rpm: 9, tpm: 5000 }
model_list:
  - model_name: a
    litellm_params: { <<: [*d, *e], model: openai/a }
  - &second
    model_name: b
    litellm_params: { model: openai/b, <<: *d, rpm: 8 }
  - *second
";
    let (_, config) = translated(text);
    let limits: Vec<Vec<u64>> =
        config.pools.iter().map(|pool| pool.meters.iter().map(|meter| meter.limit).collect()).collect();
    assert_eq!(limits, [vec![7, 5000], vec![8], vec![8]]);
}

/// Each with the line, if it is about one.
#[test]
fn what_cannot_be_read_is_an_error_with_its_line() {
    let fails = |text: &str| litellm("f", text).map(|_| ()).unwrap_err();
    assert_eq!(fails("a: b\nc: [1, 2").line, Some(2));
    assert_eq!(fails("a: 1\n---\nb: 2\n").line, Some(2));
    assert_eq!(fails("a: *nowhere\n").line, Some(1));
    assert_eq!(fails("a: &a [*a]\n").line, Some(1));
    assert_eq!(fails("[1]: 2\n").line, Some(1));
    for nothing in ["", "# only words\n", "- a\n", "just text\n"] {
        assert_eq!(fails(nothing).line, None, "{nothing:?}");
    }
    // A few bytes must not become gigabytes, nor an endless depth.
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for at in 1..12 {
        let last = at - 1;
        laughs += &format!("a{at}: &a{at} [{}]\n", vec![format!("*a{last}"); 10].join(", "));
    }
    assert_eq!(fails(&laughs).message, "too many values");
    // The same of merges, which make no values.
    let mut merges = "a0: &a0 {x: 1}\n".to_owned();
    for at in 1..13 {
        let last = at - 1;
        merges += &format!("a{at}: &a{at} {{<<: [{}]}}\n", vec![format!("*a{last}"); 10].join(", "));
    }
    assert_eq!(fails(&merges).message, "too many values");
    assert!(fails(&format!("a: {}{}", "[".repeat(100), "]".repeat(100))).message.contains("deep"));
    // And of what is deep by its aliases alone: it must not be dropped one frame for each of them.
    let mut chain = "- &a0 x\n".to_owned();
    for at in 1..200_000 {
        chain += &format!("- &a{at} [*a{}]\n", at - 1);
    }
    assert!(fails(&chain).message.contains("deep"));
    assert!(fails(&"#".repeat(9 << 20)).message.contains("longer"));
    // No message quotes the file.
    let message = fails("master_key: \"sk-hunter2\n").message;
    assert!(!message.contains("hunter2"), "{message}");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 500, failure_persistence: None, ..Default::default() })]

    /// Up to three pieces of up to four characters are replaced, anywhere.
    #[test]
    fn a_damaged_file_is_no_reason_to_panic(
        which in 0..4usize,
        damage in proptest::collection::vec((0.0..1.0f64, 0..5usize, "[ -~\n:{}&*<\\[é]{0,2}"), 1..4),
    ) {
        let (name, text) = files().swap_remove(which);
        let mut text: Vec<char> = text.chars().collect();
        for (place, length, replacement) in damage {
            let start = (place * text.len() as f64) as usize;
            let end = (start + length).min(text.len());
            text.splice(start..end, replacement.chars());
        }
        let text: String = text.into_iter().collect();
        match litellm(&name, &text) {
            Ok(imported) => proptest::prop_assert!(imported.notes.iter().all(|note| note.line <= text.lines().count())),
            Err(err) => proptest::prop_assert!(err.line.is_none_or(|line| line <= text.lines().count() + 1)),
        }
    }
}
