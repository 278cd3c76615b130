//! Who calls, and what that allows.

use std::sync::Arc;

use crate::config::{Priority, Tenant};
use crate::error::Error;
use crate::keys::secret::Digest;
use crate::keys::{Key, Keyring};

/// A tenant and the key that its call came with. A key narrows what its tenant may; neither: nobody is told apart.
#[derive(Clone, Debug, Default)]
pub struct Who<'c> {
    /// Who pays; `None` for an anonymous call.
    pub tenant: Option<&'c Tenant>,
    /// The key, if it was made at run time: those of the configuration say nothing of their own.
    pub key: Option<Arc<Key>>,
    /// What the client sent as that key.
    pub digest: Option<Digest>,
}

impl Who<'_> {
    /// The tenant's name; empty if there is none.
    pub fn name(&self) -> Arc<str> {
        self.tenant.map_or_else(|| "".into(), |tenant| tenant.name.clone())
    }

    /// The id of the key, if it was made at run time.
    pub fn key_id(&self) -> Option<Arc<str>> {
        self.key.as_ref().map(|key| key.id.clone())
    }

    /// Is the key that the call came with still good? It may have ended while the call came in or waited for room, and what has not
    /// been sent then is not.
    pub fn still(&self, keyring: &Keyring) -> Result<(), Error> {
        let Some(digest) = &self.digest else { return Ok(()) };
        // (One that is not known any more has ended for long.)
        keyring.find(digest).map_or(Err(super::unknown()), |(_, standing)| super::good(standing))
    }

    /// May a model be used by this name?
    pub fn may_use(&self, name: &str) -> bool {
        self.tenant.is_none_or(|tenant| tenant.may_use(name))
            && self.key.as_ref().is_none_or(|key| key.may_use(name))
    }

    /// Tags that deployments must have.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let of_tenant = self.tenant.iter().flat_map(|tenant| &tenant.tags);
        of_tenant.chain(self.key.iter().flat_map(|key| &key.tags)).map(|tag| &**tag)
    }

    /// How urgent the calls are at most.
    pub fn priority(&self) -> Priority {
        let own = self.tenant.map_or(Priority::Normal, |tenant| tenant.priority);
        self.key.as_ref().map_or(own, |key| own.max(key.priority))
    }
}
