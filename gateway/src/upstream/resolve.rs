//! Names of providers to addresses, by the system, as hyper-util does it, but for one bound, and for the addresses where clouds give
//! their machines' credentials to whoever asks: a name never leads there. Whoever owns a provider's name in the DNS, or can forge its
//! answers, may point it anywhere; where it may lead is not his to say. An address that the configuration itself names is not looked
//! up, so it is not looked at here either; nor are private networks refused, which is where one's own models are.
//!
//! A resolver that does not answer keeps a thread for each question, long after the call has given up; and the threads of
//! a worker's runtime read large requests as well. So only some of them may wait for names.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tokio::sync::Semaphore;
use tower::Service;

/// Names that are looked up at once, of the 512 threads that a runtime has for such work.
const LOOKUPS: usize = 64;
/// Services of the clouds for their machines that are not link-local: AWS, Google (over IPv6), Azure, Alibaba, Oracle.
const OF_CLOUDS: [IpAddr; 5] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

/// The system's resolver.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    lookups: Arc<Semaphore>,
    /// Names may lead to the machine's own services.
    anywhere: bool,
}

impl Resolver {
    /// For names of providers.
    pub(super) fn new() -> Resolver {
        Resolver { lookups: Arc::new(Semaphore::new(LOOKUPS)), anywhere: false }
    }

    /// For whoever asks those services, some of which have names.
    pub(super) fn anywhere() -> Resolver {
        Resolver { anywhere: true, ..Resolver::new() }
    }
}

/// Those of the addresses where a provider may be.
fn of_providers(found: impl Iterator<Item = SocketAddr>) -> io::Result<std::vec::IntoIter<SocketAddr>> {
    let (all, mut kept): (Vec<SocketAddr>, Vec<SocketAddr>) = (found.collect(), Vec::new());
    kept.extend(all.iter().filter(|addr| !is_of_this_machine(addr.ip())));
    if kept.is_empty() && !all.is_empty() {
        let why =
            "the name leads to an address where only this machine's own services are (link-local, metadata)";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(kept.into_iter())
}

fn is_of_this_machine(ip: IpAddr) -> bool {
    let ip = within(ip);
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    is_link_local || OF_CLOUDS.contains(&ip)
}

/// An address of IPv4 may be written as one of IPv6, and what leads to it may be: mapped or compatible (RFC 4291 2.5.5), through NAT64
/// (RFC 6052 2.1, RFC 8215), through translation (RFC 2765), 6to4 (RFC 3056) or ISATAP (RFC 5214). (A network's own prefix of NAT64 is
/// not known here.)
fn within(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(of) = ip else { return ip };
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match of.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => ip, // nowhere, and this machine
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => v4(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => v4(high, low),
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => ip,
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
        let (lookups, anywhere) = (self.lookups.clone(), self.anywhere);
        Box::pin(async move {
            let place = lookups.acquire_owned().await.map_err(io::Error::other)?;
            // The thread keeps its place to the end, also when nobody waits for its answer any more.
            let look_up = move || {
                let _place = place;
                let found = (name.as_str(), 0).to_socket_addrs()?; // the connector puts the port in
                if anywhere { Ok(found) } else { of_providers(found) }
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
    /// Broken on purpose to see it fail: addresses of IPv4 within IPv6 not looked at; the first address alone looked at.
    #[test]
    fn a_name_leads_to_no_service_of_the_machine_itself() {
        let leads = |addresses: &[&str]| {
            let found = addresses.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0));
            of_providers(found).map(|kept| kept.map(|addr| addr.ip().to_string()).collect::<Vec<_>>()).ok()
        };
        for of_the_machine in [
            "169.254.169.254",
            "169.254.170.2",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "::ffff:0:a9fe:a9fe",
            "2001:db8::5efe:a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "64:ff9b::168.63.129.16",
            "fe80::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "168.63.129.16",
            "100.100.100.200",
        ] {
            assert_eq!(leads(&[of_the_machine]), None, "{of_the_machine}");
            assert_eq!(leads(&[of_the_machine, "10.0.0.1"]), Some(vec!["10.0.0.1".to_owned()]));
            assert_eq!(leads(&["10.0.0.1", of_the_machine]), Some(vec!["10.0.0.1".to_owned()]));
        }
        for fine in [
            "127.0.0.1",
            "::1",
            "64:ff9b::cb00:7101",
            "2002:cb00:7101::1",
            "10.1.2.3",
            "192.168.0.9",
            "172.16.0.1",
            "100.64.0.1",
            "fd00::1",
            "203.0.113.1",
        ] {
            assert_eq!(
                leads(&[fine]),
                Some(vec![fine.to_owned()]),
                "private networks are where own models are"
            );
        }
        assert_eq!(leads(&[]), Some(Vec::new()));
    }

    /// By the system's own reading of addresses, some of which look like names. Broken on purpose to see it fail: names alone looked at.
    #[tokio::test]
    async fn an_address_in_disguise_is_looked_at_too() {
        for disguise in ["2852039166", "0xa9fea9fe", "169.254.43518"] {
            let found = Resolver::new().call(disguise.parse().unwrap()).await;
            assert!(found.is_err(), "{disguise}");
        }
        assert!(
            Resolver::anywhere().call("0xa9fea9fe".parse().unwrap()).await.is_ok(),
            "void: it is no address"
        );
    }
}
