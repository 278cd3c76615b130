//! Capacity planning: `weir simulate`. A cluster in simulated time, with the code that routes, admits, reserves, shares and queues,
//! and deployments that serve by a formula.
//!
//! In reading order: [`command`] is what is asked; [`mix`] and [`record`] say what comes ([`draws`]: by chance), [`load`] brings it call
//! by call; [`world`] is the cluster of [`replica`]s and `call.rs` the way of a call through it, to [`service`]; [`tally`] counts
//! ([`spread`]: quantiles), [`report`] is what that came to, [`advice`] what to enlarge; [`text`] and [`page`] ([`plot`]) tell it.

pub mod advice;
mod call;
pub mod command;
pub mod draws;
pub mod load;
pub mod mix;
pub mod page;
pub mod plot;
pub mod record;
pub mod replica;
pub mod report;
mod sent;
pub mod service;
pub mod spread;
mod stay;
pub mod tally;
pub mod text;
pub mod world;

#[cfg(test)]
mod tests;
