//! `weir import litellm` and `weir schema` as commands: what goes where, and how they end.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn weir(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).env_clear().output().unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import").join(name)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What cannot be translated is told, and is no failure.
#[test]
fn the_result_goes_out_and_the_list_to_standard_error() {
    let file = fixture("simple.yaml").display().to_string();
    let printed = weir(&["import", "litellm", &file]);
    assert!(printed.status.success());
    let list = text(&printed.stderr);
    assert!(list.contains(&format!("{file}:16: model_list[3]: not translated: ")), "{list}");
    assert!(list.contains(&format!("{file}:10: model_list[1].litellm_params.api_key: to do: ")), "{list}");
    assert!(!list.contains("hunter2") && !text(&printed.stdout).contains("hunter2"));

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("weir.toml");
    let written = weir(&["import", "litellm", &file, "--out", &out.display().to_string()]);
    assert!(written.status.success() && written.stdout.is_empty());
    assert_eq!(std::fs::read(&out).unwrap(), printed.stdout);
    // What is there already may have been edited.
    std::fs::write(&out, "mine").unwrap();
    let refused = weir(&["import", "litellm", &file, "--out", &out.display().to_string()]);
    assert_eq!((refused.status.code(), std::fs::read(&out).unwrap()), (Some(1), b"mine".to_vec()));
    assert!(
        weir(&["import", "litellm", &file, "--out", &out.display().to_string(), "--force"]).status.success()
    );
    assert_eq!(std::fs::read(&out).unwrap(), printed.stdout);

    let check = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["check", "--config", &out.display().to_string()])
        .env_clear()
        .envs([("OPENAI_API_KEY", "made-up"), ("ANTHROPIC_API_KEY", "made-up")])
        .output()
        .unwrap();
    assert!(check.status.success(), "{}", text(&check.stderr));
}

#[test]
fn what_cannot_be_read_ends_with_1_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (file, out) = (folder.path().join("config.yaml"), folder.path().join("weir.toml"));
    std::fs::write(&file, "model_list:\n  - {model_name: [}\n").unwrap();
    for path in [file, folder.path().join("nowhere.yaml")] {
        let ended =
            weir(&["import", "litellm", &path.display().to_string(), "--out", &out.display().to_string()]);
        assert_eq!(ended.status.code(), Some(1));
        assert!(text(&ended.stderr).contains(&path.display().to_string()));
        assert!(!out.exists());
    }
    assert_eq!(weir(&["import", "litellm"]).status.code(), Some(2));
}

#[test]
fn the_schema_is_printed_as_it_is_shipped() {
    let printed = weir(&["schema"]);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/weir.schema.json");
    assert_eq!(text(&printed.stdout), std::fs::read_to_string(shipped).unwrap());
}
