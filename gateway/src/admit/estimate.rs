//! How many tokens a call may use.
