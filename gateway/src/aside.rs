//! Long computations on bodies. A worker serves many calls on one thread, so none of them may hold the others up.

use tokio::task::JoinError;

/// Bodies above this size are looked through by a thread of their own, bytes.
const LARGE: usize = 256 << 10;

/// Does `work` on a body of `size` bytes: here, or aside if it is large. The error is a panic of the work.
pub async fn look_through<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    if size > LARGE { tokio::task::spawn_blocking(work).await } else { Ok(work()) }
}
