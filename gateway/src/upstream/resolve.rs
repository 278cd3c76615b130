//! Names of providers to addresses, by the system, as hyper-util does it, but for one bound.
//!
//! A resolver that does not answer keeps a thread for each question, long after the call has given up; and the threads of
//! a worker's runtime read large requests as well. So only some of them may wait for names.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::Semaphore;
use tower::Service;

/// Names that are looked up at once, of the 512 threads that a runtime has for such work.
const LOOKUPS: usize = 64;

/// The system's resolver.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    lookups: Arc<Semaphore>,
}

impl Resolver {
    pub(super) fn new() -> Resolver {
        Resolver { lookups: Arc::new(Semaphore::new(LOOKUPS)) }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let lookups = self.lookups.clone();
        Box::pin(async move {
            let place = lookups.acquire_owned().await.map_err(io::Error::other)?;
            // The thread keeps its place to the end, also when nobody waits for its answer any more.
            let look_up = move || {
                let _place = place;
                (name.as_str(), 0).to_socket_addrs() // the connector puts the port in
            };
            tokio::task::spawn_blocking(look_up).await.map_err(io::Error::other)?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose once: no place waited for.
    #[tokio::test]
    async fn names_become_addresses_when_there_is_a_place() {
        let mut resolver = Resolver::new();
        let all = resolver.lookups.clone().acquire_many_owned(LOOKUPS as u32).await.unwrap();
        let mut asking = resolver.call("localhost".parse().unwrap());
        let early = tokio::time::timeout(std::time::Duration::from_millis(20), asking.as_mut()).await;
        assert!(early.is_err(), "nobody waits");
        drop(all);
        let found: Vec<SocketAddr> = asking.await.unwrap().collect();
        assert!(found.iter().all(|addr| addr.ip().is_loopback()) && !found.is_empty(), "{found:?}");
    }
}
