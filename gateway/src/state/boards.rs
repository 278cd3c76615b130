//! What is set at run time, for all replicas: the shares of experiments, drains and weights of deployments. Each name has a
//! version and a text; the newest counts, whoever tells it. No decision about a limit rests on it, so no script of the limits knows
//! of it.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Away;
use super::experiments::only;
use super::port::Port;
use super::scripts::Keys;

const OFFER: &str = include_str!("../../../lua/board.lua");
const FORGET: &str = include_str!("../../../lua/forget.lua");

/// What is set of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Board {
    /// Shares, by experiment.
    Shares,
    /// Whether it serves, and its weight, by deployment.
    Duties,
}

/// By name: the version, a space, what was set.
pub type Posted = BTreeMap<String, String>;

impl Board {
    fn key(self, keys: &Keys) -> String {
        match self {
            Board::Shares => keys.shares(),
            Board::Duties => keys.duties(),
        }
    }
}

/// What is set of one name. On the board it is its version, a space, and the rest as JSON.
pub trait Post: Serialize + DeserializeOwned + PartialEq {
    /// Where it is set.
    const BOARD: Board;

    /// The newest counts; from 1.
    fn version(&self) -> u64;

    /// The same under another version: JSON does not say which.
    fn numbered(self, version: u64) -> Self;

    /// May it be obeyed?
    fn is_sound(&self) -> bool {
        true
    }

    /// As it stands on the board. None if it was not written so.
    fn read(text: &str) -> Option<Self> {
        let (version, rest) = text.split_once(' ')?;
        let post: Self = serde_json::from_str(rest).ok()?;
        Some(post.numbered(version.parse().ok()?)).filter(Self::is_sound)
    }

    /// What follows the version.
    fn text(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// Is it news to who knows this much: newer, or another thing under the same number? That is so if the state has lost what was
    /// known here; what stands there all others know.
    fn is_news_to(&self, known: Option<&Self>) -> bool {
        known.is_none_or(|known| {
            known.version() < self.version() || known.version() == self.version() && known != self
        })
    }
}

impl Port {
    /// What stands on both boards, in one round trip: shares, duties.
    pub async fn boards(&self) -> Result<(Posted, Posted), Away> {
        match self {
            Port::Redis(lane) => {
                let mut get = redis::pipe();
                get.cmd("HGETALL").arg(Board::Shares.key(lane.keys()));
                get.cmd("HGETALL").arg(Board::Duties.key(lane.keys()));
                lane.plain(&get).await
            }
            Port::Local(local) => Ok((local.boards.read(Board::Shares), local.boards.read(Board::Duties))),
        }
    }

    /// Sets something of a name for all replicas; `adopt` has been given what holds when this returns. What `next` makes of what is
    /// known here is made anew when somebody else was first: of two changes at once both are made. Who says which version was `seen`
    /// changes no other one: false, and nothing is set.
    pub async fn set<P: Post>(
        &self,
        name: &str,
        next: impl Fn() -> P,
        adopt: impl Fn(&P),
        seen: Option<u64>,
    ) -> Result<bool, Away> {
        loop {
            let post = next();
            if seen.is_some_and(|seen| seen != post.version() - 1) {
                return Ok(false);
            }
            let kept = self.offer(name, &post).await?;
            let is_ours = kept == written(&(post.version(), post.text()));
            adopt(&P::read(&kept).ok_or_else(|| Away::Broken("what is set cannot be read".into()))?);
            if is_ours {
                return Ok(true);
            }
        }
    }

    /// Sets what holds for a name, unless something as new is set; what is set then.
    pub async fn offer<P: Post>(&self, name: &str, post: &P) -> Result<String, Away> {
        self.write(P::BOARD, name, post.version(), &post.text()).await
    }

    async fn write(&self, board: Board, name: &str, version: u64, text: &str) -> Result<String, Away> {
        match self {
            Port::Redis(lane) => {
                let mut set = redis::pipe();
                set.cmd("EVAL").arg(OFFER).arg(1).arg(board.key(lane.keys()));
                set.arg(name).arg(version).arg(text);
                only(lane, &set).await
            }
            Port::Local(local) => Ok(local.boards.offer(board, name, version, text)),
        }
    }

    /// Forgets a name of which `read` was read, unless something else stands there now.
    pub async fn forget(&self, board: Board, name: &str, read: &str) -> Result<bool, Away> {
        match self {
            Port::Redis(lane) => {
                let mut forget = redis::pipe();
                forget.cmd("EVAL").arg(FORGET).arg(1).arg(board.key(lane.keys())).arg(name).arg(read);
                only::<u64>(lane, &forget).await.map(|gone| gone > 0)
            }
            Port::Local(local) => Ok(local.boards.forget(board, name, read)),
        }
    }
}

/// The same in this process.
#[derive(Debug, Default)]
pub(super) struct Boards {
    shares: Mutex<BTreeMap<String, (u64, String)>>, // short sections
    duties: Mutex<BTreeMap<String, (u64, String)>>, // the same
}

impl Boards {
    fn of(&self, board: Board) -> &Mutex<BTreeMap<String, (u64, String)>> {
        match board {
            Board::Shares => &self.shares,
            Board::Duties => &self.duties,
        }
    }

    fn read(&self, board: Board) -> Posted {
        self.of(board).lock().iter().map(|(name, kept)| (name.clone(), written(kept))).collect()
    }

    fn offer(&self, board: Board, name: &str, version: u64, text: &str) -> String {
        let mut set = self.of(board).lock();
        let kept = set.entry(name.to_owned()).or_default();
        if version > kept.0 {
            *kept = (version, text.to_owned());
        }
        written(kept)
    }

    fn forget(&self, board: Board, name: &str, read: &str) -> bool {
        let mut set = self.of(board).lock();
        let is_it = set.get(name).is_some_and(|kept| written(kept) == read);
        if is_it {
            set.remove(name);
        }
        is_it
    }
}

fn written((version, text): &(u64, String)) -> String {
    format!("{version} {text}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Broken on purpose to see it fail: `offer` that keeps the last instead of the newest; one map for both boards; `forget` by name
    /// alone.
    #[tokio::test]
    async fn the_newest_stays_and_is_forgotten_only_as_it_was_read() {
        let port = Port::Local(Arc::default());
        assert_eq!(port.write(Board::Duties, "d", 2, "b").await.unwrap(), "2 b");
        assert_eq!(port.write(Board::Duties, "d", 1, "a").await.unwrap(), "2 b");
        assert_eq!(port.write(Board::Duties, "d", 2, "c").await.unwrap(), "2 b", "as new is not newer");
        let (shares, duties) = port.boards().await.unwrap();
        assert_eq!((shares.len(), duties.get("d").map(String::as_str)), (0, Some("2 b")));
        assert!(!port.forget(Board::Duties, "d", "1 a").await.unwrap());
        assert!(!port.forget(Board::Shares, "d", "2 b").await.unwrap());
        assert!(port.forget(Board::Duties, "d", "2 b").await.unwrap());
        assert!(port.boards().await.unwrap().1.is_empty());
    }
}
