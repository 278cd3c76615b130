//! What each class asks of the gateway (PROVIDERS.md, section 3.3), as facts for the parts that act on them.

use super::{Class, Failure};

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// What takes no calls for a while.
    pub rests: Rests,
    /// Who may serve this call instead.
    pub next: Next,
    /// May the same deployment be asked again within this call, after a pause?
    pub again: bool,
    /// Does the circuit breaker count it?
    pub breaker: bool,
    /// Does it need a person: a key, a bill, a configuration?
    pub alert: bool,
}

/// What takes no calls for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rests {
    /// Nothing.
    Nothing,
    /// The pools that the provider limits, until the time it names.
    Pools,
    /// The pools, until the quota's end or an operator's word.
    PoolsForLong,
    /// The deployment, for some seconds.
    Deployment,
    /// The deployment, until an operator changes something.
    DeploymentForLong,
    /// Nothing rests, but the deployment's share of the load is cut by a factor.
    Share,
}

/// Who may serve this call instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Every other candidate.
    Anyone,
    /// A candidate whose limits are larger.
    LargerPool,
    /// The list of fallbacks with longer contexts.
    LongerContext,
    /// The list of fallbacks for filtered content.
    OtherPolicy,
    /// Another account of the same provider.
    OtherAccount,
    /// Nobody: the client must change its request.
    Nobody,
}

impl Class {
    /// Is the deployment to blame? Not for what a limit refuses, which rests, nor for what the request is.
    pub fn is_theirs(self) -> bool {
        match self {
            Class::Overloaded { .. }
            | Class::SlowDown { .. }
            | Class::TimedOut
            | Class::Transient
            | Class::Auth
            | Class::NotFound => true,
            Class::RateLimited { .. }
            | Class::QuotaExhausted { .. }
            | Class::NotKept
            | Class::TooBigForPool
            | Class::ContextTooLong
            | Class::ContentFiltered
            | Class::BadRequest => false,
        }
    }

    /// Does it open circuits? Not what asks for fewer calls, nor what one request may be to blame for.
    pub fn opens_circuits(self) -> bool {
        self.action().breaker
    }

    /// What it asks for.
    pub fn action(self) -> Action {
        let plain =
            Action { rests: Rests::Nothing, next: Next::Anyone, again: false, breaker: false, alert: false };
        match self {
            Class::RateLimited { .. } => Action { rests: Rests::Pools, ..plain },
            Class::SlowDown { .. } => Action { rests: Rests::Share, ..plain },
            Class::Overloaded { .. } => Action { rests: Rests::Deployment, breaker: true, ..plain },
            Class::QuotaExhausted { .. } => Action { rests: Rests::PoolsForLong, alert: true, ..plain },
            Class::TooBigForPool => Action { next: Next::LargerPool, ..plain },
            Class::ContextTooLong => Action { next: Next::LongerContext, ..plain },
            Class::ContentFiltered => Action { next: Next::OtherPolicy, ..plain },
            Class::Auth => Action { rests: Rests::DeploymentForLong, breaker: true, alert: true, ..plain },
            Class::NotFound => Action { rests: Rests::DeploymentForLong, alert: true, ..plain },
            Class::NotKept => Action { next: Next::OtherAccount, ..plain },
            Class::BadRequest => Action { next: Next::Nobody, ..plain },
            Class::TimedOut | Class::Transient => Action { again: true, breaker: true, ..plain },
        }
    }
}

impl Failure {
    /// What its class asks for; the upstream's own word on retrying wins over our table, as in the SDKs. It never
    /// wins over a rest: what rests is not asked again before its time.
    pub fn action(&self) -> Action {
        let action = self.class.action();
        let again = match self.should_retry {
            Some(wanted) if action.rests == Rests::Nothing => wanted,
            Some(false) => false,
            _ => action.again,
        };
        Action { again, ..action }
    }
}
