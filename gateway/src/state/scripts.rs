//! The Lua scripts as text and digest, and the commands that run them.

use std::collections::HashMap;
use std::sync::LazyLock;

use redis::Cmd;
use sha2::Digest;

use super::core::{Command, Stamp};
use super::layout::{self, Asked};

/// One script.
#[derive(Debug)]
pub struct Script {
    /// `common.lua` and `lives.lua` followed by the script's own text.
    pub text: String,
    /// SHA-1 of the text, hexadecimal: the name that EVALSHA knows it by.
    pub sha: String,
}

macro_rules! script {
    ($file:literal) => {
        LazyLock::new(|| {
            Script::new(concat!(
                include_str!("../../../lua/common.lua"),
                include_str!("../../../lua/lives.lua"),
                include_str!(concat!("../../../lua/", $file))
            ))
        })
    };
}

static JOIN: LazyLock<Script> = script!("join.lua");
static RESERVE: LazyLock<Script> = script!("reserve.lua");
static SYNC: LazyLock<Script> = script!("sync.lua");
static BYE: LazyLock<Script> = script!("bye.lua");

impl Script {
    fn new(text: &str) -> Script {
        let text = inline_constants(&super::control::apply(text));
        let sha = hex::encode(sha1::Sha1::digest(text.as_bytes()));
        Script { text, sha }
    }
}

/// Writes the numbers of `local NAME, ... = number, ...` lines where the names stand, and drops comments. Lua 5.1
/// knows no constants: a name used in a function is captured each time the function is made, which is each time the
/// script runs (8 % of a RESERVE). Line numbers stay, for the server's error messages.
fn inline_constants(text: &str) -> String {
    let mut constants = HashMap::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        match constants_of(line) {
            Some(found) => {
                constants.extend(found);
                lines.push("");
            }
            None => lines.push(line.split_once("-- ").map_or(line, |(code, _)| code.trim_end())),
        }
    }
    let mut out = String::with_capacity(text.len());
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for line in lines {
        let mut rest = line;
        while let Some(start) = rest.find(is_word) {
            let word = rest[start..].split(|c| !is_word(c)).next().unwrap_or_default();
            out.push_str(&rest[..start]);
            out.push_str(constants.get(word).copied().unwrap_or(word));
            rest = &rest[start + word.len()..];
        }
        out.push_str(rest);
        out.push('\n');
    }
    out
}

/// Names and numbers, if a line defines nothing but constants.
fn constants_of(line: &str) -> Option<Vec<(&str, &str)>> {
    let (names, values) = line.strip_prefix("local ")?.split_once(" = ")?;
    let values = values.split_once(" --").map_or(values, |(values, _)| values);
    let pairs: Vec<_> = names.split(", ").zip(values.split(", ")).collect();
    let constant = |(name, value): &(&str, &str)| {
        name.chars().all(|c| c.is_ascii_uppercase() || c == '_') && value.parse::<u64>().is_ok()
    };
    (pairs.iter().all(constant) && names.split(", ").count() == values.split(", ").count()).then_some(pairs)
}

/// Names of the keys of one namespace; one hash tag, so one slot.
#[derive(Clone, Debug)]
pub struct Keys {
    namespace: String,
    state: String,
}

impl Keys {
    /// Of `namespace`.
    pub fn new(namespace: &str) -> Keys {
        Keys { namespace: namespace.to_owned(), state: format!("{{{namespace}}}:state") }
    }

    /// HASH: the whole capacity state; no TTL.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// STRING: what [`Port::note`](super::Port) keeps; with a TTL.
    pub fn note(&self, key: &str) -> String {
        format!("{{{}}}:at:{key}", self.namespace)
    }

    /// STRING: the pin of a session; `reserve.lua` sets its TTL.
    pub fn pin(&self, session: &str) -> String {
        format!("{{{}}}:pin:{session}", self.namespace)
    }

    /// STRING: a line of calls that compete; `reserve.lua` sets its TTL.
    pub fn line(&self, line: &str) -> String {
        format!("{{{}}}:line:{line}", self.namespace)
    }

    /// HASH: the keys of tenants that were made at run time; no TTL. See `lua/keys.lua`.
    pub fn keys(&self) -> String {
        format!("{{{}}}:keys", self.namespace)
    }

    /// HASH by the id of such a key: when it was used last; no TTL, each is forgotten with its key.
    pub fn used(&self) -> String {
        format!("{{{}}}:used", self.namespace)
    }

