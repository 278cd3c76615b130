//! Replicas that make, rotate and revoke keys in any order, hear of them or not, are restarted, and whose data set loses what it has:
//! what somebody knows at the end all know soon.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::super::change::{Changer, Refused};
use super::super::entry::Standing;
use super::super::wanted::{Rotation, Wanted};
use super::*;
use crate::config::{Config, OnOutage, check};
use crate::state::connect::Servers;
use crate::state::lanes::Lane;
use crate::state::local::Local;

const REPLICAS: usize = 3;

struct World {
    config: Config,
    local: Arc<Local>,
    ears: Vec<Ear>,
    copies: Vec<BTreeMap<String, String>>, // of the data set, as it was
    ids: Vec<String>,
    random: Rng,
}

/// By id: is it revoked, its version, and what was drawn for it.
type Known = BTreeMap<String, (bool, u64, u64)>;

fn order(stored: &Stored) -> (bool, u64, u64) {
    (stored.revoked, stored.version, stored.drawn)
}

fn ear(local: &Arc<Local>) -> Ear {
    Ear::new(Arc::new(Keyring::new(OnOutage::Closed)), Port::Local(local.clone()))
}

impl World {
    fn new(seed: u64) -> World {
        let text = "version = 1\ntenants = [{ name = \"t\" }]";
        let config = check::check(std::path::Path::new("weir.toml"), text, &|_| None).unwrap();
        let local = Arc::<Local>::default();
        let ears = (0..REPLICAS).map(|_| ear(&local)).collect();
        let copies = vec![BTreeMap::new()];
        World { config, local, ears, copies, ids: Vec::new(), random: Rng::with_seed(seed) }
    }

    async fn step(&mut self) {
        let at = self.random.usize(..REPLICAS);
        let Ear { keyring, port, .. } = &self.ears[at];
        let changer = Changer { keyring, port, now_ms: unix_ms(), by: "" };
        let id = self.random.choice(&self.ids).cloned();
        match (self.random.u32(..100), id) {
            (0..12, _) | (_, None) => {
                let wanted = Wanted { tenant: "t".into(), ..Wanted::default() };
                self.ids.push(changer.create(wanted, &self.config).await.unwrap().id.to_string());
            }
            // (It may be revoked already, or lost.)
            (12..30, Some(id)) => drop(changer.rotate(&id, &Rotation { grace: "0s".into() }).await),
            (30..34, Some(id)) => drop(changer.revoke(&id).await),
            (34..65, _) => self.ears[at].hear().await.unwrap(),
            (65..77, _) => self.copies.push(self.local.keys.fields()),
            (77..95, _) => self.local.keys.restore(self.random.choice(&self.copies).unwrap().clone()),
            _ => self.ears[at] = ear(&self.local),
        }
    }

    fn known_at(&self, at: usize) -> Known {
        let table = self.ears[at].keyring.table().clone();
        table.ids().map(|id| (id.to_string(), order(table.stored(id).unwrap()))).collect()
    }

    fn kept(&self) -> Known {
        let fields = self.local.keys.fields().into_iter();
        let keys = fields.filter_map(|(name, kept)| Some((name.strip_prefix("k:")?.to_owned(), kept)));
        keys.map(|(id, kept)| (id, order(&Stored::read(&kept).unwrap()))).collect()
    }

    /// Of all that anybody knows the newest.
    fn newest(&self) -> Known {
        let mut newest = self.kept();
        for (id, order) in (0..REPLICAS).flat_map(|at| self.known_at(at)) {
            let known = newest.entry(id).or_insert(order);
            *known = order.max(*known);
        }
        newest
    }
}

/// Broken on purpose to see it fail: what is newer here not told; what is newer there not taken; changes told apart by their number alone;
/// what was told not seen to be there; of one version the first kept that comes; versions compared before revocations (a key that was
/// known to be revoked came back).
#[tokio::test]
async fn what_somebody_knows_all_know_soon_and_no_key_comes_back() {
    let mut met = [0, 0];
    for seed in 0..300 {
        let mut world = World::new(seed);
        for _ in 0..80 {
            let revoked: Vec<Known> = (0..REPLICAS).map(|at| world.known_at(at)).collect();
            world.step().await;
            for (at, before) in revoked.iter().enumerate() {
                let now = world.known_at(at);
                let is_back = |id: &String| before[id].0 && now.get(id).is_some_and(|order| !order.0);
                assert!(!before.keys().any(is_back), "seed {seed}: a key came back");
            }
        }
        let newest = world.newest();
        met[0] += usize::from(world.kept() != newest);
        met[1] += newest.values().filter(|order| order.0).count();
        for _ in 0..3 {
            for at in 0..REPLICAS {
                world.ears[at].hear().await.unwrap();
            }
        }
        assert_eq!(world.kept(), newest, "seed {seed}: the data set");
        for at in 0..REPLICAS {
            assert_eq!(world.known_at(at), newest, "seed {seed}: replica {at}");
        }
    }
    assert!(met.iter().all(|met| *met > 100), "void: {met:?}");
}

/// A way to a state that does not answer: nobody listens there.
fn nowhere() -> Port {
    let text = "version = 1\n[state]\nurl = \"redis://127.0.0.1:1\"";
    let config = check::check(std::path::Path::new("weir.toml"), text, &|_| None).unwrap();
    Port::Redis(Lane::start(Servers::new(config.state.unwrap())).unwrap())
}

