//! A strict fake provider.
