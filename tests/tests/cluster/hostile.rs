//! A hostile tenant. `acme` works; `mallory`, who has good keys of its own, tries to read what is acme's, to use more than its own limits,
//! to reach the operators' pages, and to have a replica call somebody whom the configuration does not name. Each try is a case with a name,
//! made at each of three replicas, and a failure says what leaked. The judges are the very bytes that mallory gets, the providers' logs,
//! and a listener that must hear nothing.

mod calls_out;
mod kept;
mod limits;
mod listeners;
mod operators;
mod reads;
mod sessions;
mod wire;

use anyhow::{Result, ensure};
use weir::auth::hash;
use weir_tests::provider::{Provider, Upstream};
use weir_tests::site::{Plan, Site};

use wire::{Raw, Said};

const QUICK: &str = "--output 4 --latency 2ms --pace 0ms";
const ACME: &str = "sk-acme-5f2d8c0b7e914a36";
const MALLORY: &str = "sk-mallory-0b7e914a365f2d8c";
/// Another key of the same tenant.
const MALLORYS_OTHER: &str = "sk-mallory-other-7e914a365f2d";
/// Of the listener of operators.
const TOKEN: &str = "the-operators-token-914a365f2d8c0b7e";

/// A try.
struct Case {
    name: String,
    sends: Raw,
}

fn case(name: impl Into<String>, sends: Raw) -> Case {
    Case { name: name.into(), sends }
}

/// The two tenants; limits and what else they have as TOML.
fn tenants(acme: &str, mallory: &str) -> String {
    format!(
        "[[tenants]]\nname = \"acme\"\nkeys = [\"{}\"]\n{acme}\n\
         [[tenants]]\nname = \"mallory\"\nkeys = [\"{}\", \"{}\"]\n{mallory}\n",
        hash(ACME),
        hash(MALLORY),
        hash(MALLORYS_OTHER)
    )
}

/// What has failed is asked again soon, so that each try comes to its provider.
const PATIENT: &str = "circuit = { enabled = false }\ncooldown = { default = \"1ms\", max = \"20ms\" }\n";

/// Three replicas, with models and tenants as written, and a token at the operators' listener.
async fn start(name: &str, upstreams: Vec<Upstream>, models: String) -> Result<Site> {
    let plan = Plan::new(name, upstreams);
    let server = format!("{}admin_token = \"{TOKEN}\"\n", plan.server);
    Site::start(Plan { models: Some(models), server, defaults: PATIENT.to_owned(), ..plan }).await
}

/// Makes a try at every replica; what comes back is judged by `judge`.
async fn at_each(site: &Site, case: &Case, mut judge: impl FnMut(&Said) -> Result<()>) -> Result<()> {
    for (at, replica) in site.replicas.iter().enumerate() {
        let said = case.sends.to(replica.addr()).await?;
        judge(&said).map_err(|error| error.context(format!("{:?} at replica {at}", case.name)))?;
    }
    Ok(())
}

/// Fails if an answer holds one of these marks that the request did not hold itself.
fn must_not_tell(marks: &[&str], sends: &Raw, said: &Said) -> Result<()> {
    let sent = sends.text();
    for mark in marks.iter().filter(|mark| !sent.contains(**mark)) {
        ensure!(!said.text.contains(mark), "{mark:?} leaked: {}", said.text);
    }
    Ok(())
}

/// How many requests each provider has seen.
async fn arrived(providers: &[Provider]) -> Result<Vec<usize>> {
    let mut counts = Vec::new();
    for provider in providers {
        counts.push(provider.arrivals().await?.len());
    }
    Ok(counts)
}
