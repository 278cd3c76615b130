//! The user of `deploy/redis-users.acl` may do what the gateway does, and nothing else; and the gateway does nothing
//! that Redis 6.2 or Valkey cannot. Broken on purpose once: `+hdel` taken out of the file; `+mget` added
//! to it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The version that each command came with, in the form that is used here. Valkey has what Redis 7.2 has.
const SINCE: [(&str, (u32, u32)); 19] = [
    ("asking", (3, 0)),
    ("cluster|slots", (3, 0)),
    ("eval", (2, 6)),
    ("evalsha", (2, 6)),
    ("exists", (1, 0)),
    ("get", (1, 0)),
    ("hdel", (2, 4)), // several fields
    ("hexists", (2, 0)),
    ("hget", (2, 0)),
    ("hgetall", (2, 0)),
    ("hkeys", (2, 0)),
    ("hmget", (2, 0)),
    ("hset", (4, 0)), // several fields
    ("info", (1, 0)),
    ("pexpire", (2, 6)),
    ("role", (2, 8)),
    ("sentinel", (2, 8)), // GET-MASTER-ADDR-BY-NAME, MASTER
    ("set", (2, 6)),      // PX
    ("time", (2, 6)),
];
const OLDEST: (u32, u32) = (6, 2);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &str, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let wanted = entries.filter(|path| path.extension().is_some_and(|found| found == ending));
    wanted.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// What stands in quotes behind each `before`.
fn quoted_behind<'t>(text: &'t str, before: &'t str, quote: char) -> impl Iterator<Item = &'t str> {
    text.match_indices(before).filter_map(move |(at, _)| {
        let rest = text[at + before.len()..].strip_prefix(quote)?;
        rest.split(quote).next()
    })
}

/// Every command that scripts and gateway send.
fn used() -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for script in files("lua", "lua") {
        for before in ["redis.call(", "redis.pcall("] {
            used.extend(quoted_behind(&script, before, '\'').map(str::to_lowercase));
        }
    }
    for source in files("gateway/src/state", "rs").into_iter().chain(files("gateway/src/state/connect", "rs"))
    {
        for before in ["cmd(", "command("] {
            used.extend(quoted_behind(&source, before, '"').map(str::to_lowercase));
        }
        if used.remove("cluster") {
            let what: Vec<_> = quoted_behind(&source, "map.arg(", '"').map(str::to_lowercase).collect();
            assert_eq!(what.len(), 1, "CLUSTER what?");
            used.insert(format!("cluster|{}", what[0]));
        }
    }
    used
}

#[test]
fn the_shipped_user_may_do_what_the_gateway_does_and_nothing_else() {
    let text = std::fs::read_to_string(root().join("deploy/redis-users.acl")).unwrap();
    let (allowed, rules): (Vec<&str>, Vec<&str>) =
        text.split_whitespace().partition(|word| word.starts_with('+'));
    assert_eq!(rules, ["user", "weir", "on", "~{weir}:*", "resetchannels", "-@all"]);
    let allowed: BTreeSet<String> = allowed.iter().map(|word| word[1..].to_owned()).collect();
    let mut used = used();
    assert!(used.remove("sentinel"), "a sentinel is another server");
    assert_eq!(allowed, used);
}

#[test]
fn every_command_is_known_to_redis_6_2() {
    let since = BTreeMap::from(SINCE);
    for command in used() {
        let version = since.get(&*command).unwrap_or_else(|| panic!("since when is there {command}?"));
        assert!(*version <= OLDEST, "{command} came with {version:?}");
    }
    for script in files("lua", "lua") {
        for (at, _) in script.match_indices("redis.") {
            let word = &script[at + "redis.".len()..];
            // What an older one has not is asked for before it is used.
            let known = ["call(", "pcall(", "replicate_commands"].iter().any(|known| word.starts_with(known));
            assert!(known, "redis.{}", word.lines().next().unwrap_or_default());
        }
    }
}
