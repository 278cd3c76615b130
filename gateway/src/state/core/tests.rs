//! Proofs by search: whole clusters of replicas on the core, in simulated time, with every fault that the protocol
//! (design: hold, then post; only monotone counters cross the wire) claims to survive. See [`world`].

mod accounts;
mod alone;
mod attempt;
mod audit;
mod behaviours;
mod budgets;
mod byhand;
mod call;
mod checks;
mod circuits;
mod conversations;
mod fair;
mod faults;
mod forgotten;
mod judge;
mod kin;
mod learned;
mod learning;
mod lending;
mod liveness;
mod loans;
mod meters;
mod model;
mod mutants;
mod network;
mod plan;
mod provide;
mod providers;
mod random;
mod replica;
mod slow;
mod threads;
mod world;
