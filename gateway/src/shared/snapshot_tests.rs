use std::path::Path;

use super::*;
use crate::config::check::check;

fn config(secret: &str, more: &str) -> Config {
    let text = format!(
        "version = 1\n[[accounts]]\nname = \"a\"\nprovider = \"azure\"\nresource = \"acme\"\n\
         credentials = {{ kind = \"entra\", tenant = \"t\", client = \"c\", secret = \"{secret}\" }}\n{more}"
    );
    check(Path::new("weir.toml"), &text, &|_| None).unwrap_or_else(|report| panic!("{report}"))
}

fn made(snapshot: &Snapshot, index: usize) -> &Arc<crate::upstream::auth::Auth> {
    let Pass::Made(auth) = &snapshot.passes[index] else { panic!() };
    auth
}

/// Broken on purpose: nothing kept, and kept by name alone.
#[test]
fn a_reload_keeps_the_tokens_of_accounts_that_pay_as_before() {
    let before = Snapshot::new(config("one", ""), "r", None).unwrap();
    let more = "[[accounts]]\nname = \"b\"\nprovider = \"openai\"\napi_key = \"k\"\n";
    let same = Snapshot::new(config("one", more), "r", Some(&before)).unwrap();
    assert!(Arc::ptr_eq(made(&before, 0), made(&same, 0)));
    let other = Snapshot::new(config("two", more), "r", Some(&same)).unwrap();
    assert!(!Arc::ptr_eq(made(&same, 0), made(&other, 0)));
}

/// What the state is told bounds how long attempts last: a longer time-out of a tier, or of a deployment in it, counts.
/// Broken on purpose to see it fail: the time-outs of models alone.
#[test]
fn the_deadlines_are_those_of_the_longest_time_outs_wherever_they_stand() {
    let deadlines = |tier: &str, deployment: &str| {
        let more = format!(
            "[[deployments]]\nname = \"d\"\naccount = \"a\"\nmodel = \"x\"\n\
             [[deployments]]\nname = \"e\"\naccount = \"a\"\nmodel = \"x\"\n{deployment}\
             [[models]]\nname = \"m\"\ndeployments = [\"d\", {{ name = \"e\", priority = 1 }}]\n\
             timeouts = {{ connect = \"1s\", first_token = \"4s\", total = \"60s\" }}\n{tier}"
        );
        let Deadlines { head, end } = Snapshot::new(config("one", &more), "r", None).unwrap().deadlines();
        (head, end)
    };
    assert_eq!(deadlines("", ""), (5_250, 60_250));
    let longer = "tiers = [{ priority = 1, timeouts = { first_token = \"30s\", total = \"5m\" } }]\n";
    assert_eq!(deadlines(longer, ""), (31_250, 300_250));
    assert_eq!(deadlines(longer, "timeouts = { total = \"40s\" }\n"), (31_250, 60_250));
}

/// Broken on purpose to see it fail: only where a strategy looks.
#[test]
fn deployments_are_watched_where_strategies_look_and_where_prompts_are_to_meet() {
    let watched = |model: &str| {
        let more = format!(
            "[[deployments]]\nname = \"d\"\naccount = \"a\"\nmodel = \"x\"\n\
             [[models]]\nname = \"m\"\ndeployments = [\"d\"]\n{model}"
        );
        Snapshot::new(config("one", &more), "r", None).unwrap().watches().len()
    };
    assert_eq!(watched("strategy = \"capacity\""), 0);
    assert_eq!(watched("strategy = \"least-busy\""), 1);
    assert_eq!(watched("strategy = \"capacity\"\naffinity = { prefix = true }"), 1);
}
