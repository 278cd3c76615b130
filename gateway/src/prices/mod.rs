//! `weir prices`: which price each deployment has, and another table in place of the one there is.

mod difference;
mod litellm;
mod show;

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context as _;

use crate::config::{Config, Deployment, Prices};
use crate::upstream::fetch;

pub use show::show;

/// How long fetching a table may take.
const WITHIN: Duration = Duration::from_secs(30);

/// Takes a table from a file or an URL, and says what is other in it than in that of `out`, or in the one that is built in. It is
/// written there if there is an `out`; nothing is if it is wrong, or if a deployment of `config` would lose its price by it.
pub async fn update(
    from: &str,
    out: Option<&Path>,
    config: Option<&Config>,
    today: u64,
) -> anyhow::Result<String> {
    let text = read(from).await?;
    let (text, left_out) = if text.trim_start().starts_with('{') {
        litellm::table(&text, from, &day(today)).with_context(|| from.to_owned())?
    } else {
        (text, 0)
    };
    let name = PathBuf::from(from);
    let new = Prices::read(&name, &text).map_err(|report| anyhow::anyhow!("{report}"))?;
    if let Some(lost) = config.map(|config| lost(config, &new, today)).filter(|lost| !lost.is_empty()) {
        anyhow::bail!("{from} has no price for {}: nothing is written", lost.join(", "));
    }
    let before = out.and_then(|out| std::fs::read_to_string(out).ok());
    let old = match (&before, out) {
        // What is wrong there is no reason to leave it.
        (Some(text), Some(out)) => Prices::read(out, text).unwrap_or_default(),
        _ => Prices::default(),
    };
    let built_in = Prices::built_in().map_err(|report| anyhow::anyhow!("{report}"))?;
    let old = if old.is_read() { &old } else { &*built_in };
    let mut said = difference::lines(old, &new).join("\n");
    let mut say = |line: String| {
        said.push_str(if said.is_empty() { "" } else { "\n" });
        said.push_str(&line);
    };
    if left_out > 0 {
        say(format!("{left_out} entries were left out: of other providers, or without a price per token"));
    }
    match out {
        None => say("nothing is written: no --out".to_owned()),
        Some(out) if before.as_deref() == Some(&text) => say(format!("{} is the same", out.display())),
        Some(out) => {
            write(out, &text).with_context(|| out.display().to_string())?;
            say(format!("{} is written: {} prices", out.display(), new.rows().count()));
        }
    }
    Ok(said)
}

/// Deployments that have a price of the table which holds, and would have none.
fn lost(config: &Config, new: &Prices, unix: u64) -> Vec<String> {
    let is_lost = |deployment: &&Deployment| {
        let provider = &deployment.account.preset.name;
        deployment.pricing.listed_at(unix).is_some() && new.of(provider, &deployment.model).at(unix).is_none()
    };
    let lost = config.deployments.iter().filter(is_lost);
    lost.map(|deployment| deployment.name.to_string()).collect()
}

async fn read(from: &str) -> anyhow::Result<String> {
    let most = crate::config::LONGEST_PRICES;
    let bytes = if from.starts_with("https://") || from.starts_with("http://") {
        let fetched = fetch::get(from, most, WITHIN).await;
        fetched.map_err(|why| anyhow::anyhow!("{from}: {why}"))?
    } else {
        let size = std::fs::metadata(from).with_context(|| from.to_owned())?.len();
        anyhow::ensure!(size <= most, "{from}: longer than {} MiB", most >> 20);
        std::fs::read(from).with_context(|| from.to_owned())?
    };
    String::from_utf8(bytes).with_context(|| format!("{from}: not UTF-8"))
}

/// As a whole or not at all: whoever reads it meanwhile finds the one before. Who may read it stays as it was, and a link a link.
fn write(out: &Path, text: &str) -> anyhow::Result<()> {
    let there = std::fs::canonicalize(out).ok(); // none: it is new
    let out = there.as_deref().unwrap_or(out);
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}", std::process::id()));
    let written = std::fs::File::create(&beside).and_then(|mut file| {
        if there.is_some() {
            stay(&file, &std::fs::metadata(out)?)?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, out)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&beside); // it may not be there
    }
    written.context("could not be written")?;
    // The name as well, where a directory can be synced.
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.context("it is written, but its folder could not be synced")
}

/// Gives a file the owner and the mode that the one before has.
fn stay(file: &std::fs::File, before: &std::fs::Metadata) -> std::io::Result<()> {
    let now = file.metadata()?;
    if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
        std::os::unix::fs::fchown(file, Some(before.uid()), Some(before.gid()))?;
    }
    file.set_permissions(before.permissions())
}

/// `2026-11-30`.
fn day(unix: u64) -> String {
    let text = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(unix)).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// `2026-11-30`, or with a time if it is not the beginning of a day.
fn moment(unix: u64) -> String {
    if unix.is_multiple_of(24 * 3600) {
        return day(unix);
    }
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(unix)).to_string()
}

#[cfg(test)]
mod tests;
