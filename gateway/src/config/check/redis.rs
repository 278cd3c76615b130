//! Which servers `[state]` names: `url`, `sentinel` or `cluster`, and TLS to them.

use super::super::tree::{At, Field, List, Reading, Span};
use super::super::{Endpoint, Login, Sentinel, Tls, Topology, raw};
use super::server::is_endpoint;
use super::tls;

/// Resolves the one of them that is given; none if something is wrong with it.
pub(super) fn topology(
    written: &raw::State,
    place: &Span,
    cx: &mut Reading<'_>,
) -> Option<(Topology, Option<Tls>)> {
    let files = tls::files(&written.tls, cx);
    one_is_given(written, place, cx);
    let (topology, by_tls) = if let Some(url) = written.url.get() {
        single(url, cx)?
    } else if let Some(at) = written.sentinel.get() {
        sentinel(&at.value, files.is_some(), cx)?
    } else {
        cluster(&written.cluster, cx)?
    };
    if let (Some((_, place)), false) = (&files, by_tls) {
        cx.problem(place, "these files are for TLS, which the servers are not addressed by (`rediss://`)");
    }
    Some((topology, by_tls.then(|| files.map(|(tls, _)| tls).unwrap_or_default())))
}

/// Exactly one of the three ways. An empty `cluster` asks for nothing.
fn one_is_given(written: &raw::State, place: &Span, cx: &mut Reading<'_>) {
    let cluster = written.cluster.value().is_some_and(|list| list.written > 0).then_some(&written.cluster);
    let given = [
        written.url.get().map(|at| &at.span),
        written.sentinel.get().map(|at| &at.span),
        cluster.and_then(|field| field.get()).map(|at| &at.span),
    ];
    let bad = written.url.is_bad() || written.sentinel.is_bad() || written.cluster.is_bad();
    let given: Vec<&Span> = given.into_iter().flatten().collect();
    match given[..] {
        [] if !bad => cx.problem(place, "one of `url`, `sentinel` and `cluster` is missing"),
        [] | [_] => {}
        [.., last] => cx.problem(last, "only one of `url`, `sentinel` and `cluster` may be given"),
    }
}

fn single(url: &At<String>, cx: &mut Reading<'_>) -> Option<(Topology, bool)> {
    let Url { tls, node, login } = url_of(url, cx)?;
    Some((Topology::Single { node, login }, tls))
}

/// `files`: are there any for TLS?
fn sentinel(written: &raw::Sentinel, files: bool, cx: &mut Reading<'_>) -> Option<(Topology, bool)> {
    let mut nodes = Vec::new();
    for node in written.nodes.items() {
        match node.value.parse().ok().and_then(|authority| endpoint(&authority, 26_379)) {
            Some(endpoint) if !node.value.contains('@') => nodes.push(endpoint),
            _ => cx.problem(&node.span, "expected `host:port` of a sentinel"),
        }
    }
    if let Some(at) = written.nodes.get().filter(|at| at.value.written == 0) {
        cx.problem(&at.span, "at least one sentinel is needed");
    }
    if let Some(at) = written.master.get().filter(|at| at.value.trim().is_empty()) {
        cx.problem(&at.span, "expected the name that the sentinels know the master by");
    }
    let own = login(&written.username, &written.password, 0, cx);
    let data = login(&written.data_username, &written.data_password, written.data_db.or(0), cx);
    let master = written.master.value()?.clone();
    Some((Topology::Sentinel(Sentinel { nodes, login: own, master, data }), written.tls.or(files)))
}

/// Blank strings are absent, so that what comes from the environment may be empty.
fn login(username: &Field<String>, password: &Field<String>, db: u32, cx: &mut Reading<'_>) -> Login {
    let given = |field: &Field<String>| field.value().filter(|text| !text.is_empty()).cloned();
    if let (Some(_), Some(at), None, false) =
        (given(username), username.get(), given(password), password.is_bad())
    {
        cx.problem(&at.span, "a user needs a password");
    }
    Login { username: given(username), password: given(password).map(Into::into), db }
}

