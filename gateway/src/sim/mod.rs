//! Fakes and demonstrations.
pub mod demo;
pub mod provider;
