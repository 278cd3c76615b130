//! `[state]`: the Redis that LiteLLM's replicas share, of `router_settings` or else of `cache_params`.

use super::super::node::Node;
use super::super::page;
use super::Import;
use super::reasons;
use super::words::Worded;

/// Keys of `[state]`; none if there is no Redis.
pub(super) fn state(import: &mut Import<'_>) -> Vec<(&'static str, String)> {
    if let Some(url) = import.router("redis_url") {
        return vec![("url", by_url(url, import))];
    }
    if let Some(host) = import.router("redis_host") {
        let keys = ["redis_port", "redis_username", "redis_password", "redis_db", "redis_ssl"]
            .map(|key| import.router(key));
        return vec![("url", by_host(host, keys, import))];
    }
    let is_on = import.litellm("cache").map(|node| {
        let is_on = import.notes.flag(node) == Some(true);
        import.notes.left(node, reasons::reason(&node.path));
        is_on
    });
    let Some(cache) = import.litellm("cache_params") else {
        return if is_on == Some(true) { by_environment(None, import) } else { Vec::new() };
    };
    let kind = cache.get("type");
    if let Some(kind) = kind.filter(|kind| kind.text() != Some("redis")) {
        import.notes.left(kind, reasons::reason(&cache.path));
        return Vec::new();
    }
    if let (Some(nodes), Some(master)) = (cache.get("sentinel_nodes"), cache.get("service_name")) {
        return sentinel(nodes, master, cache, import).map(|value| ("sentinel", value)).into_iter().collect();
    }
    if let Some(nodes) = cache.get("redis_startup_nodes") {
        return cluster(nodes, cache, import).map(|value| ("cluster", value)).into_iter().collect();
    }
    match (cache.get("url"), cache.get("host")) {
        (Some(url), _) => vec![("url", by_url(url, import))],
        (None, Some(host)) => {
            let keys = ["port", "username", "password", "db", "ssl"].map(|key| cache.get(key));
            vec![("url", by_host(host, keys, import))]
        }
        (None, None) if is_on.unwrap_or(kind.is_some()) => by_environment(Some(cache), import),
        (None, None) => Vec::new(),
    }
}

/// Where the file says neither, LiteLLM takes the address of its Redis from its environment, and the rest of what is not said.
fn by_environment(cache: Option<&Node>, import: &mut Import<'_>) -> Vec<(&'static str, String)> {
    let what = "the address of its Redis stands in LiteLLM's environment: set REDIS_HOST, REDIS_PORT and REDIS_PASSWORD for Weir as well \
                (one without a password: take `:${REDIS_PASSWORD}@` out of `url`; with TLS: `rediss://`; by REDIS_URL: `url = \"${REDIS_URL}\"`)";
    match cache {
        Some(cache) => import.notes.todo_at(cache, what),
        None => import.notes.todo_for_all(what),
    }
    let [port, user, password, db, tls] =
        ["port", "username", "password", "db", "ssl"].map(|key| cache.and_then(|cache| cache.get(key)));
    let scheme = scheme(tls, import);
    let host = import.environment.name("REDIS_HOST", "of LiteLLM's environment");
    let port = match port {
        Some(node) => part(node, "REDIS_PORT", is_port, import),
        None => import.environment.name("REDIS_PORT", "of LiteLLM's environment"),
    };
    let login = match password {
        Some(_) => login(user, password, import),
        None => {
            let user = user.map_or(String::new(), |node| part(node, "REDIS_USERNAME", is_name, import));
            format!("{user}:{}@", import.environment.name("REDIS_PASSWORD", "of LiteLLM's environment"))
        }
    };
    let db = db.map_or("0".to_owned(), |node| part(node, "REDIS_DB", is_number, import));
    vec![("url", page::quoted(&format!("{scheme}://{login}{host}:{port}/{db}")))]
}

/// A URL as a whole may hold a password, and may come from the environment.
fn by_url(node: &Node, import: &mut Import<'_>) -> String {
    let Some(worded) = Worded::of(node) else {
        import.notes.left(node, "no string, or no name of an environment variable");
        return page::quoted(&import.environment.fresh("REDIS_URL", "redis://user:password@host:port/db"));
    };
    match worded.clear() {
        Some(url) if !url.contains('@') && is_url(url) => page::text(url),
        Some(url) if !is_url(url) => {
            import.notes.left(node, "no redis:// or rediss:// with host, port and database alone");
            page::quoted(&import.environment.fresh("REDIS_URL", "redis://user:password@host:port/db"))
        }
        _ => page::quoted(&hidden(&worded, node, "REDIS_URL", import)),
    }
}

/// A reference to what may be a secret.
fn hidden(worded: &Worded, node: &Node, hint: &str, import: &mut Import<'_>) -> String {
    import.environment.secret(worded, hint, (node.line, &node.path), &mut import.notes)
}

