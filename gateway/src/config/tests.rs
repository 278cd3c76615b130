use std::path::Path;

use super::*;

fn env(name: &str) -> Option<String> {
    Some(format!("value-of-{name}"))
}

fn load(file: &str) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    check::check(&path, &text, &env).unwrap_or_else(|report| panic!("{report}"))
}

#[test]
fn the_quickstart_loads() {
    let config = load("quickstart.toml");
    assert_eq!(config.models.len(), 1);
}
