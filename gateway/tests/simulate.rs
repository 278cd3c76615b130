//! `weir simulate` as a command: what is read, what is printed, how it ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

/// A secret that is not set, one in a file that is not there, and a name that would be markup.
const CONFIG: &str = "version = 1
[[accounts]]
name = \"a\"
provider = \"openai\"
api_key = \"${NOT_SET_ANYWHERE}\"
limits = { rpm = 60 }
[[accounts]]
name = \"b\"
provider = \"openai\"
api_key = \"${file:/nowhere/at/all}\"
[[deployments]]
name = \"d:1\"
account = \"a\"
model = \"gpt-4o-mini\"
[[models]]
name = \"m\"
deployments = [\"d:1\"]
queue = { max = 0 }
";

fn weir(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.current_dir(folder).env_clear().args(["simulate", "--config", "weir.toml"]).args(arguments);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Broken on purpose to see it fail: the configuration loaded as for serving, names on the page as they are.
#[test]
fn a_load_is_simulated_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("weir.toml"), CONFIG).unwrap();
    let quick = ["--rps", "2", "--model", "m", "--for", "310s", "--warm-up", "62s", "--html", "report.html"];
    let told = weir(folder, &quick);
    let (out, err) = (text(&told.stdout), text(&told.stderr));
    assert!(told.status.success() && err.is_empty(), "{err}");
    for part in
        ["DEPLOYMENT", "account/a stands in the way first", "3 accounts of its size", "calls were served"]
    {
        assert!(out.contains(part), "{part}: {out}");
    }
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains("<td>d:1</td>") && page.contains("<svg") && page.ends_with("</html>\n"));

    std::fs::write(
        folder.join("load.toml"),
        "duration = \"2m\"\nseed = 4\n[[calls]]\nmodel = \"m\"\nrps = 0.5\n",
    )
    .unwrap();
    let json = |more: &[&str]| {
        let told = weir(folder, &[&["--load", "load.toml", "--json"][..], more].concat());
        assert!(told.status.success(), "{}", text(&told.stderr));
        serde_json::from_slice::<serde_json::Value>(&told.stdout).unwrap()
    };
    let once = json(&[]);
    assert_eq!((&once["replicas"], &once["seed"], &once["seconds"]), (&3.into(), &4.into(), &120.0.into()));
    assert!(once["total"]["share"].as_f64().unwrap() > 0.99, "{}", once["total"]);
    assert_eq!((once.clone(), once != json(&["--seed", "5"])), (json(&[]), true));
    assert!(json(&["--times", "4"])["total"]["share"].as_f64().unwrap() < 0.6);
}

/// Every configuration in the repository, on a machine where none of what it refers to is set. Broken on purpose to see it fail: the
/// same word for whatever is not set.
#[test]
fn every_example_is_simulated_though_nothing_is_set() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    let folders = [config.clone(), config.join("examples")];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    let read = |path: &Path| toml::from_str::<toml::Table>(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut count = 0;
    for path in files.iter().filter(|path| path.extension().is_some_and(|end| end == "toml")) {
        let Some(models) = read(path).get("models").and_then(|models| models.as_array().cloned()) else {
            continue;
        };
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.env_clear().args(["simulate", "--rps", "1", "--for", "5s", "--runs", "0", "--json"]);
        command.arg("--config").arg(path).args(["--model", models[0]["name"].as_str().unwrap()]);
        let told = command.output().unwrap();
        assert!(told.status.success(), "{}: {}", path.display(), text(&told.stderr));
        count += 1;
    }
    assert!(count >= 10, "{count} files");
}

/// A log of Weir's is played again, and what of it cannot be is told. Broken on purpose to see it fail: such lines passed over silently.
#[test]
fn a_log_is_played_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("weir.toml"), CONFIG).unwrap();
    let line = |at: u32, model: &str| {
        format!(
            "{{\"timestamp\":\"2026-11-30T10:{:02}:{:02}.000000Z\",\"level\":\"INFO\",\"target\":\"weir::call\",\"tenant\":\"\",\"model\":\"{model}\",\"stream\":true,\
             \"status\":200,\"input_tokens\":10,\"output_tokens\":5,\"held_tokens\":0,\"duration_ms\":1200.0,\"first_token_ms\":300.0,\"upstream_ms\":1100.0}}\n",
            at / 60,
            at % 60
        )
    };
    let log: String = (0..300).map(|at| line(at, if at % 10 == 0 { "gone" } else { "m" })).collect();
    std::fs::write(folder.join("calls.log"), log + "{\"broken\n").unwrap();
    let told = weir(folder, &["--load", "calls.log", "--warm-up", "0s", "--json", "--times", "0.5"]);
    let err = text(&told.stderr);
    assert!(told.status.success(), "{err}");
    assert!(err.contains("calls.log:301: warning") && err.contains("30 calls of model gone"), "{err}");
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    let came = told["total"]["came"].as_u64().unwrap();
    assert!((100..170).contains(&came), "{came}");
    assert!(
        (told["total"]["latency_ms"][1].as_f64().unwrap() / 1_100.0 - 1.0).abs() < 0.02,
        "{}",
        told["total"]
    );
}

/// Broken on purpose to see it fail: exit code 0 after a report of mistakes.
#[test]
fn mistakes_are_told_at_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("weir.toml"), CONFIG).unwrap();
    std::fs::write(folder.join("load.toml"), "[[calls]]\nmodel = \"x\"\nrps = 1.0\n").unwrap();
    let fails = |arguments: &[&str], code: i32, part: &str| {
        let told = weir(folder, arguments);
        assert_eq!(told.status.code(), Some(code), "{}", text(&told.stderr));
        assert!(text(&told.stderr).contains(part) && told.stdout.is_empty(), "{}", text(&told.stderr));
    };
    fails(&["--load", "load.toml"], 1, "the configuration has no model `x`");
    fails(&["--load", "load.toml"], 1, "load.toml:2:9");
    fails(&["--load", "absent.log"], 1, "absent.log");
    fails(&["--rps", "1", "--model", "y"], 1, "no model `y`");
    fails(&["--rps", "0", "--model", "m"], 2, "a number above 0");
    fails(&["--rps", "1", "--model", "m", "--for", "0s"], 2, "a time above 0s");
    fails(&["--rps", "1", "--model", "m", "--html", "absent/x.html"], 1, "absent/x.html cannot be written");
    fails(&[], 2, "--load");
    std::fs::write(folder.join("weir.toml"), "version = 2\n").unwrap();
    fails(&["--rps", "1", "--model", "m"], 1, "weir.toml:1:11");
}
