//! Fakes and demonstrations.
pub mod provider;
