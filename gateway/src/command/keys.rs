//! `weir keys`: makes, lists, rotates and revokes keys, through the admin listener of any replica.
//!
//! A key that was made stands alone on standard output, so that a script can take it; what is to be known of it, on standard error.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Once;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::{Args, Subcommand};
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::asking;
use crate::auth;
use crate::config::cautions::is_in_clear;
use crate::keys::wanted::Wanted;

/// The whole of it takes no longer.
const WHOLE: Duration = Duration::from_secs(30);
/// Bytes of an answer that are read: a list comes in parts.
const PART: usize = 1_000;
const LONGEST: usize = 64 << 20;
/// It is said once that others can read the token on its way.
static IN_CLEAR: Once = Once::new();

/// What is done to keys.
#[derive(Subcommand)]
pub enum Command {
    /// Make a key; it is printed once, and kept nowhere.
    Create(Create),
    /// List keys: without what they are.
    List(List),
    /// Put another key in the place of one.
    Rotate(Rotate),
    /// End a key for good.
    Revoke(Revoke),
    /// Print the hash of a key for `tenants.keys`; the key is read from standard input.
    Hash,
}

/// Whom to ask.
#[derive(Args)]
pub struct Admin {
    /// The admin listener of a replica, any one.
    #[arg(long, env = "WEIR_ADMIN", default_value = "http://127.0.0.1:8081")]
    admin: String,
    /// Its `admin_token`. Better in the environment, for others can read command lines.
    #[arg(long, env = "WEIR_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<SecretString>,
    /// Print the whole answer, JSON.
    #[arg(long)]
    json: bool,
}

/// A key to be made.
#[derive(Args)]
pub struct Create {
    #[command(flatten)]
    admin: Admin,
    /// Whose it is: a tenant of the configuration.
    #[arg(long)]
    tenant: String,
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    /// When it ends: a time such as 2027-01-31T00:00:00Z, or how long from now, such as 90d.
    #[arg(long)]
    expires: Option<String>,
    /// A model that it may use, of those of its tenant; `*` at the end for all that begin so. Again for more.
    #[arg(long = "model")]
    models: Vec<String>,
    /// A tag that deployments must have for its calls. Again for more.
    #[arg(long = "tag")]
    tags: Vec<String>,
    /// A limit of its own, such as rpm=60, tpm=100000 or concurrency=2. Again for more.
    #[arg(long = "limit", value_parser = limit)]
    limits: Vec<(String, u64)>,
    /// How urgent its calls are: high, normal or low; no more than its tenant's.
    #[arg(long)]
    priority: Option<String>,
    /// Something to remember with it, such as owner=ann. Again for more.
    #[arg(long, value_parser = pair)]
    metadata: Vec<(String, String)>,
}

/// Which keys to list.
#[derive(Args)]
pub struct List {
    #[command(flatten)]
    admin: Admin,
    /// Those of this tenant.
    #[arg(long)]
    tenant: Option<String>,
}

/// A key to be replaced.
#[derive(Args)]
pub struct Rotate {
    #[command(flatten)]
    admin: Admin,
    /// Its id.
    id: String,
    /// For how long the key that it replaces goes on, such as 24h; 0s if it has leaked.
    #[arg(long)]
    grace: String,
}

/// A key to be ended.
#[derive(Args)]
pub struct Revoke {
    #[command(flatten)]
    admin: Admin,
    /// Its id.
    id: String,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn limit(text: &str) -> Result<(String, u64), String> {
    let (name, value) = pair(text)?;
    Ok((name, value.replace('_', "").parse().map_err(|err| format!("{err}"))?))
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(asked) => create(asked).await,
        Command::List(asked) => list(asked).await,
        Command::Rotate(Rotate { admin, id, grace }) => {
            let path = format!("/admin/v1/keys/{}/rotate", encoded(&id));
            made(&admin, &admin.ask(Method::POST, &path, Some(json!({ "grace": grace }))).await?)
        }
        Command::Revoke(Revoke { admin, id }) => {
            let path = format!("/admin/v1/keys/{}", encoded(&id));
            let answer = admin.ask(Method::DELETE, &path, None).await?;
            if admin.json {
                return print(&answer.to_string());
            }
            print(&format!("{} is revoked since {}", text(&answer["id"]), text(&answer["revoked"])))
        }
        Command::Hash => {
            let mut key = String::new();
            std::io::stdin().read_line(&mut key)?;
            print(&auth::hash(key.trim_end_matches(['\r', '\n'])))
        }
    }
}

async fn create(asked: Create) -> anyhow::Result<()> {
    let Create { admin, tenant, name, expires, models, tags, limits, priority, metadata } = asked;
    let wanted = Wanted {
        tenant,
        name,
        expires,
        models: (!models.is_empty()).then_some(models),
        tags,
        limits: once("--limit", limits)?,
        priority,
        metadata: once("--metadata", metadata)?,
    };
    made(&admin, &admin.ask(Method::POST, "/admin/v1/keys", Some(serde_json::to_value(wanted)?)).await?)
}

/// Each name once: of two values nobody knows which is meant.
fn once<T>(what: &str, pairs: Vec<(String, T)>) -> anyhow::Result<BTreeMap<String, T>> {
    let mut all = BTreeMap::new();
    for (name, value) in pairs {
        if all.contains_key(&name) {
            bail!("{what} {name} is given twice");
        }
        all.insert(name, value);
    }
    Ok(all)
}