/// Broken on purpose to see it fail: a revocation without the state kept nowhere.
#[tokio::test]
async fn a_key_that_is_revoked_while_the_state_is_away_ends_here_at_once_and_elsewhere_when_it_is_back() {
    let mut world = World::new(1);
    let away = nowhere();
    let Ear { keyring, port, .. } = &world.ears[0];
    let changer = Changer { keyring, port, now_ms: unix_ms(), by: "" };
    let made =
        changer.create(Wanted { tenant: "t".into(), ..Wanted::default() }, &world.config).await.unwrap();
    let digest = made.made.unwrap().digest;
    for ear in &mut world.ears {
        ear.hear().await.unwrap();
    }
    let standing =
        |at: usize, world: &World| world.ears[at].keyring.find(&digest).map(|(_, standing)| standing);
    for _ in 0..2 {
        let keyring = &world.ears[0].keyring;
        let changer = Changer { keyring, port: &away, now_ms: unix_ms(), by: "" };
        let refused = changer.revoke(&made.id).await;
        assert!(matches!(refused, Err(Refused::EndedHere(_))), "{refused:?}");
        let unknown = changer.revoke("key_0").await;
        assert!(matches!(unknown, Err(Refused::Away(_))), "{unknown:?}");
        assert_eq!(
            [0, 1].map(|at| standing(at, &world)),
            [Some(Standing::Revoked), Some(Standing::Good)],
            "what the answer says"
        );
    }
    for at in [0, 1] {
        world.ears[at].hear().await.unwrap();
    }
    assert_eq!([0, 1].map(|at| standing(at, &world)), [Some(Standing::Revoked); 2]);
    assert!(world.kept().values().all(|(revoked, ..)| *revoked));
}

/// Broken on purpose to see it fail: what cannot be read taken for lost, and told again at every look.
#[tokio::test]
async fn a_record_that_cannot_be_read_keeps_nobody_from_hearing() {
    let mut world = World::new(1);
    let Ear { keyring, port, .. } = &world.ears[0];
    let changer = Changer { keyring, port, now_ms: unix_ms(), by: "" };
    let wanted = || Wanted { tenant: "t".into(), ..Wanted::default() };
    let odd = changer.create(wanted(), &world.config).await.unwrap().id;
    for ear in &mut world.ears {
        ear.hear().await.unwrap();
    }
    let mut fields = world.local.keys.fields();
    fields.insert(format!("k:{odd}"), "a hand was here".into());
    fields.insert("v".into(), "7 other".into());
    world.local.keys.restore(fields.clone());
    for ear in &mut world.ears {
        for _ in 0..2 {
            ear.hear().await.unwrap();
            assert!(ear.keyring.take_unconfirmed().is_empty());
        }
    }
    assert_eq!(world.local.keys.fields(), fields, "nothing was told");
    let Ear { keyring, port, .. } = &world.ears[1];
    let changer = Changer { keyring, port, now_ms: unix_ms(), by: "" };
    let new = changer.create(wanted(), &world.config).await.unwrap().id;
    world.ears[2].hear().await.unwrap();
    assert!(world.known_at(2).contains_key(&*new));
}

/// Reads succeed and writes fail: what is lost is noted when it is told, and again when the look fails.
/// Broken on purpose to see it fail: a list of what was noted, instead of a set.
#[tokio::test]
async fn what_is_to_be_told_does_not_grow_while_the_state_does_not_take_it() {
    let mut ear = ear(&Arc::default());
    ear.port = nowhere();
    for _ in 0..5 {
        ear.keyring.note_unconfirmed(["key_1".into()]);
        ear.hear().await.unwrap_err();
    }
    assert_eq!(ear.keyring.take_unconfirmed().len(), 1);
}

/// Broken on purpose to see it fail: everything read at each change.
#[tokio::test]
async fn who_has_missed_a_few_changes_reads_only_these() {
    let mut world = World::new(1);
    let Ear { keyring, port, .. } = &world.ears[0];
    let changer = Changer { keyring, port, now_ms: unix_ms(), by: "" };
    for _ in 0..3 {
        changer.create(Wanted { tenant: "t".into(), ..Wanted::default() }, &world.config).await.unwrap();
    }
    world.ears[1].hear().await.unwrap();
    // What is not named as changed is not looked at.
    let mut fields = world.local.keys.fields();
    let others: Vec<String> = fields.keys().filter(|name| name.starts_with("k:")).cloned().collect();
    let Ear { keyring, port, .. } = &world.ears[0];
    let changer = Changer { keyring, port, now_ms: unix_ms(), by: "" };
    let new =
        changer.create(Wanted { tenant: "t".into(), ..Wanted::default() }, &world.config).await.unwrap().id;
    let all = world.local.keys.fields();
    fields = all.into_iter().filter(|(name, _)| !others.contains(name)).collect();
    world.local.keys.restore(fields.clone());
    world.ears[1].hear().await.unwrap();
    assert_eq!(world.known_at(1).len(), 4);
    assert!(world.known_at(1).contains_key(&*new));
    assert_eq!(world.local.keys.fields(), fields, "nothing was told, for nothing was missed");
}
