//! All keys that a replica knows of, by what clients send and by id.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::AHashMap;

use super::entry::{Entry, Standing, Stored};
use super::secret::Digest;
use super::wanted;
use crate::config::{OnOutage, Pattern, PoolSpec, Priority};
use crate::state::{PoolInfo, pools};

/// A key as calls need it.
#[derive(Debug)]
pub struct Key {
    /// Names it in logs, pools and admin pages.
    pub id: Arc<str>,
    /// What it is.
    pub entry: Entry,
    /// How urgent its calls are at most.
    pub priority: Priority,
    /// Tags that deployments must have.
    pub tags: Vec<Arc<str>>,
    /// Its own limits, if it has any.
    pub pool: Option<Arc<PoolInfo>>,
    models: Option<Vec<Pattern>>,
    used_s: AtomicU64, // when a call came with it last, Unix time; 0: never, as far as is known here
}

impl Key {
    /// `None` if something in it is not understood here: then nobody may use it.
    fn new(id: &Arc<str>, stored: &Stored, on_outage: OnOutage) -> Option<Key> {
        let entry = stored.entry()?;
        let meters = wanted::meters(&entry.limits).ok()?;
        let pool = PoolSpec::ours(pool_name(id), meters, on_outage);
        Some(Key {
            id: id.clone(),
            priority: wanted::priority(entry.priority.as_deref()).ok()?,
            tags: entry.tags.iter().map(|tag| tag.as_str().into()).collect(),
            pool: (!pool.meters.is_empty()).then(|| Arc::new(pools::info(&pool, 0))),
            models: entry
                .models
                .as_ref()
                .map(|models| models.iter().map(|name| Pattern::new(name)).collect()),
            used_s: AtomicU64::new(0),
            entry,
        })
    }

    /// May it use a model by this name, as far as it goes by the key?
    pub fn may_use(&self, name: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.iter().any(|pattern| pattern.matches(name)))
    }

    /// A call has come with it.
    pub fn note_use(&self, now_s: u64) {
        // (Mostly somebody has noted this second already: a store would take the line from other threads.)
        if self.used_s.load(Ordering::Relaxed) < now_s {
            self.used_s.store(now_s, Ordering::Relaxed);
        }
    }

    /// When one came last, Unix seconds; 0: never, as far as is known here.
    pub fn used_s(&self) -> u64 {
        self.used_s.load(Ordering::Relaxed)
    }
}

/// What the names of pools of keys begin with, and no pool of a configuration does.
pub const POOLS: &str = "key/";

/// The pool of a key's own limits: by its id, so it is the same one whatever else of the key changes, and nobody else's ever.
fn pool_name(id: &str) -> Arc<str> {
    format!("{POOLS}{id}").into()
}

#[derive(Clone, Debug)]
struct Row {
    stored: Stored,
    key: Option<Arc<Key>>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: AHashMap<Arc<str>, Row>,
    by_digest: AHashMap<Digest, (Arc<Key>, usize)>,
}

impl Table {
    /// The key that a client sends, and how it stands.
    pub fn find(&self, digest: &Digest, now_ms: u64) -> Option<(&Arc<Key>, Standing)> {
        let (key, at) = self.by_digest.get(digest)?;
        Some((key, key.entry.standing(*at, now_ms)))
    }

    /// A key by its id.
    pub fn get(&self, id: &str) -> Option<&Arc<Key>> {
        self.rows.get(id)?.key.as_ref()
    }

    /// What is known of a key.
    pub fn stored(&self, id: &str) -> Option<&Stored> {
        self.rows.get(id).map(|row| &row.stored)
    }