/// Shows a key that was made.
fn made(admin: &Admin, answer: &Value) -> anyhow::Result<()> {
    if admin.json {
        return print(&answer.to_string());
    }
    let key = answer["key"].as_str().context("the answer holds no key")?;
    if let Some(warning) = answer["warning"].as_str() {
        eprintln!("warning: {warning}");
    }
    eprintln!(
        "id {}, tenant {}, expires {}; the key is shown this once:",
        text(&answer["id"]),
        text(&answer["tenant"]),
        text(&answer["expires"])
    );
    print(key)
}

async fn list(asked: List) -> anyhow::Result<()> {
    let List { admin, tenant } = asked;
    let (keys, stale) = all(&admin, tenant.as_deref()).await?;
    if admin.json {
        return print(&json!({ "keys": keys, "stale": stale }).to_string());
    }
    let head = ["ID", "TENANT", "NAME", "STATE", "KEY", "MADE", "EXPIRES", "LAST USED"].map(str::to_owned);
    let row = |key: &Value| {
        let hints: Vec<String> =
            key["keys"].as_array().into_iter().flatten().map(|one| text(&one["hint"])).collect();
        let column = |name: &str| text(&key[name]);
        let [id, tenant, name, state] = ["id", "tenant", "name", "state"].map(column);
        let [made, expires, used] = ["made", "expires", "last_used"].map(column);
        [id, tenant, name, state, hints.join(" "), made, expires, used]
    };
    let rows: Vec<[String; 8]> = std::iter::once(head).chain(keys.iter().map(row)).collect();
    print(&table(&rows))?;
    if stale {
        eprintln!("weir: this replica has not heard of keys for a while: the list may be old");
    }
    Ok(())
}

/// All parts of the list; whether it may be old.
async fn all(admin: &Admin, tenant: Option<&str>) -> anyhow::Result<(Vec<Value>, bool)> {
    let of = tenant.map_or(String::new(), |tenant| format!("&tenant={}", encoded(tenant)));
    let (mut keys, mut stale, mut after) = (Vec::new(), false, String::new());
    loop {
        let mut part =
            admin.ask(Method::GET, &format!("/admin/v1/keys?limit={PART}{of}{after}"), None).await?;
        let Value::Array(some) = part["keys"].take() else { bail!("the answer holds no list") };
        keys.extend(some);
        stale |= part["stale"] == true;
        match part["next"].as_str() {
            Some(next) => after = format!("&after={}", encoded(next)),
            None => return Ok((keys, stale)),
        }
    }
}

/// Columns below each other.
fn table(rows: &[[String; 8]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |row: &[String; 8]| {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{text}")?)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| "-".to_owned(), printable)
}

/// Names are what somebody wrote: nothing of them shall act on a terminal.
fn printable(text: &str) -> String {
    // (Marks of direction are no control characters, and let a line be read as another.)
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if acts(c) { '?' } else { c }).collect()
}

fn encoded(part: &str) -> String {
    utf8_percent_encode(part, NON_ALPHANUMERIC).to_string()
}

impl Admin {
    /// The answer to a request; an error is the listener's own words.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let mut request =
            Request::builder().method(method).uri(format!("{}{path}", self.admin.trim_end_matches('/')));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        }
        let body = body.map_or(Bytes::new(), |body| body.to_string().into());
        let request = request.header(header::CONTENT_TYPE, "application/json").body(Full::new(body));
        let request = request.context("--admin is no URL")?;
        if self.token.is_some() && is_in_clear(request.uri()) {
            IN_CLEAR.call_once(|| eprintln!("weir: warning: the token goes to {} without TLS", self.admin));
        }
        let asked = asking(request, WHOLE, LONGEST).await;
        let (status, body) = asked.with_context(|| format!("{} cannot be asked", self.admin))?;
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        match status {
            StatusCode::OK | StatusCode::CREATED => Ok(answer),
            StatusCode::UNAUTHORIZED => {
                bail!("the admin token is wrong or missing: --token or WEIR_ADMIN_TOKEN")
            }
            status => match answer["error"]["message"].as_str() {
                Some(message) => bail!("{}", printable(message)),
                None => bail!("{} answers with status {}", self.admin, status.as_u16()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_pairs_are_read_as_written() {
        assert_eq!(limit("tpm=100_000"), Ok(("tpm".into(), 100_000)));
        assert_eq!(pair("note=a=b"), Ok(("note".into(), "a=b".into())));
        for wrong in ["rpm", "rpm=", "rpm=-1", "rpm=x"] {
            assert!(limit(wrong).is_err(), "{wrong}");
        }
        let twice = [("rpm", 1), ("tpm", 2), ("rpm", 500)].map(|(name, value)| (name.to_owned(), value));
        assert_eq!(once("--limit", twice[..2].to_vec()).unwrap().len(), 2);
        assert!(once("--limit", twice.to_vec()).is_err());
    }

    #[test]
    fn a_table_has_its_columns_below_each_other_and_nothing_acts_on_the_terminal() {
        let row =
            |name: &str| std::array::from_fn(|at| if at == 2 { name.to_owned() } else { "x".to_owned() });
        let shown = table(&[row("NAME"), row("a longer one")]);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0].rfind("  x"), lines[1].rfind("  x"));
        assert_eq!(text(&"\u{1b}[2J".into()), "?[2J");
        assert_eq!(text(&"\u{202e}evil\u{2069}".into()), "?evil?");
    }
}
