//! Is the schema that is shipped the one of this version, does it take every file that loads, and refuse what the reader does?
//! An outside validator judges. `WEIR_BLESS=1 cargo test -p weir --lib config::schema` writes it anew.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::form::Form;
use super::raw::{self, Affinity, Hedge, Pace, Reset, Target, Weight, Words};
use super::schema::schema;
use super::tree::{Read, Reading};
use super::units::{Count, Limit, Pause, Size};
use super::words::Checked;
use super::{After, MeterKind, Strategy};

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

struct Judge {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Judge {
    fn of(schema: Value) -> Judge {
        let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
        compiler.add_resource("weir.json", schema).unwrap();
        let index = compiler.compile("weir.json", &mut schemas).unwrap();
        Judge { schemas, index }
    }

    /// Where a value departs from the schema.
    fn refuses(&self, value: &Value) -> Option<String> {
        self.schemas.validate(value, self.index).err().map(|err| format!("{err:#}"))
    }

    fn refuses_file(&self, text: &str) -> Option<String> {
        self.refuses(&serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap())
    }
}

/// The TOML files of a folder.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(at(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ext| ext == "toml")).collect();
    files.sort();
    assert!(!files.is_empty(), "nothing in {folder}");
    files
}

/// Broken on purpose to see it fail: a key more in `raw::Server`.
#[test]
fn the_schema_that_is_shipped_is_that_of_this_version() {
    let path = at("config/weir.schema.json");
    if std::env::var_os("WEIR_BLESS").is_some() {
        fs::write(&path, format!("{:#}\n", schema())).unwrap();
    }
    let shipped: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert!(shipped == schema(), "config/weir.schema.json is not current (WEIR_BLESS=1 writes it)");
}

/// Broken on purpose to see it fail: what production.toml says of `unread_timeout` taken away.
#[test]
fn every_key_says_what_it_means() {
    fn keys_of(value: &Value, name: &str, silent: &mut Vec<String>) {
        for (key, property) in value["properties"].as_object().into_iter().flatten() {
            if property["description"].as_str().is_none_or(|text| text.trim().len() < 4) {
                silent.push(format!("{name}.{key}"));
            }
        }
    }
    let (schema, mut silent) = (schema(), Vec::new());
    keys_of(&schema, "", &mut silent);
    for (name, definition) in schema["definitions"].as_object().unwrap() {
        keys_of(definition, name, &mut silent);
    }
    assert_eq!(silent, Vec::<String>::new());
}

/// Broken on purpose to see it fail: `Form::Whole` from 2, the pattern of durations without minutes.
#[test]
fn every_file_that_loads_is_taken() {
    let judge = Judge::of(schema());
    let folders = ["config", "config/examples", "gateway/tests/config/loads", "gateway/tests/import"];
    // (A table of prices is no configuration.)
    let all = folders
        .into_iter()
        .flat_map(files)
        .filter(|path| path.file_name().is_none_or(|name| name != "prices.toml"));
    for path in all {
        let refused = judge.refuses_file(&fs::read_to_string(&path).unwrap());
        assert!(refused.is_none(), "{}: {}", path.display(), refused.unwrap());
    }
}

/// What the reader alone, without the rules that link one key to another, says of a file.
fn read_problems(text: &str) -> Vec<String> {
    let tree = DeTable::parse(text).unwrap();
    let mut cx = Reading::new(text, &|_| Some("x".to_owned()));
    let root = Spanned::new(tree.span(), DeValue::Table(tree.into_inner()));
    raw::File::read(&root, &mut cx);
    cx.problems.into_iter().map(|problem| problem.message).collect()
}

/// What the reader knows and a schema does not: how long a time is.
const READER_ALONE: [&str; 3] = ["31 days", "finer than", "must be positive"];

/// Broken on purpose to see it fail: `additionalProperties` left out.
#[test]
fn what_the_reader_refuses_is_refused() {
    let judge = Judge::of(schema());
    let (mut refused, mut passed) = (0, Vec::new());
    for path in files("gateway/tests/config") {
        let text = fs::read_to_string(&path).unwrap();
        let about_references =
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("expand_"));
        if about_references || toml::from_str::<toml::Value>(&text).is_err() {
            continue; // what they stand for is known to the reader alone; the others are no TOML at all
        }
        let known = |problem: &String| READER_ALONE.iter().any(|alone| problem.contains(alone));
        if read_problems(&text).iter().all(known) {
            continue;
        }
        refused += 1;
        if judge.refuses_file(&text).is_none() {
            passed.push(path.display().to_string());
        }
    }
    assert_eq!(passed, Vec::<String>::new());
    assert!(refused > 40, "only {refused} files are for the reader");
}