    /// All that are understood.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.rows.values().filter_map(|row| row.key.as_ref())
    }

    /// The ids of all.
    pub fn ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.rows.keys()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes what is newer than what is known; whether it is.
    pub fn take(&mut self, id: &Arc<str>, stored: &Stored, on_outage: OnOutage) -> bool {
        let before = self.rows.get(id);
        if before.is_some_and(|row| !stored.is_newer_than(&row.stored)) {
            return false;
        }
        let before = before.and_then(|row| row.key.clone());
        let key = Key::new(id, stored, on_outage).map(Arc::new);
        if let (Some(key), Some(before)) = (&key, &before) {
            key.note_use(before.used_s());
        }
        self.forget_digests(before.as_deref());
        if let Some(key) = &key {
            let secrets = key.entry.secrets.iter().enumerate();
            self.by_digest.extend(secrets.map(|(at, secret)| (secret.sha256, (key.clone(), at))));
        }
        self.rows.insert(id.clone(), Row { stored: stored.clone(), key });
        true
    }

    /// The same keys, whose own limits are suspended otherwise while the state is away.
    pub fn with(&self, on_outage: OnOutage) -> Table {
        let mut table = Table::default();
        for (id, row) in &self.rows {
            table.take(id, &row.stored, on_outage);
            if let (Some(key), Some(before)) = (table.get(id), &row.key) {
                key.note_use(before.used_s());
            }
        }
        table
    }

    /// Forgets a key.
    pub fn forget(&mut self, id: &str) {
        let before = self.rows.remove(id).and_then(|row| row.key);
        self.forget_digests(before.as_deref());
    }

    fn forget_digests(&mut self, key: Option<&Key>) {
        for secret in key.iter().flat_map(|key| &key.entry.secrets) {
            self.by_digest.remove(&secret.sha256);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::entry::Secret;
    use super::*;
    use crate::config::MeterKind;

    fn entry(secrets: &[u8]) -> Entry {
        let secret = |byte: &u8| Secret {
            sha256: Digest([*byte; 32]),
            last4: "abcd".into(),
            made_ms: 1,
            until_ms: None,
        };
        Entry {
            tenant: "t".into(),
            name: None,
            made_ms: 1,
            secrets: secrets.iter().map(secret).collect(),
            expires_ms: None,
            revoked_ms: None,
            models: None,
            tags: Vec::new(),
            limits: BTreeMap::new(),
            priority: None,
            metadata: BTreeMap::new(),
        }
    }

    fn take(table: &mut Table, version: u64, entry: &Entry) -> bool {
        table.take(&"key_1".into(), &Stored::of(version, 0, entry).unwrap(), OnOutage::Closed)
    }

    fn standing(table: &Table, byte: u8) -> Option<Standing> {
        table.find(&Digest([byte; 32]), 10).map(|(_, standing)| standing)
    }

    /// Broken on purpose to see it fail: the digests of the version before left in the table.
    #[test]
    fn the_newest_of_each_key_counts_in_whichever_order_they_come() {
        let mut table = Table::default();
        assert!(take(&mut table, 1, &entry(&[1])));
        assert!(
            take(&mut table, 3, &entry(&[3])),
            "a rotation without grace, and one before that was never heard of"
        );
        assert!(!take(&mut table, 2, &entry(&[2, 1])), "it comes late");
        assert!(!take(&mut table, 3, &entry(&[4])));
        assert_eq!([1, 2, 3, 4].map(|byte| standing(&table, byte)), [None, None, Some(Standing::Good), None]);
        assert!(
            take(&mut table, 2, &Entry { revoked_ms: Some(5), ..entry(&[3]) }),
            "revoked, by who knew less"
        );
        assert!(!take(&mut table, 9, &entry(&[3])));
        assert_eq!(standing(&table, 3), Some(Standing::Revoked));
        table.forget("key_1");
        assert_eq!((standing(&table, 3), table.len(), table.by_digest.len()), (None, 0, 0));
    }

    #[test]
    fn a_key_that_is_not_understood_is_of_no_use_and_is_not_overwritten_by_an_older_one() {
        let mut table = Table::default();
        assert!(take(&mut table, 1, &entry(&[1])));
        for odd in [
            Entry { limits: [("per_fortnight".to_owned(), 5)].into(), ..entry(&[1]) },
            Entry { priority: Some("royal".into()), ..entry(&[1]) },
        ] {
            let mut table = table.clone();
            assert!(take(&mut table, 2, &odd));
            assert_eq!((standing(&table, 1), table.keys().count(), table.len()), (None, 0, 1));
            assert!(!take(&mut table, 1, &entry(&[1])));
        }
    }

    #[test]
    fn a_key_has_a_pool_of_its_own_by_its_id_if_it_has_limits() {
        let mut table = Table::default();
        assert!(take(&mut table, 1, &entry(&[1])));
        assert!(table.get("key_1").unwrap().pool.is_none());
        table.get("key_1").unwrap().note_use(77);
        let limits: BTreeMap<String, u64> = [("concurrency".to_owned(), 2), ("rpm".to_owned(), 5)].into();
        assert!(take(&mut table, 2, &Entry { limits, ..entry(&[1]) }));
        let key = table.get("key_1").unwrap();
        let pool = key.pool.as_ref().unwrap();
        assert_eq!((&*pool.decl.key, &*pool.name), ("key/key_1|r60000.c", "key/key_1"));
        assert_eq!(pool.kinds, [MeterKind::Requests, MeterKind::Concurrency]);
        assert_eq!(key.used_s(), 77, "that it was used is not forgotten");
    }
}
