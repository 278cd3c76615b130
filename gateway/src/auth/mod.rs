//! From a key to the tenant that it belongs to.
//!
//! Keys are known by their SHA-256 alone. The table is looked up by digest: how long that takes says something
//! about digests, not about keys.

use std::borrow::Cow;

use ahash::AHashMap;
use http::HeaderMap;
use sha2::{Digest, Sha256};

use crate::config::{Config, Tenant};
use crate::error::{Error, Kind};

/// Digests of every key, and whether calls without one are served.
#[derive(Debug)]
pub struct Keys {
    tenants: AHashMap<[u8; 32], usize>,
    anonymous: bool,
}

impl Keys {
    /// Of a configuration. Without tenants, calls need no key on a loopback listener, or anywhere if it says so.
    pub fn new(config: &Config) -> Keys {
        let mut tenants = AHashMap::new();
        for (index, tenant) in config.tenants.iter().enumerate() {
            tenant.keys.iter().for_each(|key| {
                tenants.insert(*key, index);
            });
        }
        let open = config.server.anonymous || config.server.listen.ip().is_loopback();
        Keys { tenants, anonymous: config.tenants.is_empty() && open }
    }

    /// Whose call it is; `None` for an anonymous one.
    pub fn tenant<'a>(
        &self,
        config: &'a Config,
        credentials: Credentials<'_>,
    ) -> Result<Option<&'a Tenant>, Error> {
        if self.anonymous {
            return Ok(None);
        }
        let Some(key) = credentials.key() else {
            return Err(Error::new(
                Kind::BadKey,
                "You didn't provide an API key. Send it as 'Authorization: Bearer YOUR_KEY'.",
            ));
        };
        let digest: [u8; 32] = Sha256::digest(&*key).into();
        match self.tenants.get(&digest).and_then(|index| config.tenants.get(*index)) {
            Some(tenant) => Ok(Some(tenant)),
            None => Err(Error::new(Kind::BadKey, "Incorrect API key provided.")),
        }
    }
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
mod tests {
    use super::*;

    fn key(name: &'static str, value: &str) -> Option<Vec<u8>> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        key_of(&headers).map(<[u8]>::to_vec)
    }

    #[test]
    fn a_key_is_found_in_every_header_that_sdks_use() {
        assert_eq!(key("authorization", "Bearer sk-1"), Some(b"sk-1".to_vec()));
        assert_eq!(key("authorization", "bearer  sk-1 "), Some(b"sk-1".to_vec()));
        assert_eq!(key("x-api-key", "sk-2"), Some(b"sk-2".to_vec()));
        assert_eq!(key("api-key", "sk-3"), Some(b"sk-3".to_vec()));
        assert_eq!(key("x-goog-api-key", "sk-4"), Some(b"sk-4".to_vec()));
    }

    #[test]
    fn a_key_in_the_query_is_taken_where_no_header_has_one() {
        let key = |query: &str, headers: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            headers.iter().for_each(|(name, value)| drop(map.insert(*name, value.parse().unwrap())));
            Credentials { headers: &map, query }.key().map(Cow::into_owned)
        };
        assert_eq!(key("a=b&key=sk%2D1", &[]), Some(b"sk-1".to_vec()));
        assert_eq!(key("key=sk-1", &[("x-api-key", "sk-2")]), Some(b"sk-2".to_vec()));
        assert_eq!(key("key=sk-1", &[("authorization", "Basic eA==")]), None);
        assert_eq!(key("key=", &[]), None);
        assert_eq!(key("monkey=sk-1", &[]), None);
    }

    #[test]
    fn an_empty_or_foreign_credential_is_no_key() {
        assert_eq!(key("authorization", "Bearer "), None);
        assert_eq!(key("authorization", "Basic dTpw"), None);
        assert_eq!(key("authorization", "x"), None);
    }
}