/// Values that one or the other reader takes. (A schema holds 1.0 for whole.)
///
/// Broken on purpose to see it fail: the pattern of durations without fractions.
const VALUES: &[&str] = &[
    "true",
    "false",
    "0",
    "1",
    "-1",
    "1.5",
    "4294967296",
    "1_099_511_627_775",
    "1_099_511_627_776",
    "inf",
    "nan",
    "[]",
    "[\"a\"]",
    "[1]",
    "{}",
    "{ name = \"a\" }",
    "{ name = \"a\", weight = 2 }",
    "{ x = 1 }",
    "{ ttl = \"1h\" }",
    "{ after = \"p95\" }",
    "\"\"",
    "\"a\"",
    "\"0\"",
    "\"0s\"",
    "\"30s\"",
    "\" 1h 30m \"",
    "\"1h30m\"",
    "\"500ms\"",
    "\"1.5s\"",
    "\"1h 0.5 min\"",
    "\"1.s\"",
    "\".5s\"",
    "\"30 parsecs\"",
    "\"30\"",
    "\"soon\"",
    "\"40 days\"",
    "\"1us\"",
    "\"32MiB\"",
    "\"64 kB\"",
    "\"MiB\"",
    "\"1:2\"",
    "\"127.0.0.1:80\"",
    "\"[::1]:80\"",
    "\"localhost:80\"",
    "\"p95\"",
    "\"auto\"",
    "\"rolling\"",
    "\"capacity\"",
    "\"usd\"",
    "\"day\"",
    "\"tokens\"",
    "\"window\"",
    "\"10s\"",
    "\"models\"",
    "\"${SECRET}\"",
    "1979-05-27",
];

/// Which values reader and schema hold for different things: what only the reader can know.
fn differing<T: Read>() -> Vec<&'static str> {
    let form: Form = T::form();
    let judge = Judge::of(super::schema::of_form(&form));
    let differs = |value: &&str| {
        let text = format!("x = {value}");
        let tree = DeTable::parse(&text).unwrap();
        let mut cx = Reading::new(&text, &|_| Some("x".to_owned()));
        let is_read = T::read(&tree.get_ref()["x"], &mut cx).is_some() && cx.problems.is_empty();
        let json = serde_json::to_value(&toml::from_str::<toml::Table>(&text).unwrap()["x"]).unwrap();
        let is_taken = judge.refuses(&json).is_none();
        // What stands for a reference is known to the reader only.
        is_read != is_taken && !value.contains("${")
    };
    VALUES.iter().copied().filter(differs).collect()
}

#[test]
fn schema_and_reader_take_the_same_values() {
    let same: [(&str, Vec<&str>); 17] = [
        ("String", differing::<String>()),
        ("bool", differing::<bool>()),
        ("f64", differing::<f64>()),
        ("u32", differing::<u32>()),
        ("Count", differing::<Count>()),
        ("Limit", differing::<Limit>()),
        ("SocketAddr", differing::<SocketAddr>()),
        ("Words", differing::<Words>()),
        ("Weight", differing::<Weight>()),
        ("Target", differing::<Target>()),
        ("Affinity", differing::<Affinity>()),
        ("Hedge", differing::<Hedge>()),
        ("Pace", differing::<Pace>()),
        ("Reset", differing::<Reset>()),
        ("Checked", differing::<Checked>()),
        ("MeterKind", differing::<MeterKind>()),
        ("Strategy", differing::<Strategy>()),
    ];
    for (name, differing) in same {
        assert_eq!(differing, Vec::<&str>::new(), "{name}");
    }
    // How long a time is, and which units there are, is in the reader alone.
    let times = ["\"30 parsecs\"", "\"40 days\"", "\"1us\"", "\"32MiB\"", "\"64 kB\""];
    assert_eq!(differing::<Pause>(), times);
    let mut positive = times.to_vec();
    positive.insert(0, "\"0s\"");
    assert_eq!(differing::<Duration>(), positive);
    assert_eq!(differing::<After>(), positive);
    assert_eq!(differing::<Size>(), Vec::<&str>::new());
}
