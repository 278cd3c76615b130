//! The rig of Weir's whole-process tests.
//!
//! A test describes a [`site::Plan`] (upstream providers with limits, replicas, models); [`site::Site`] starts real
//! processes for it on free loopback ports: Redis (alone, or as a [`topology`]), strict fake providers, `weir serve`, HAProxy. [`load`] offers
//! calls on a fixed schedule whatever comes back. The verdict is [`judge`]'s alone: it reads the providers' raw
//! arrival logs with `judge.py` and never asks Weir how it did.
//!
//! Everything a test starts is killed when it ends; what it wrote stays under `target/cluster/<test>`.

pub mod apart;
pub mod balancer;
pub mod client;
pub mod clock;
pub mod collector;
pub mod gateway;
pub mod judge;
pub mod load;
pub mod meters;
pub mod place;
pub mod process;
pub mod provider;
pub mod redis_server;
pub mod rotel;
pub mod scale;
pub mod site;
pub mod topology;
pub mod trips;
