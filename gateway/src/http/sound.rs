//! What hyper leaves to its user to check before a request is believed: things that a proxy in front of us may read
//! otherwise than we do, and a body that we cannot read at all.

use http::{HeaderMap, HeaderValue, Request, Version, header};

use crate::error::{Error, Kind};

/// Why a request is not served whatever it asks for. The connection is not to be used after it.
pub(super) fn fault<B>(request: &Request<B>) -> Option<Error> {
    let headers = request.headers();
    if request.version() == Version::HTTP_11 && !names_one_host(headers) {
        return Some(malformed("A request must name exactly one host."));
    }
    // hyper reads what ends with `chunked` and says nothing of codings before it.
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if codings.next().is_some_and(|coding| !is(coding, b"chunked")) || codings.next().is_some() {
        return Some(malformed("The only transfer-encoding that is understood is chunked."));
    }
    if headers.get_all(header::CONTENT_ENCODING).iter().any(|coding| !is(coding, b"identity")) {
        return Some(Error::new(Kind::Encoded, "Request bodies must not be compressed."));
    }
    None
}

fn malformed(message: &str) -> Error {
    Error::new(Kind::Malformed, message)
}

fn is(value: &HeaderValue, word: &[u8]) -> bool {
    value.as_bytes().trim_ascii().eq_ignore_ascii_case(word)
}

fn names_one_host(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    hosts.next().is_some_and(|host| is_host(host.as_bytes())) && hosts.next().is_none()
}

/// RFC 9110, 7.2: a name or an address, and perhaps a port.
fn is_host(host: &[u8]) -> bool {
    let colon = host.iter().rposition(|byte| *byte == b':').filter(|at| !host[*at..].contains(&b']'));
    let (name, port) = host.split_at(colon.unwrap_or(host.len()));
    let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte);
    name.iter().all(of_name) && port.iter().skip(1).all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(fields: &[(&str, &str)]) -> Option<Kind> {
        let request = fields.iter().fold(Request::builder(), |r, (name, value)| r.header(*name, *value));
        fault(&request.body(()).unwrap()).map(|error| error.kind)
    }

    #[test]
    fn one_host_that_is_one() {
        for host in ["weir", "weir:8080", "[::1]:80", "[::1]", "127.0.0.1", ""] {
            assert_eq!(kind(&[("host", host)]), None, "{host}");
        }
        for host in ["we ir", "weir/x", "a@weir", "weir:x", "weir, evil", "\"weir\""] {
            assert_eq!(kind(&[("host", host)]), Some(Kind::Malformed), "{host}");
        }
        assert_eq!(kind(&[]), Some(Kind::Malformed));
        assert_eq!(kind(&[("host", "weir"), ("host", "weir")]), Some(Kind::Malformed));
    }

    #[test]
    fn no_coding_but_those_that_are_read() {
        let kind = |name, value| kind(&[("host", "weir"), (name, value)]);
        assert_eq!(kind("transfer-encoding", " Chunked"), None);
        assert_eq!(kind("transfer-encoding", "gzip, chunked"), Some(Kind::Malformed));
        assert_eq!(kind("content-encoding", "identity"), None);
        assert_eq!(kind("content-encoding", "gzip"), Some(Kind::Encoded));
    }
}
