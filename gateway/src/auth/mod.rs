//! From a key to the tenant that it belongs to, and to what restricts its calls.
//!
//! Keys are known by their SHA-256 alone. The tables are looked up by digest: how long that takes says something
//! about digests, not about keys. Those of the configuration come with it; those that were made at run time are in the
//! [`Keyring`].

pub mod page;
mod who;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use http::HeaderMap;
use sha2::{Digest as _, Sha256};

use crate::clock::{boot_ms, unix_now};
use crate::config::Config;
use crate::error::{Error, Kind};
use crate::keys::Keyring;
use crate::keys::entry::Standing;
use crate::keys::secret::{self, Digest};
pub use who::Who;

/// Shortest time that a client is asked to wait whose key cannot be looked up.
const UNHEARD_RETRY: Duration = Duration::from_secs(1);

/// Digests of every key of the configuration, and whether calls without one are served.
#[derive(Debug)]
pub struct Keys {
    tenants: AHashMap<Digest, usize>,
    by_name: AHashMap<Arc<str>, usize>,
    anonymous: bool,
    /// Only because nobody but this machine reaches the listener; then not for pages from elsewhere, which its browsers would call for.
    near_alone: bool,
}

impl Keys {
    /// Of a configuration. Without tenants, calls need no key on a loopback listener, or anywhere if it says so.
    pub fn new(config: &Config) -> Keys {
        let (mut tenants, mut by_name) = (AHashMap::new(), AHashMap::new());
        for (index, tenant) in config.tenants.iter().enumerate() {
            tenants.extend(tenant.keys.iter().map(|key| (Digest(*key), index)));
            by_name.insert(tenant.name.clone(), index);
        }
        let open = config.server.anonymous || config.server.listen.ip().is_loopback();
        let anonymous = config.tenants.is_empty() && open;
        Keys { tenants, by_name, anonymous, near_alone: !config.server.anonymous }
    }

    /// Whose call it is. A key of the form of those that are made at run time, and unknown, may have been made since the state was looked
    /// at last: the call waits for the next look.
    pub async fn who<'c>(
        &self,
        config: &'c Config,
        keyring: &Keyring,
        credentials: Credentials<'_>,
    ) -> Result<Who<'c>, Error> {
        if self.anonymous && self.near_alone && page::is_from_elsewhere(credentials.headers) {
            let message = "Without tenants this listener serves programs of this machine, not pages of other sites, nor under public names: set `anonymous` in `[server]`, or tenants.";
            return Err(Error::new(Kind::BadKey, message));
        }
        if self.anonymous {
            return Ok(Who::default());
        }
        let Some(key) = credentials.key() else {
            return Err(Error::new(
                Kind::BadKey,
                "You didn't provide an API key. Send it as 'Authorization: Bearer YOUR_KEY'.",
            ));
        };
        let digest = Digest::of(&key);
        let known = keyring.find(&digest);
        let is_revoked = known.as_ref().is_some_and(|(_, standing)| *standing == Standing::Revoked);
        let configured = self.tenants.get(&digest).and_then(|index| config.tenants.get(*index));
        if let Some(tenant) = configured.filter(|_| !is_revoked) {
            return Ok(Who { tenant: Some(tenant), ..Who::default() });
        }
        let known = match known {
            // (What no replica makes is no such key, and without tenants there is none.)
            None if secret::may_be(&key) && !self.by_name.is_empty() => {
                if !keyring.heard_after(boot_ms()).await {
                    let message =
                        "The gateway's shared state is not reachable, so this API key cannot be looked up.";
                    return Err(Error::new(Kind::StateAway, message).retry_after(UNHEARD_RETRY));
                }
                keyring.find(&digest)
            }
            known => known,
        };
        let (key, standing) = known.ok_or_else(unknown)?;
        good(standing)?;
        let tenant = self.by_name.get(&*key.entry.tenant).and_then(|index| config.tenants.get(*index));
        let unconfigured = || Error::new(Kind::BadKey, "The tenant of this API key is not configured.");
        let tenant = tenant.ok_or_else(unconfigured)?;
        key.note_use(unix_now());
        Ok(Who { tenant: Some(tenant), key: Some(key), digest: Some(digest) })
    }
}

fn unknown() -> Error {
    Error::new(Kind::BadKey, "Incorrect API key provided.")
}

/// Why a key that does not stand so is not served.
fn good(standing: Standing) -> Result<(), Error> {
    let message = match standing {
        Standing::Good => return Ok(()),
        Standing::Revoked => "This API key has been revoked.",
        Standing::Expired => "This API key has expired.",
        Standing::Replaced => "This API key has been replaced by another.",
    };
    Err(Error::new(Kind::BadKey, message))
}

/// Where a request may carry a key.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its query; empty if there is none.
    pub query: &'a str,
}

impl<'a> Credentials<'a> {
    /// The key, from whichever place its SDK uses: a header, else `key` in the query.
    pub fn key(self) -> Option<Cow<'a, [u8]>> {
        if let Some(key) = key_of(self.headers) {
            return Some(Cow::Borrowed(key));
        }
        if ["authorization", "x-api-key", "api-key", "x-goog-api-key"]
            .iter()
            .any(|name| self.headers.contains_key(*name))
        {
            return None; // an unusable one is not made good by another
        }
        let written = self.query.split('&').find_map(|pair| pair.strip_prefix("key="))?;
        let key = Cow::from(percent_encoding::percent_decode_str(written));
        (!key.is_empty()).then_some(key)
    }
}

/// The key in the headers.
fn key_of(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(value) = headers.get(http::header::AUTHORIZATION) {
        let value = value.as_bytes();
        let (scheme, key) = value.split_at_checked(7)?;
        return scheme
            .eq_ignore_ascii_case(b"bearer ")
            .then(|| key.trim_ascii())
            .filter(|key| !key.is_empty());
    }
    let named = ["x-api-key", "api-key", "x-goog-api-key"].iter().find_map(|name| headers.get(*name));
    named.map(|value| value.as_bytes().trim_ascii()).filter(|key| !key.is_empty())
}

/// `sha256:<hex>` of a key, as the configuration wants it.
pub fn hash(key: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(key.as_bytes())))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