fn cluster(written: &Field<List<String>>, cx: &mut Reading<'_>) -> Option<(Topology, bool)> {
    let mut urls = Vec::new();
    for at in written.items() {
        let Some(url) = url_of(at, cx) else { continue };
        if url.login.db != 0 {
            cx.problem(&at.span, "a cluster has no databases but 0");
        }
        if urls.first().is_some_and(|first: &Url| !first.goes_with(&url)) {
            cx.problem(&at.span, "the nodes of a cluster have the same scheme, user and password");
        }
        urls.push(url);
    }
    let (tls, login) = urls.first().map(|first| (first.tls, first.login.clone()))?;
    let nodes = urls.into_iter().map(|url| url.node).collect();
    Some((Topology::Cluster { nodes, login }, tls))
}

struct Url {
    tls: bool,
    node: Endpoint,
    login: Login,
}

impl Url {
    fn goes_with(&self, other: &Url) -> bool {
        use secrecy::ExposeSecret as _;
        let all = |url: &Url| {
            let password = url.login.password.as_ref().map(|password| password.expose_secret().to_owned());
            (url.tls, url.login.username.clone(), password)
        };
        all(self) == all(other)
    }
}

fn url_of(at: &At<String>, cx: &mut Reading<'_>) -> Option<Url> {
    redis_url(&at.value).map_err(|message| cx.problem(&at.span, message)).ok()
}

/// `redis://[[user]:password@]host[:port][/db]`, or `rediss://`. The URL holds a password, so no message quotes any of it.
fn redis_url(url: &str) -> Result<Url, &'static str> {
    const EXPECTED: &str = "expected `redis://user:password@host:port/db`, or `rediss://` for TLS";
    let (tls, rest) = match (url.strip_prefix("redis://"), url.strip_prefix("rediss://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return Err(EXPECTED),
    };
    if rest.contains(['?', '#']) || !rest.chars().all(|c| c.is_ascii_graphic()) {
        return Err("expected `redis://user:password@host:port/db`, other characters escaped as `%XX`");
    }
    let (authority, db) = rest.split_once('/').unwrap_or((rest, ""));
    let number = if db.is_empty() { Ok(0) } else { db.parse::<u32>() };
    let db = number.ok().filter(|_| !db.starts_with('+')).ok_or("the database after `/` is a number")?;
    let authority: http::uri::Authority = authority.parse().map_err(|_| EXPECTED)?;
    let node = endpoint(&authority, 6_379).ok_or(EXPECTED)?;
    let credentials = authority.as_str().rsplit_once('@').map_or("", |(credentials, _)| credentials);
    let (username, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let (username, password) = (unescaped(username)?, unescaped(password)?);
    if username.is_some() && password.is_none() {
        return Err("a user needs a password: `redis://user:password@host:port/db`");
    }
    Ok(Url { tls, node, login: Login { username, password: password.map(Into::into), db } })
}

/// With `%XX` decoded; none if it is empty.
fn unescaped(text: &str) -> Result<Option<String>, &'static str> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| "the escaped bytes of user or password are not UTF-8")?;
    Ok(Some(decoded.into_owned()).filter(|text| !text.is_empty()))
}

fn endpoint(authority: &http::uri::Authority, port: u16) -> Option<Endpoint> {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    is_endpoint(authority).then(|| Endpoint { host, port: authority.port_u16().unwrap_or(port) })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn redis_urls_name_a_host_and_may_name_scheme_user_port_and_database() {
        let read = |url: &str| {
            let Url { tls, node, login } = redis_url(url).unwrap();
            let password = login.password.map(|password| password.expose_secret().to_owned());
            (tls, node.to_string(), login.username, password, login.db)
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(read("redis://h"), (false, "h:6379".into(), None, None, 0));
        assert_eq!(read("rediss://u:p%40@h:1/0"), (true, "h:1".into(), text("u"), text("p@"), 0));
        assert_eq!(read("redis://:p@[::1]:6379/12"), (false, "[::1]:6379".into(), None, text("p"), 12));
        for bad in [
            "h:6379",
            "redis://",
            "redis://h:port",
            "redis://h/x",
            "redis://h/+1",
            "redis://h:1/0?a=b",
            "rediss://u@h",
        ] {
            assert!(redis_url(bad).is_err(), "{bad}");
        }
    }
}
