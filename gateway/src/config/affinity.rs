//! `affinity`: what keeps calls that belong together on one deployment, where the provider may have cached their prompt.

use std::time::Duration;

use crate::dialect::request::Hints;

/// `affinity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// Request header that names the session.
    pub header: http::HeaderName,
    /// A session is forgotten after this long without a call.
    pub ttl: Duration,
    /// Members of a request that name the session where the header does not.
    pub fields: Hints,
    /// A call of no session prefers a deployment by how its prompt begins.
    pub prefix: bool,
}
