//! Account tiers: the limits that a provider gives an account, per model family.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use toml::Spanned;

use super::super::units::COUNT_END;
use super::super::{Charge, MeterKind, MeterSpec, Pattern, ReservePolicy};
use super::Preset;
use super::check::{Found, is_word};
use super::file;
use super::parts::per_ms;
use super::words::ReserveWord;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 24 * 3600 * SECOND;

/// The limits of accounts of one tier.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    /// What accounts say as `limits_preset`.
    pub name: String,
    /// In file order.
    pub pools: Vec<TierPool>,
}

/// Limits that models of a family share, in the form of an account's `pools`.
#[derive(Clone, Debug, PartialEq)]
pub struct TierPool {
    /// Unique within the tier, the same in all tiers of the preset.
    pub name: String,
    /// Upstream models that draw on it. The most specific pattern of the tier wins, unlike in an account's `pools`.
    pub models: Vec<Pattern>,
    /// At least one, in the order of an account's meters.
    pub meters: Vec<MeterSpec>,
    /// How the provider counts here.
    pub charge: Charge,
    /// What is held for an answer.
    pub reserve: ReservePolicy,
}

impl Preset {
    /// The pool of this upstream model in accounts of this tier: that with the model's own name, else that with the
    /// longest prefix. None if the preset has no such tier or the tier does not know the model.
    pub fn limits(&self, tier: &str, model: &str) -> Option<&TierPool> {
        let tier = self.tiers.iter().find(|known| known.name == tier)?;
        let fit = |pool: &TierPool| {
            let matching = pool.models.iter().filter(|pattern| pattern.matches(model));
            matching.map(|pattern| (!pattern.prefix, pattern.text.len())).max()
        };
        let fitting = tier.pools.iter().filter_map(|pool| fit(pool).map(|fit| (fit, pool)));
        fitting.max_by_key(|(fit, _)| *fit).map(|(_, pool)| pool)
    }
}

/// `tiers`. Every pool that a tier has must be in each other tier too, or among what that one is `without`.
pub(super) fn tiers(written: &[file::Tier], charge: Charge, found: &mut Found) -> Vec<Tier> {
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for tier in written {
        let name = tier.name.get_ref();
        if !is_word(name) {
            found.at(tier.name.span(), "a tier is named with small letters, digits and `-`");
        } else if !names.insert(name) {
            found.at(tier.name.span(), "a second tier of this name");
        }
        all.push(Tier { name: name.clone(), pools: pools(tier, charge, found) });
    }
    let every: BTreeSet<&String> = written.iter().flat_map(pool_names).collect();
    written.iter().for_each(|tier| complete(tier, &every, found));
    all
}

fn pool_names(tier: &file::Tier) -> impl Iterator<Item = &String> {
    tier.pools.iter().map(|pool| pool.get_ref().name.get_ref())
}

/// Reports what `tier` says nothing about, and what it says twice or in vain.
fn complete(tier: &file::Tier, every: &BTreeSet<&String>, found: &mut Found) {
    for without in &tier.without {
        let name = without.get_ref();
        if pool_names(tier).any(|own| own == name) {
            found.at(without.span(), "this tier has a pool of this name");
        } else if !every.contains(name) {
            found.at(without.span(), "no tier has a pool of this name");
        }
    }
    let said = |name: &String| {
        pool_names(tier).any(|own| own == name) || tier.without.iter().any(|w| w.get_ref() == name)
    };
    let missing: Vec<String> =
        every.iter().filter(|name| !said(name)).map(|name| format!("`{name}`")).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        found.at(
            tier.name.span(),
            format!("other tiers have {missing}: give limits, or list it in `without`"),
        );
    }
}

fn pools(tier: &file::Tier, charge: Charge, found: &mut Found) -> Vec<TierPool> {
    let mut names = BTreeSet::new();
    let mut patterns = BTreeSet::new();
    let mut all = Vec::new();
    for spanned in &tier.pools {
        let pool = spanned.get_ref();
        let name = pool.name.get_ref();
        if !is_word(&name.replace('.', "-")) {
            found.at(pool.name.span(), "a pool is named with small letters, digits, `.` and `-`");
        } else if !names.insert(name) {
            found.at(pool.name.span(), "a second pool of this name in this tier");
        }
        if pool.models.is_empty() {
            found.at(pool.name.span(), "a pool without `models`");
        }
        for model in &pool.models {
            check_pattern(model, &mut patterns, found);
        }
        all.push(TierPool {
            name: name.clone(),
            models: pool.models.iter().map(|model| Pattern::new(model.get_ref())).collect(),
            meters: meters(spanned, found),
            charge: pool.charge.map_or(charge, Charge::from),
            reserve: match pool.reserve {
                Some(ReserveWord::Predicted) => ReservePolicy::Predicted,
                Some(ReserveWord::Max) | None => ReservePolicy::Max,
            },
        });
    }
    all
}