    /// HASH by experiment: what was set at run time; no TTL. See `lua/board.lua`.
    pub fn shares(&self) -> String {
        format!("{{{}}}:shares", self.namespace)
    }

    /// HASH by deployment: what was set at run time; no TTL. See `lua/board.lua`, `lua/forget.lua`.
    pub fn duties(&self) -> String {
        format!("{{{}}}:duties", self.namespace)
    }

    /// HASH: what was measured of an experiment; with a TTL. See `lua/tally.lua`.
    pub fn measured(&self, key: &str) -> String {
        format!("{{{}}}:measured:{key}", self.namespace)
    }

    /// HASH: what an hour cost; with a TTL. See `lua/costs.lua`.
    pub fn costs(&self, hour: u64) -> String {
        format!("{{{}}}:costs:{hour}", self.namespace)
    }

    /// STRING: the hash of the configuration that a replica works by; with a TTL.
    pub fn config(&self, replica: &str) -> String {
        format!("{{{}}}:config:{replica}", self.namespace)
    }
}

/// A command ready to be sent, by digest or by text.
pub struct Call {
    script: &'static Script,
    keys: Vec<String>,
    args: Vec<Vec<u8>>,
    /// How to read the reply.
    pub asked: Asked,
}

impl Call {
    /// Prepares `command`; a stamp's time of 0 means the server's own.
    pub fn new(keys: &Keys, command: &Command, stamp: Stamp) -> Call {
        let mut names = vec![keys.state().to_owned()];
        let (script, asked, args) = match command {
            Command::Join(join) => {
                let caller = super::core::Caller { epoch: 0, inc: join.inc.clone(), l_ack: 0, x: 0 };
                (&*JOIN, Asked::Join, vec![layout::head(&caller, stamp), layout::join(join)])
            }
            Command::Reserve(ask) => {
                names.extend(ask.session.as_ref().map(|session| keys.pin(&session.key)));
                names.extend(ask.turn.as_ref().map(|turn| keys.line(&turn.line)));
                let args = vec![layout::head(&ask.caller, stamp), layout::reserve(ask)];
                (&*RESERVE, Asked::Reserve, args)
            }
            Command::Sync(sync) => {
                let [reports, rests, outcomes, telling] = layout::sync(sync);
                let count = vec![if sync.count { b'1' } else { b'0' }];
                (
                    &*SYNC,
                    Asked::Sync,
                    vec![layout::head(&sync.caller, stamp), reports, rests, count, outcomes, telling],
                )
            }
            Command::Bye(caller) => (&*BYE, Asked::Bye, vec![layout::head(caller, stamp)]),
        };
        Call { script, keys: names, args, asked }
    }

    /// The usual form.
    pub fn by_sha(&self) -> Cmd {
        self.command("EVALSHA", &self.script.sha)
    }

    /// After NOSCRIPT; the server then knows the script (and unlike SCRIPT LOAD this is routed by key).
    pub fn by_text(&self) -> Cmd {
        self.command("EVAL", &self.script.text)
    }

    /// With another script instead: tests run those of the version before.
    pub fn by_other_text(&self, text: &str) -> Cmd {
        self.command("EVAL", text)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut cmd = redis::cmd(name);
        cmd.arg(script).arg(self.keys.len()).arg(&self.keys);
        self.args.iter().for_each(|arg| {
            cmd.arg(arg.as_slice());
        });
        cmd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The replacement knows neither strings nor fields: no constant may be named like one, or twice.
    #[test]
    fn no_constant_is_mistaken_for_something_else() {
        for script in ["common", "lives", "join", "reserve", "sync", "bye"] {
            let path = format!("{}/../lua/{script}.lua", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).unwrap();
            let common = include_str!("../../../lua/common.lua");
            let lives = include_str!("../../../lua/lives.lua");
            let own = text.lines().filter(|_| script != "common" && script != "lives");
            let lines = common.lines().chain(lives.lines()).chain(own);
            let mut names: Vec<&str> =
                lines.filter_map(constants_of).flatten().map(|(name, _)| name).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
            for name in names {
                let amiss = |form: String| text.contains(&form);
                assert!(!amiss(format!("'{name}'")) && !amiss(format!(".{name}")), "{script}: {name}");
            }
        }
    }

    #[test]
    fn numbers_stand_where_their_names_stood() {
        let text = "local A, B_C = 1, 20 -- two\nlocal D = 'E'\nlocal x = A + AB[B_C] -- A\nKEYS[A]";
        assert_eq!(inline_constants(text), "\nlocal D = 'E'\nlocal x = 1 + AB[20]\nKEYS[1]\n");
    }
}
