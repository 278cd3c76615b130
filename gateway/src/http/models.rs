//! The models that a key may use, as the client's API lists them.

use crate::auth::Credentials;
use crate::dialect::voice::{Voice, models};
use crate::error::Error;
use crate::pipeline;
use crate::shared::Worker;

/// All of them, and the names that rules make; wildcards are left out, for they name no model.
pub(super) async fn list(
    worker: &Worker,
    voice: Voice,
    credentials: Credentials<'_>,
) -> Result<Vec<u8>, Error> {
    let snapshot = worker.shared.snapshot.load_full();
    let who = worker.shared.who(&snapshot, credentials).await?;
    let allowed = |name: &&str| who.may_use(name);
    let models = snapshot.config.models.iter().filter(|model| !model.wildcard);
    let names = models.flat_map(|model| {
        std::iter::once(model.name.as_str()).chain(model.aliases.iter().map(String::as_str))
    });
    let by_rules = snapshot.config.rule_names.iter().map(String::as_str);
    let names: Vec<&str> = names.chain(by_rules).filter(allowed).collect();
    Ok(models::list(voice, &names, credentials.query))
}

/// One of them.
pub(super) async fn one(
    worker: &Worker,
    voice: Voice,
    name: &str,
    credentials: Credentials<'_>,
) -> Result<Vec<u8>, Error> {
    let snapshot = worker.shared.snapshot.load_full();
    let who = worker.shared.who(&snapshot, credentials).await?;
    pipeline::choice::asked(&snapshot, &who, name)?;
    Ok(models::one(voice, name))
}
