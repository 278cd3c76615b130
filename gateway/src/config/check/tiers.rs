//! Limits of an account's tier, as its preset has them: a pool for each that a deployment's model draws on.

use std::collections::HashMap;

use super::super::preset::{Preset, TierPool};
use super::super::tree::{At, Reading, Span};
use super::super::{Charge, PoolId, Side, suggest};
use super::accounts::Linked;
use super::pools::{Origin, Pools, Terms};

/// `limits_preset` of an account: a tier that its preset has.
pub(super) struct Tier {
    name: String,
    span: Span,
    /// The account's own `charge`, which goes before the tier's.
    charge: Option<Charge>,
}

impl Tier {
    /// The tier that an account names; one that there is not is reported.
    pub(super) fn of(
        written: &At<String>,
        charge: Option<Charge>,
        preset: &Preset,
        cx: &mut Reading<'_>,
    ) -> Option<Tier> {
        let names: Vec<&str> = preset.tiers.iter().map(|tier| tier.name.as_str()).collect();
        if names.contains(&written.value.as_str()) {
            return Some(Tier { name: written.value.clone(), span: written.span.clone(), charge });
        }
        let provider = &preset.name;
        let message = match names[..] {
            [] => format!("the provider `{provider}` has no tiers: give `limits` or `pools`"),
            _ => format!("the provider `{provider}` has no such tier: it has {}", suggest::quoted(&names)),
        };
        cx.problem(&written.span, message);
        None
    }
}

/// The pools of tiers that deployments draw on so far, by index of the account and name in the preset.
#[derive(Default)]
pub(super) struct TierPools(HashMap<(usize, String), PoolId>);

impl TierPools {
    /// The pool of an upstream model, made when the first deployment draws on it; `None` if the account has no tier or
    /// the tier does not know the model, which is a problem unless it `is_limited` otherwise.
    pub(super) fn find(
        &mut self,
        (index, account): (usize, &Linked),
        model: &At<String>,
        is_limited: bool,
        pools: &mut Pools,
        cx: &mut Reading<'_>,
    ) -> Option<PoolId> {
        let tier = account.tier.as_ref()?;
        let preset = &account.account.preset;
        let Some(pool) = preset.limits(&tier.name, &model.value) else {
            if !is_limited {
                let (name, provider) = (&tier.name, &preset.name);
                let message = format!(
                    "the tier `{name}` of `{provider}` says no limits for this model: give the deployment `limits`"
                );
                cx.problem(&model.span, message);
            }
            return None;
        };
        let key = (index, pool.name.clone());
        if let Some(made) = self.0.get(&key) {
            return Some(*made);
        }
        let origin = Origin {
            name: format!("account/{}/{}", account.account.name, pool.name),
            span: tier.span.clone(),
        };
        let id = pools.add(origin, pool.meters.clone(), terms(pool, tier, account.terms), cx);
        self.0.insert(key, id);
        Some(id)
    }
}

fn terms(pool: &TierPool, tier: &Tier, account: Terms) -> Terms {
    let charge = tier.charge.unwrap_or(pool.charge);
    Terms { side: Side::Provider(charge), reserve: pool.reserve, ..account }
}
