//! `[server]` and `[state]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use secrecy::SecretString;

use super::super::tree::{At, Field, Reading};
use super::super::units::{Count, Pause, Size};
use super::super::{OnOutage, Server, StateConfig, raw};
use super::{redis, tls};

/// Resolves `[server]`; without it everything has its default.
pub(super) fn server(field: &Field<raw::Server>, cx: &mut Reading<'_>) -> Server {
    let mut server = Server {
        listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080),
        admin_listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081),
        metrics_listen: None,
        admin_token: None,
        anonymous: false,
        max_body: 32 << 20,
        max_calls: 10_000,
        max_buffered: 256 << 20,
        unread_timeout: Duration::from_secs(60),
        stream_keepalive: Some(Duration::from_secs(45)),
        remember_responses: Duration::from_secs(7 * 24 * 3600),
        drain_delay: Duration::from_secs(5),
        drain_timeout: Duration::from_secs(5 * 60),
        tls: None,
        proxy_protocol: false,
        region: None,
    };
    let Some(At { value: written, .. }) = field.get() else { return server };
    server.listen = written.listen.or(server.listen);
    server.admin_listen = written.admin_listen.or(server.admin_listen);
    server.metrics_listen = written.metrics_listen.value().copied();
    server.admin_token = written.admin_token.get().and_then(|token| secret("admin_token", token, cx));
    server.anonymous = written.anonymous.or(server.anonymous);
    server.unread_timeout = written.unread_timeout.or(server.unread_timeout);
    server.remember_responses = written.remember_responses.or(server.remember_responses);
    if let Some(Pause(every)) = written.stream_keepalive.value() {
        server.stream_keepalive = Some(*every).filter(|every| !every.is_zero());
    }
    server.drain_delay = written.drain_delay.value().map_or(server.drain_delay, |pause| pause.0);
    server.drain_timeout = written.drain_timeout.or(server.drain_timeout);
    server.tls = tls::identity(&written.tls, cx);
    server.proxy_protocol = written.proxy_protocol.or(server.proxy_protocol);
    server.region = region(&written.region, cx);
    bounds(written, &mut server, cx);
    admin_is_protected(written, &server, cx);
    addresses_differ(written, &server, cx);
    server
}

/// The name of a region: parts with `-` between them.
pub(super) fn region(field: &Field<String>, cx: &mut Reading<'_>) -> Option<String> {
    let at = field.get()?;
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    if !at.value.split('-').all(is_part) {
        cx.problem(&at.span, "a region consists of letters and digits, with `-` between its parts");
        return None;
    }
    Some(at.value.clone())
}

fn bounds(written: &raw::Server, server: &mut Server, cx: &mut Reading<'_>) {
    let mut addressable = |number: u64, span, bound: &mut usize| match usize::try_from(number) {
        Ok(number) => *bound = number,
        Err(_) => cx.problem(span, "larger than this machine can address"),
    };
    if let Some(At { value: Size(bytes), span }) = written.max_body.get() {
        addressable(*bytes, span, &mut server.max_body);
    }
    if let Some(At { value: Size(bytes), span }) = written.max_buffered.get() {
        addressable(*bytes, span, &mut server.max_buffered);
    }
    if let Some(At { value: Count(calls), span }) = written.max_calls.get() {
        addressable(*calls, span, &mut server.max_calls);
    }
    let place = written.max_buffered.get().map(|at| &at.span).or(written.max_body.get().map(|at| &at.span));
    if let Some(place) = place.filter(|_| server.max_buffered < server.max_body) {
        cx.problem(place, "`max_buffered` is less than `max_body`: the largest body would never be taken");
    }
}

/// A credential that travels in a header: visible ASCII, not empty. The message never shows it.
pub(super) fn secret(key: &str, at: &At<String>, cx: &mut Reading<'_>) -> Option<SecretString> {
    if at.value.is_empty() {
        cx.problem(&at.span, format!("`{key}` is empty"));
        return None;
    }
    if !at.value.chars().all(|c| c.is_ascii_graphic()) {
        cx.problem(&at.span, format!("`{key}` holds characters that a header cannot carry"));
        return None;
    }
    Some(at.value.clone().into())
}

fn admin_is_protected(written: &raw::Server, server: &Server, cx: &mut Reading<'_>) {
    if let Some(at) = written.admin_listen.get()
        && !server.admin_listen.ip().is_loopback()
        && written.admin_token.is_absent()
    {
        cx.problem(&at.span, "an admin listener beyond loopback needs `admin_token`");
    }
}

/// Two listeners cannot have one address. Port 0 is a fresh port each time.
fn addresses_differ(written: &raw::Server, server: &Server, cx: &mut Reading<'_>) {
    let listeners = [
        (Some(server.listen), written.listen.get()),
        (Some(server.admin_listen), written.admin_listen.get()),
        (server.metrics_listen, written.metrics_listen.get()),
    ];
    for (index, (address, at)) in listeners.iter().enumerate() {
        let Some(address) = address.filter(|address| address.port() != 0) else { continue };
        let taken = listeners[..index].iter().find(|(other, _)| *other == Some(address));
        let place = at.or(taken.and_then(|(_, other)| *other));
        if let (Some(_), Some(place)) = (taken, place) {
            cx.problem(&place.span, "another listener has this address");
        }
    }
}

/// Resolves `[state]`.
pub(super) fn state(field: &Field<raw::State>, cx: &mut Reading<'_>) -> (Option<StateConfig>, OnOutage) {
    let Some(At { value: written, span }) = field.get() else { return (None, OnOutage::Share) };
    let on_outage = written.on_outage.or(OnOutage::Share);
    if let Some(at) = written.namespace.get() {
        let ok = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if at.value.is_empty() || !at.value.chars().all(ok) {
            cx.problem(&at.span, "a namespace consists of letters, digits, `_` and `-`, at least one");
        }
    }
    let Some((redis, tls)) = redis::topology(written, span, cx) else { return (None, on_outage) };
    let state = StateConfig {
        redis,
        tls,
        namespace: written.namespace.or("weir".to_owned()),
        timeout: written.timeout.or(Duration::from_millis(100)),
        expected_replicas: written.expected_replicas.value().map_or(0, |count| count.0),
        leases: written.leases.or(false),
    };
    (Some(state), on_outage)
}

/// A host, and after it nothing or a port from 1 to 65535.
pub(super) fn is_endpoint(authority: &http::uri::Authority) -> bool {
    let written = authority.as_str();
    let behind_user = written.rsplit_once('@').map_or(written, |(_, endpoint)| endpoint);
    let port = match behind_user.strip_prefix(authority.host()) {
        Some("") => return !authority.host().is_empty(),
        Some(rest) => rest.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()),
        None => None,
    };
    !authority.host().is_empty() && port.is_some_and(|port| port != 0)
}
