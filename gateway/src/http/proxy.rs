//! The PROXY protocol, versions 1 and 2: what a balancer says first of the client that it connects. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header that is read, bytes. Version 1 needs 107; version 2 adds what a balancer knows of TLS.
pub const MOST: usize = 1024;
/// The longest line of version 1.
const LINE: usize = 107;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a header.
    More,
    /// A whole one.
    Header {
        /// Its bytes; the client's own follow.
        length: usize,
        /// The client; none if the balancer speaks for itself (a health check) or does not know.
        client: Option<SocketAddr>,
    },
    /// No header.
    Bad,
}

/// Reads the first bytes of a connection.
pub fn parse(bytes: &[u8]) -> Parsed {
    if starts_alike(bytes, SIGNATURE) {
        second(bytes)
    } else if starts_alike(bytes, b"PROXY ") {
        first(bytes)
    } else {
        Parsed::Bad
    }
}

/// Is one the beginning of the other?
fn starts_alike(bytes: &[u8], with: &[u8]) -> bool {
    let length = bytes.len().min(with.len());
    bytes[..length] == with[..length]
}

/// `PROXY TCP4 198.51.100.1 203.0.113.2 40000 443\r\n`
fn first(bytes: &[u8]) -> Parsed {
    let seen = &bytes[..bytes.len().min(LINE)];
    let Some(end) = seen.windows(2).position(|pair| pair == b"\r\n") else {
        return if seen.len() < LINE { Parsed::More } else { Parsed::Bad };
    };
    let client = std::str::from_utf8(&seen[..end]).ok().and_then(line);
    client.map_or(Parsed::Bad, |client| Parsed::Header { length: end + 2, client })
}

/// The client that a line names, if it is one.
fn line(text: &str) -> Option<Option<SocketAddr>> {
    let words: Vec<&str> = text.split(' ').collect();
    let client: IpAddr = match words[..] {
        ["PROXY", "UNKNOWN", ..] => return Some(None),
        ["PROXY", "TCP4", from, to, _, _] if to.parse::<Ipv4Addr>().is_ok() => {
            from.parse::<Ipv4Addr>().ok()?.into()
        }
        ["PROXY", "TCP6", from, to, _, _] if to.parse::<Ipv6Addr>().is_ok() => {
            from.parse::<Ipv6Addr>().ok()?.into()
        }
        _ => return None,
    };
    let port = |word: &str| word.parse::<u16>().ok().filter(|_| word.bytes().all(|b| b.is_ascii_digit()));
    port(words[5])?;
    Some(Some((client, port(words[4])?).into()))
}

/// Signature, version and command, family, length of the rest; then addresses, and what is not read here.
fn second(bytes: &[u8]) -> Parsed {
    let [_, _, _, _, _, _, _, _, _, _, _, _, command, family, high, low, rest @ ..] = bytes else {
        return Parsed::More;
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if 16 + length > MOST {
        return Parsed::Bad;
    }
    let header = |client| Parsed::Header { length: 16 + length, client };
    match (command, family, rest.get(..length)) {
        (0x20 | 0x21, _, None) => Parsed::More,
        (0x20, _, Some(_)) => header(None),
        (0x21, 0x11, Some([a, b, c, d, _, _, _, _, high, low, _, _, ..])) => {
            header(Some((Ipv4Addr::new(*a, *b, *c, *d), u16::from_be_bytes([*high, *low])).into()))
        }
        (0x21, 0x21, Some(addresses)) => {
            let from = addresses.first_chunk::<16>().filter(|_| addresses.len() >= 36);
            let from =
                from.map(|from| (Ipv6Addr::from(*from), u16::from_be_bytes([addresses[32], addresses[33]])));
            from.map_or(Parsed::Bad, |from| header(Some(from.into())))
        }
        (0x21, 0x11, Some(_)) => Parsed::Bad, // too short for its addresses
        (0x21, _, Some(_)) => header(None),   // a socket of another kind
        _ => Parsed::Bad,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line_of(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
        let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
        format!("PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port()).into_bytes()
    }

    fn packet(from: SocketAddr, to: SocketAddr, extra: &[u8]) -> Vec<u8> {
        let octets = |addr: SocketAddr| match addr.ip() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let mut rest = [octets(from), octets(to)].concat();
        rest.extend(from.port().to_be_bytes());
        rest.extend(to.port().to_be_bytes());
        rest.extend(extra);
        let mut packet = SIGNATURE.to_vec();
        packet.extend([0x21, if from.is_ipv4() { 0x11 } else { 0x21 }]);
        packet.extend((rest.len() as u16).to_be_bytes());
        packet.extend(rest);
        packet
    }

    /// Two addresses of one family.
    fn ends() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
        let addr = |v6: bool| {
            (any::<[u8; 16]>(), any::<u16>()).prop_map(move |(ip, port)| {
                let v4 = [ip[0], ip[1], ip[2], ip[3]];
                let ip = if v6 { IpAddr::from(ip) } else { IpAddr::from(v4) };
                SocketAddr::new(ip, port)
            })
        };
        any::<bool>().prop_flat_map(move |v6| (addr(v6), addr(v6)))
    }

    proptest! {
        /// Broken on purpose once: the port of the other end.
        #[test]
        fn a_header_is_read_wherever_it_is_cut(
            (from, to) in ends(),
            extra in proptest::collection::vec(any::<u8>(), 0..100),
            after in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            for header in [line_of(from, to), packet(from, to, &extra)] {
                let all = [header.clone(), after.clone()].concat();
                for cut in 0..header.len() {
                    prop_assert_eq!(parse(&all[..cut]), Parsed::More);
                }
                let whole = Parsed::Header { length: header.len(), client: Some(from) };
                prop_assert_eq!(parse(&all), whole);
            }
        }

        #[test]
        fn no_bytes_make_it_panic_or_read_without_end(
            kind in 0..3usize,
            bytes in proptest::collection::vec(any::<u8>(), 0..2_000),
        ) {
            let begin: &[u8] = [&b""[..], b"PROXY ", SIGNATURE][kind];
            let bytes = [begin, &bytes].concat();
            match parse(&bytes) {
                Parsed::More => prop_assert!(bytes.len() < MOST),
                Parsed::Header { length, .. } => prop_assert!(length <= bytes.len().min(MOST)),
                Parsed::Bad => {}
            }
        }
    }

    #[test]
    fn a_balancer_may_speak_for_itself() {
        assert_eq!(parse(b"PROXY UNKNOWN\r\nGET"), Parsed::Header { length: 15, client: None });
        let local = [SIGNATURE.as_slice(), &[0x20, 0, 0, 0]].concat();
        assert_eq!(parse(&local), Parsed::Header { length: 16, client: None });
        let unix = [SIGNATURE.as_slice(), &[0x21, 0x31, 0, 1, 9]].concat();
        assert_eq!(parse(&unix), Parsed::Header { length: 17, client: None });
    }

    #[test]
    fn what_is_no_header_is_found_out_at_once() {
        for bad in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
            b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            b"\x16\x03\x01",
        ] {
            assert_eq!(parse(bad), Parsed::Bad, "{}", String::from_utf8_lossy(bad));
        }
        let long = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
        assert_eq!(parse(&long), Parsed::Bad);
        let huge = [SIGNATURE.as_slice(), &[0x21, 0x11, 0xff, 0xff]].concat();
        assert_eq!(parse(&huge), Parsed::Bad);
    }
}
