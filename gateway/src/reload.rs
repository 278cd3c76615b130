//! Reading the configuration again while calls are served.
//!
//! A call keeps the snapshot that it began with; the next one gets the new. A file with a mistake changes nothing and is
//! told in the log, in the metrics and on the admin pages.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, Report, Sources, Watch};
use crate::shared::Shared;

/// How often the files are looked at.
pub const LOOK: Duration = Duration::from_secs(1);

/// Reloads the configuration of one replica.
#[derive(Debug)]
pub struct Reloader {
    path: PathBuf,
    watch: Watch,
    shared: Arc<Shared>,
}

impl Reloader {
    /// Of the replica `shared`, which was configured from `path` and what else is in `sources`.
    pub fn new(path: PathBuf, sources: Sources, shared: Arc<Shared>) -> Reloader {
        Reloader { path, watch: Watch::new(sources), shared }
    }

    /// Reads the configuration again if a file of it has changed.
    pub async fn look(&mut self) {
        let known = self.watch.known().clone();
        // Files may be slow, and this runtime keeps the replica alive in the shared state.
        match tokio::task::spawn_blocking(move || known.again()).await {
            Ok(now) => {
                if self.watch.settled(now) {
                    self.reload().await;
                }
            }
            Err(err) => self.failed(&err),
        }
    }

    /// Reads the configuration again, changed or not.
    pub async fn reload(&mut self) {
        let (path, shared) = (self.path.clone(), self.shared.clone());
        let span = tracing::info_span!(target: "weir::config", "reload configuration");
        let work = move || {
            let _span = span.entered();
            let (config, sources) = Config::load_from(&path);
            match config {
                Ok(config) => adopt(&shared, config),
                Err(report) => refuse(&shared, &report),
            }
            sources
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(sources) => self.watch = Watch::new(sources),
            Err(err) => self.failed(&err),
        }
    }

    /// A panic costs the reload, not the replica.
    fn failed(&self, err: &tokio::task::JoinError) {
        tracing::error!(target: "weir::config", error = %err, "reload failed");
        self.shared.refused(vec!["the reload failed; see the log".to_owned()]);
    }
}

fn adopt(shared: &Shared, config: Config) {
    let (hash, cautions) = (config.hash.clone(), config.cautions());
    match shared.adopt(config) {
        Ok(changes) => {
            for caution in cautions {
                tracing::warn!(target: "weir::config", caution, "worth a look");
            }
            for setting in changes.kept {
                tracing::warn!(target: "weir::config", setting, "needs a restart; it stays as it was");
            }
            for pool in changes.anew {
                tracing::warn!(
                    target: "weir::config", pool = %pool,
                    "other limits than before: what was used of them is not known, they begin anew"
                );
            }
            tracing::info!(target: "weir::config", hash, "configuration reloaded");
        }
        Err(err) => {
            let line = format!("{err:#}");
            tracing::error!(target: "weir::config", problem = line, "configuration refused; the one before stays");
            shared.refused(vec![line]);
        }
    }
}

fn refuse(shared: &Shared, report: &Report) {
    let lines = report.lines();
    for problem in &lines {
        tracing::error!(target: "weir::config", problem, "configuration refused; the one before stays");
    }
    shared.refused(lines);
}
