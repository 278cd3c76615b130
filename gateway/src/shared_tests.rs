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
    let before = Snapshot::new(config("one", ""), None).unwrap();
    let more = "[[accounts]]\nname = \"b\"\nprovider = \"openai\"\napi_key = \"k\"\n";
    let same = Snapshot::new(config("one", more), Some(&before)).unwrap();
    assert!(Arc::ptr_eq(made(&before, 0), made(&same, 0)));
    let other = Snapshot::new(config("two", more), Some(&same)).unwrap();
    assert!(!Arc::ptr_eq(made(&same, 0), made(&other, 0)));
}
