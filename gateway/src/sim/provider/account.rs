//! The limits of one key: requests and tokens together, and the verdict on one arrival.

use super::burn::Burner;
use super::limiter::{LimiterKind, Meter};
use super::options::Limits;
use std::sync::Arc;

/// When and by how much the token limit is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Charging {
    /// Prompt + the most output that the call may produce, at arrival, never refunded.
    AdmissionMax,
    /// Prompt + the output's real length, at arrival: the length is decided there.
    AdmissionActual,
    /// Prompt checked at arrival; prompt + what was generated charged when the answer ends.
    EndActual,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Requests,
    Tokens,
}

impl Unit {
    /// The word in OpenAI's `type` field and in the log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        }
    }
}

/// Tokens of one arrival: what must fit now, and what is charged now.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenCost {
    pub(super) checked: u64,
    pub(super) charged: u64,
}

/// Why an arrival was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) unit: Unit,
    pub(super) limit: u64,
    pub(super) used: u64,
    pub(super) requested: u64,
    /// Microseconds until it would fit if nothing else came; `None`: never.
    pub(super) wait_us: Option<u64>,
}

/// The state of one limit as the rate limit headers show it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gauge {
    pub(super) limit: u64,
    pub(super) used: u64,
    pub(super) reset_us: u64,
}

/// Both limits for the headers of one answer; an absent limit has no headers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Gauges {
    pub(super) requests: Option<Gauge>,
    pub(super) tokens: Option<Gauge>,
}

/// One key and what was charged to it.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) label: Arc<str>,
    requests: Option<Meter>,
    tokens: Option<Meter>,
    others: Burner,
}

impl Account {
    pub(super) fn new(label: Arc<str>, limits: Limits, kind: LimiterKind, window_us: u64, burn: f64) -> Self {
        let others = Burner::new(burn, window_us);
        let meter = |limit: Option<u64>| limit.map(|limit| Meter::new(kind, limit, window_us));
        Self { label, requests: meter(limits.rpm), tokens: meter(limits.tpm), others }
    }

    /// Charges what others have taken until now.
    fn burn(&mut self, now_us: u64) {
        while let Some((at, call)) = self.others.next(now_us) {
            for meter in self.requests.iter_mut().chain(&mut self.tokens) {
                let amount = self.others.amount(call, meter.limit());
                if amount > 0 && meter.fits(at, amount) {
                    meter.charge(at, amount);
                }
            }
        }
    }

    /// Admits and charges one request, or refuses it and charges nothing.
    pub(super) fn admit(&mut self, now_us: u64, cost: TokenCost) -> Result<(), Refusal> {
        self.burn(now_us);
        check(self.requests.as_mut(), Unit::Requests, now_us, 1)?;
        // Even in debt a call that brings no tokens (a malformed one) is not a token violation.
        if cost.checked > 0 {
            check(self.tokens.as_mut(), Unit::Tokens, now_us, cost.checked)?;
        }
        self.charge_request(now_us);
        if cost.charged > 0
            && let Some(meter) = &mut self.tokens
        {
            meter.charge(now_us, cost.charged);
        }
        Ok(())
    }

    /// Counts a request without asking, for providers that count refused ones too.
    pub(super) fn charge_request(&mut self, now_us: u64) {
        if let Some(meter) = &mut self.requests {
            meter.charge(now_us, 1);
        }
    }

    /// Charges tokens without asking. True when that takes the account over its limit.
    pub(super) fn charge_tokens(&mut self, now_us: u64, amount: u64) -> bool {
        self.burn(now_us);
        let Some(meter) = &mut self.tokens else { return false };
        meter.charge(now_us, amount);
        meter.used(now_us) > meter.limit()
    }

    pub(super) fn gauges(&mut self, now_us: u64) -> Gauges {
        self.burn(now_us);
        let read = |meter: Option<&mut Meter>| {
            meter.map(|meter| Gauge {
                limit: meter.limit(),
                used: meter.used(now_us),
                reset_us: meter.reset_us(now_us),
            })
        };
        Gauges { requests: read(self.requests.as_mut()), tokens: read(self.tokens.as_mut()) }
    }
}

fn check(meter: Option<&mut Meter>, unit: Unit, now_us: u64, requested: u64) -> Result<(), Refusal> {
    let Some(meter) = meter else { return Ok(()) };
    if meter.fits(now_us, requested) {
        return Ok(());
    }
    let (limit, used) = (meter.limit(), meter.used(now_us));
    Err(Refusal { unit, limit, used, requested, wait_us: meter.wait_us(now_us, requested) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(rpm: Option<u64>, tpm: Option<u64>) -> Account {
        Account::new("k".into(), Limits { rpm, tpm }, LimiterKind::Sliding, 1_000, 0.0)
    }

    fn whole(tokens: u64) -> TokenCost {
        TokenCost { checked: tokens, charged: tokens }
    }

    #[test]
    fn a_refused_arrival_charges_nothing() {
        let mut account = account(Some(2), Some(100));
        account.admit(1, whole(90)).unwrap();
        let refusal = account.admit(2, whole(20)).unwrap_err();
        assert_eq!((refusal.unit, refusal.used, refusal.requested), (Unit::Tokens, 90, 20));
        assert_eq!(refusal.wait_us, Some(1_000));
        account.admit(3, whole(10)).unwrap();
        assert_eq!(account.admit(4, whole(1)).unwrap_err().unit, Unit::Requests);
    }

    #[test]
    fn a_charge_at_the_end_can_exceed_the_limit_and_then_refuses_the_next() {
        let mut account = account(None, Some(100));
        account.admit(1, TokenCost { checked: 60, charged: 0 }).unwrap();
        account.admit(2, TokenCost { checked: 60, charged: 0 }).unwrap();
        assert!(!account.charge_tokens(3, 80));
        assert!(account.charge_tokens(4, 80));
        let refusal = account.admit(5, TokenCost { checked: 1, charged: 0 }).unwrap_err();
        assert_eq!((refusal.used, refusal.wait_us), (160, Some(999)));
    }

    #[test]
    fn a_key_without_limits_admits_everything() {
        let mut account = account(None, None);
        for now in 0..1_000 {
            account.admit(now, whole(1_000_000)).unwrap();
        }
        assert!(account.gauges(0).requests.is_none());
    }
}
