//! This machine's own clock.

/// Milliseconds since this machine was booted, suspensions included. `Instant` leaves those out on Linux, so whatever must
/// not happen after a time that others count as well is compared by this.
pub fn boot_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec as u64 * 1_000 + now.tv_nsec as u64 / 1_000_000
}

/// The time of day, Unix seconds; 0 before 1970.
pub fn unix_now() -> u64 {
    unix_ms() / 1_000
}

/// The same in milliseconds.
pub fn unix_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_millis() as u64)
}
