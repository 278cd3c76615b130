//! The Lua scripts as text and digest, and the commands that run them.

use std::sync::LazyLock;

use redis::Cmd;
use sha2::Digest;

use super::core::{Command, Ms};
use super::layout::{self, Asked};

/// One script.
#[derive(Debug)]
pub struct Script {
    /// `common.lua` followed by the script's own text.
    pub text: String,
    /// SHA-1 of the text, hexadecimal: the name that EVALSHA knows it by.
    pub sha: String,
}

macro_rules! script {
    ($file:literal) => {
        LazyLock::new(|| {
            Script::new(concat!(
                include_str!("../../../lua/common.lua"),
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
        let text = super::control::apply(text);
        let sha = hex::encode(sha1::Sha1::digest(text.as_bytes()));
        Script { text, sha }
    }
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

    /// STRING: the pin of a session; `reserve.lua` sets its TTL.
    pub fn pin(&self, session: &str) -> String {
        format!("{{{}}}:pin:{session}", self.namespace)
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
    /// Prepares `command`; `now` 0 means the server's own time, `nonce` names a new data set if there is none.
    pub fn new(keys: &Keys, command: &Command, now: Ms, nonce: u64) -> Call {
        let mut names = vec![keys.state().to_owned()];
        let (script, asked, args) = match command {
            Command::Join(join) => {
                let caller = super::core::Caller { epoch: 0, inc: join.inc.clone(), l_ack: 0, x: 0 };
                (&*JOIN, Asked::Join, vec![layout::head(&caller, now, nonce), layout::join(join)])
            }
            Command::Reserve(ask) => {
                names.extend(ask.session.as_ref().map(|session| keys.pin(&session.key)));
                let args = vec![layout::head(&ask.caller, now, nonce), layout::reserve(ask)];
                (&*RESERVE, Asked::Reserve, args)
            }
            Command::Sync(sync) => {
                let (reports, rests) = layout::sync(sync);
                let count = vec![if sync.count { b'1' } else { b'0' }];
                (&*SYNC, Asked::Sync, vec![layout::head(&sync.caller, now, nonce), reports, rests, count])
            }
            Command::Bye(caller) => (&*BYE, Asked::Bye, vec![layout::head(caller, now, nonce)]),
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

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut cmd = redis::cmd(name);
        cmd.arg(script).arg(self.keys.len()).arg(&self.keys);
        self.args.iter().for_each(|arg| {
            cmd.arg(arg.as_slice());
        });
        cmd
    }
}
