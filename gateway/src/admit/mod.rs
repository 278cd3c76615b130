//! From a call to a reservation.
pub mod estimate;
