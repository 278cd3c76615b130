//! Where things are: binaries, the judge, the folder of a test's files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

/// The build directory that this test binary lies in: its executable is `<target>/<profile>/deps/NAME`.
pub fn target() -> Result<PathBuf> {
    let own = std::env::current_exe().context("where is this test?")?;
    let target = own.ancestors().nth(3).context("this test does not lie in a build directory")?;
    Ok(target.to_owned())
}

/// The gateway: `WEIR_BIN`, else the release build beside this test.
pub fn weir() -> Result<PathBuf> {
    let path = match std::env::var_os("WEIR_BIN") {
        Some(path) => PathBuf::from(path),
        None => target()?.join("release/weir"),
    };
    if !path.is_file() {
        bail!("no gateway at {}: run `cargo build --release` first, or set WEIR_BIN", path.display());
    }
    Ok(path)
}

/// A gateway that can be damaged on purpose: `WEIR_CONTROLS_BIN`, else one built now with the feature `controls` in
/// a build directory of its own. `WEIR_CONTROLS_PROFILE` names cargo's profile (`dev`).
pub fn damageable_weir() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("WEIR_CONTROLS_BIN") {
        return Ok(path.into());
    }
    let profile = std::env::var("WEIR_CONTROLS_PROFILE").unwrap_or_else(|_| "dev".into());
    let folder = target()?.join("controls");
    let status = std::process::Command::new(env!("CARGO"))
        .args(["build", "--package", "weir", "--bin", "weir", "--features", "controls"])
        .args(["--profile", &profile])
        .arg("--target-dir")
        .arg(&folder)
        .current_dir(workspace())
        .status()
        .context("cargo cannot be run")?;
    if !status.success() {
        bail!("the gateway with the feature `controls` does not build");
    }
    let built = if profile == "dev" { "debug" } else { &profile };
    Ok(folder.join(built).join("weir"))
}

/// The root of the repository.
pub fn workspace() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// The judge of raw arrival logs.
pub fn judge() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("judge.py")
}

/// An empty folder for what the test `name` writes; another one each time that this process asks, for tests run side by
/// side, and a replica takes its configuration from there whenever it changes.
pub fn folder(name: &str) -> Result<PathBuf> {
    static GIVEN: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());
    let times = {
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        let times = given.entry(name.to_owned()).or_default();
        *times += 1;
        *times
    };
    let own = if times == 1 { name.to_owned() } else { format!("{name}-{times}") };
    let folder = target()?.join("cluster").join(own);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        Err(_) | Ok(()) => {}
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
