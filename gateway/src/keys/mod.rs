//! Keys of tenants that are made, replaced and revoked while replicas run. (Those of the configuration are [`crate::auth`]'s alone.)
//!
//! What a key is: [`entry`]. All that a replica knows of them: [`table`], behind [`keyring`]. How it hears of them, and what it tells
//! a data set that has lost some: [`heard`]. What operators do to them: [`wanted`] (what may be asked for), [`change`], [`shown`].
//! The keys themselves: [`secret`].

pub mod change;
pub mod entry;
pub mod heard;
pub mod keyring;
pub mod secret;
pub mod shown;
pub mod table;
pub mod wanted;

pub use keyring::Keyring;
pub use table::Key;
