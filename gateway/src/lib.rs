//! Weir: an LLM gateway cluster whose choice of a target and reservation of every limit it touches are one atomic
//! step. `gateway/ARCHITECTURE.md` is the map; in reading order:
//!
//! - [`pipeline`]: the path of one call, from its bytes to its answer.
//! - [`error`], [`config`]: the vocabulary.
//! - [`keys`]: keys of tenants that are made and revoked while replicas run.
//! - [`experiment`]: variants of how a model is served, compared. [`cost`]: what was spent. [`prices`]: `weir prices`.
//! - the stages: [`auth`], [`route`], [`admit`], [`upstream`], [`settle`]; [`dialect`] reads and writes wire formats.
//! - [`state`]: capacity shared by the replicas; [`state::core`] is its specification.
//! - [`checks`]: deployments looked after without calls. [`alerts`]: who is told when something needs a person.
//! - [`clock`]: the time that replicas count in.
//! - [`http`], [`app`]: listeners and wiring. [`life`]: start, [`reload`], drain, end. [`bound`]: what a replica takes on. [`aside`]: what takes long. [`tls`]: what it shows.
//!   [`telemetry`]: what a call leaves behind. [`sim`]: fakes and the demo. [`command`]: what asks a replica.
//!   [`import`]: configurations of other gateways. [`plan`]: the cluster in simulated time.

pub mod admit;
pub mod alerts;
pub mod app;
pub mod aside;
pub mod auth;
pub mod bound;
pub mod checks;
pub mod clock;
pub mod command;
pub mod config;
pub mod cost;
pub mod dialect;
pub mod duty;
pub mod error;
pub mod experiment;
pub mod http;
pub mod import;
pub mod keys;
pub mod life;
pub mod notify;
pub mod periods;
pub mod pipeline;
pub mod plan;
pub mod prices;
pub mod pulse;
pub mod queue;
pub mod reload;
pub mod route;
pub mod settle;
pub mod shared;
pub mod sim;
pub mod standing;
pub mod state;
pub mod telemetry;
pub mod tls;
pub mod upstream;
