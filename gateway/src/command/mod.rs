//! What the command line does besides serving and checking: it asks a replica that serves.

pub mod keys;