/// Where nobody knows here whether there is TLS, there is: a password must not go over the wire in clear by mistake.
fn scheme(tls: Option<&Node>, import: &mut Import<'_>) -> &'static str {
    match tls.map(|node| (node, node.flag())) {
        None | Some((_, Some(false))) => "redis",
        Some((_, Some(true))) => "rediss",
        Some((node, None)) => {
            let what = "neither yes nor no, or one from the environment: TLS is taken (`rediss://`); without it write `redis://`";
            import.notes.todo(node, what);
            "rediss"
        }
    }
}

fn by_host(
    host: &Node,
    [port, user, password, db, tls]: [Option<&Node>; 5],
    import: &mut Import<'_>,
) -> String {
    let scheme = scheme(tls, import);
    let host = part(host, "REDIS_HOST", is_host, import);
    let port = port.map_or("6379".to_owned(), |node| part(node, "REDIS_PORT", is_port, import));
    let login = login(user, password, import);
    let db = db.map_or("0".to_owned(), |node| part(node, "REDIS_DB", is_number, import));
    page::quoted(&format!("{scheme}://{login}{host}:{port}/{db}"))
}

/// `user:password@`.
fn login(user: Option<&Node>, password: Option<&Node>, import: &mut Import<'_>) -> String {
    let Some(password) = password else {
        if let Some(user) = user {
            import.notes.left(user, "a user of Redis has a password here");
        }
        return String::new();
    };
    let user = user.map_or(String::new(), |node| part(node, "REDIS_USERNAME", is_name, import));
    format!("{user}:{}@", secret(password, "REDIS_PASSWORD", import))
}

/// What is no secret; what cannot stand in a URL is left to the environment.
fn part(node: &Node, otherwise: &str, fits: fn(&str) -> bool, import: &mut Import<'_>) -> String {
    match Worded::of(node) {
        Some(Worded::Env(name)) => import.environment.name(&name, ""),
        Some(Worded::Clear(text)) if fits(&text) => text,
        _ => {
            import.notes.left(node, "it cannot stand in an address of Redis");
            import.environment.fresh(otherwise, "of Redis")
        }
    }
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("redis://").or_else(|| text.strip_prefix("rediss://"));
    let rest = rest
        .filter(|rest| !rest.contains(['?', '#', '%', '$']) && rest.chars().all(|c| c.is_ascii_graphic()));
    rest.is_some_and(|rest| {
        let (address, db) = rest.split_once('/').unwrap_or((rest, "0"));
        let (_, address) = address.rsplit_once('@').unwrap_or(("", address));
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "6379"));
        is_host(host) && is_port(port) && (db.is_empty() || is_number(db))
    })
}

fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
        && !text.starts_with(['.', '-'])
}

fn is_port(text: &str) -> bool {
    is_number(text) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_number(text: &str) -> bool {
    text.parse::<u16>().is_ok() && !text.starts_with('+')
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

fn secret(node: &Node, hint: &str, import: &mut Import<'_>) -> String {
    let Some(worded) = Worded::of(node) else {
        import.notes.left(node, "no string, or no name of an environment variable");
        return import.environment.fresh(hint, "of Redis");
    };
    let reference = hidden(&worded, node, hint, import);
    import.notes.differs(node, "it stands in a URL: what is special in it is escaped there, as %40 for @");
    reference
}

/// `sentinel_nodes: [[host, port]]`.
fn sentinel(nodes: &Node, master: &Node, cache: &Node, import: &mut Import<'_>) -> Option<String> {
    let mut list = Vec::new();
    for node in nodes.items() {
        let [host, port] = [0, 1].map(|at| node.items().get(at));
        let host = host.map(|node| part(node, "REDIS_SENTINEL_HOST", is_host, import));
        let port = port.map_or("26379".to_owned(), |node| part(node, "REDIS_SENTINEL_PORT", is_port, import));
        match host {
            Some(host) => list.push(page::quoted(&format!("{host}:{port}"))),
            None => import.notes.left(node, "expected [host, port]"),
        }
    }
    if list.is_empty() {
        import.notes.left(nodes, "no sentinel");
        return None;
    }
    let mut entries = vec![
        ("nodes", page::list(list)),
        ("master", page::quoted(&part(master, "REDIS_MASTER", is_name, import))),
    ];
    let passwords = [("password", "sentinel_password"), ("data_password", "password")];
    for (ours, theirs) in passwords {
        let Some(node) = cache.get(theirs) else { continue };
        let Some(worded) = Worded::of(node) else {
            import.notes.left(node, "no string, or no name of an environment variable");
            continue;
        };
        let hint = if theirs == "password" { "REDIS_PASSWORD" } else { "REDIS_SENTINEL_PASSWORD" };
        let reference = hidden(&worded, node, hint, import);
        entries.push((ours, page::quoted(&reference)));
    }
    Some(page::table(entries))
}

/// `redis_startup_nodes: [{host, port}]`.
fn cluster(nodes: &Node, cache: &Node, import: &mut Import<'_>) -> Option<String> {
    let tls = cache.get("ssl");
    let login = [cache.get("username"), cache.get("password")];
    let mut list = Vec::new();
    for node in nodes.items() {
        match node.get("host") {
            Some(host) => list.push(by_host(host, [node.get("port"), login[0], login[1], None, tls], import)),
            None => import.notes.left(node, "expected a host and a port"),
        }
    }
    if list.is_empty() {
        import.notes.left(nodes, "no node");
    }
    (!list.is_empty()).then(|| page::list(list))
}