fn check_pattern<'f>(model: &'f Spanned<String>, seen: &mut BTreeSet<&'f str>, found: &mut Found) {
    let text = model.get_ref().as_str();
    if text.is_empty() || text.trim_end_matches('*').contains('*') || text.ends_with("**") {
        found.at(model.span(), "expected a model's name, `*` only once and at the end");
    } else if !seen.insert(text) {
        found.at(model.span(), "a second pool of this tier has the same models");
    }
}

/// `limits` and `meters` together, in the order in which accounts' meters stand.
fn meters(pool: &Spanned<file::Pool>, found: &mut Found) -> Vec<MeterSpec> {
    let file::Pool { limits, meters, .. } = pool.get_ref();
    let mut all: Vec<(MeterSpec, Range<usize>)> = of_limits(limits, found);
    for meter in meters {
        if let Some(spec) = of_meter(meter, found) {
            all.push((spec, meter.span()));
        }
    }
    if limits_are_absent(limits) && meters.is_empty() {
        found.at(pool.get_ref().name.span(), "a pool without limits: give it `limits` or `meters`");
    }
    let mut seen = HashSet::new();
    for (spec, span) in &all {
        if !seen.insert((spec.kind, spec.per_ms)) {
            found.at(span.clone(), "a second limit of this kind and window");
        }
    }
    let mut specs: Vec<MeterSpec> = all.into_iter().map(|(spec, _)| spec).collect();
    specs.sort_by_key(|spec| (spec.kind as u8, spec.per_ms != MINUTE, spec.per_ms));
    specs
}

type Key<'f> = (&'f Option<Spanned<i64>>, MeterKind, u64);

fn keys(limits: &file::Limits) -> [Key<'_>; 8] {
    let file::Limits { rpm, rps, rpd, tpm, tpd, itpm, otpm, concurrency } = limits;
    [
        (rpm, MeterKind::Requests, MINUTE),
        (rps, MeterKind::Requests, SECOND),
        (rpd, MeterKind::Requests, DAY),
        (tpm, MeterKind::Tokens, MINUTE),
        (tpd, MeterKind::Tokens, DAY),
        (itpm, MeterKind::InputTokens, MINUTE),
        (otpm, MeterKind::OutputTokens, MINUTE),
        (concurrency, MeterKind::Concurrency, 0),
    ]
}

fn limits_are_absent(limits: &file::Limits) -> bool {
    keys(limits).iter().all(|(limit, ..)| limit.is_none())
}

fn of_limits(limits: &file::Limits, found: &mut Found) -> Vec<(MeterSpec, Range<usize>)> {
    let mut all = Vec::new();
    for (limit, kind, per_ms) in keys(limits) {
        let Some(limit) = limit else { continue };
        if let Some(number) = found.take(limit.span(), count(*limit.get_ref())) {
            all.push((MeterSpec { kind, limit: number, per_ms }, limit.span()));
        }
    }
    all
}

fn of_meter(meter: &Spanned<file::Meter>, found: &mut Found) -> Option<MeterSpec> {
    let file::Meter { kind, limit, per } = meter.get_ref();
    let kind = MeterKind::from(*kind);
    let number = found.take(limit.span(), count(*limit.get_ref()));
    let per_ms = match (per, kind) {
        (Some(per), MeterKind::Concurrency) => {
            found.at(per.span(), "concurrency has no `per`: it counts what is in flight");
            None
        }
        (None, MeterKind::Concurrency) => Some(0),
        (Some(per), _) => found.take(per.span(), per_ms(per.get_ref())),
        (None, _) => {
            found.at(meter.span(), "`per` is missing: the window of the limit");
            None
        }
    };
    Some(MeterSpec { kind, limit: number?, per_ms: per_ms? })
}

/// A limit: an absent one means none, so 0 has no meaning.
fn count(number: i64) -> Result<u64, &'static str> {
    let fits = |number: &u64| (1..COUNT_END).contains(number);
    u64::try_from(number).ok().filter(fits).ok_or("expected a whole number from 1 to 2^40 - 1")
}
