//! Why each candidate of a call was taken or not: for who asks with `x-weir-explain: 1`, and for the log line of a call
//! that its first candidate did not serve.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::state::core::Cause;

/// What became of a candidate in one round.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// It was tried; how that ended (`ok` if it answers).
    Tried(&'static str),
    /// It has room, but another is preferred.
    NotPreferred {
        /// In use with this call.
        share: f64,
    },
    /// Another was taken before it was looked at.
    NotLooked,
    /// It has no room, or rests.
    NoRoom {
        /// For how long.
        time: Duration,
        /// Because of this pool.
        pool: Arc<str>,
    },
    /// It has failed lately: its circuit is open.
    Failing {
        /// For how long.
        time: Duration,
    },
    /// Its account's key was refused, or its credit is spent.
    Shut {
        /// For how long it is left alone.
        time: Duration,
        /// Which.
        cause: Cause,
    },
    /// It had failed, and takes calls again little by little.
    Recovers,
    /// The call is larger than a whole limit of this pool.
    TooLarge {
        /// The pool.
        pool: Arc<str>,
    },
    /// It lacks something that the call demands.
    Lacks(String),
    /// The call is longer than it can read.
    TooLong,
    /// An operator has drained it.
    Drained,
    /// What the call continues is kept elsewhere.
    NotItsHome,
    /// Its provider has no such call.
    NoSuchCall,
    /// Its dialect cannot say the request.
    Unsayable,
    /// Its account has asked not to be tried again with this call.
    AccountRefuses,
    /// The attempts of its tier, or of the model, are used up.
    NoAttempts,
    /// It fails as well, and what the model may be tried again is spent.
    NoBudget,
    /// The failure before took so long that nothing is tried after it.
    TooSlow,
    /// The shared state could not be asked for room.
    StateAway,
    /// The call waited for room.
    Waited {
        /// For how long.
        time: Duration,
        /// Because of this pool; empty: behind others.
        pool: Arc<str>,
    },
    /// As many wait as may.
    QueueFull,
    /// Of those that wait its turn would come too late.
    TurnTooLate {
        /// In about this time.
        time: Duration,
    },
    /// It made room for one that had more of a right to wait.
    PutOut,
}

/// So many events are told one by one.
const MOST_STEPS: usize = 64;
/// About as much is told, bytes: it has to fit into a head.
const LONGEST: usize = 4_000;

/// Candidates and what became of them, in the order of events.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// The client asked for it.
    pub wanted: bool,
    /// The rule that has chosen the model, and that model.
    pub rule: Option<(Arc<str>, Arc<str>)>,
    /// The variant that the call fell to, and its experiment.
    pub variant: Option<(Arc<str>, Arc<str>)>,
    steps: Vec<(Arc<str>, Why)>,
}

impl Explanation {
    /// Another event.
    pub fn add(&mut self, deployment: &Arc<str>, why: Why) {
        self.steps.push((deployment.clone(), why));
    }

    /// Has this been told of it already?
    pub fn tells(&self, deployment: &Arc<str>, why: &Why) -> bool {
        self.steps.iter().any(|(name, told)| name == deployment && told == why)
    }

    /// A candidate was tried. The first one that serves explains itself.
    pub fn tried(&mut self, deployment: &Arc<str>, outcome: &'static str) {
        if self.wanted || !self.steps.is_empty() || outcome != "ok" {
            self.add(deployment, Why::Tried(outcome));
        }
    }

    /// Is there nothing to tell?
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// For the client: nothing of how much others use.
    pub fn header(&self) -> String {
        self.text(|out, why| match why {
            Why::NotPreferred { .. } => out.push_str("has room, another was preferred"),
            Why::NoRoom { time, .. } => write(out, format_args!("no room for {:.3} s", time.as_secs_f64())),
            Why::TooLarge { .. } => out.push_str("larger than a limit"),
            Why::Waited { time, .. } => {
                write(out, format_args!("waited {:.3} s for room", time.as_secs_f64()));
            }
            other => plain(out, other),
        })
    }

    /// For operators.
    pub fn log(&self) -> String {
        self.text(in_full)
    }

    /// The same event by event, without the rule and the variant.
    pub fn steps(&self) -> impl Iterator<Item = String> {
        self.steps.iter().take(MOST_STEPS).map(|(name, why)| {
            let mut out = format!("{name}: ");
            in_full(&mut out, why);
            out
        })
    }

    fn text(&self, show: impl Fn(&mut String, &Why)) -> String {
        let mut out = String::new();
        if let Some((rule, model)) = &self.rule {
            write(&mut out, format_args!("{rule} chose {model}"));
        }
        if let Some((variant, experiment)) = &self.variant {
            let before = if out.is_empty() { "" } else { "; " };
            write(&mut out, format_args!("{before}variant {variant} of {experiment}"));
        }
        for (name, why) in &self.steps {
            if !out.is_empty() {
                out.push_str("; ");
            }
            if out.len() > LONGEST {
                out.push_str("...");
                break;
            }
            write(&mut out, format_args!("{name}: "));
            show(&mut out, why);
        }
        out
    }
}

/// With what others use.
fn in_full(out: &mut String, why: &Why) {
    match why {
        Why::NotPreferred { share } => {
            write(out, format_args!("has room ({:.1} % in use), another was preferred", 100.0 * share));
        }
        Why::NoRoom { time, pool } => {
            write(out, format_args!("no room for {:.3} s in {pool}", time.as_secs_f64()));
        }
        Why::TooLarge { pool } => write(out, format_args!("larger than a limit of {pool}")),
        Why::Waited { time, pool } => {
            let of = if pool.is_empty() { "" } else { " in " };
            write(out, format_args!("waited {:.3} s for room{of}{pool}", time.as_secs_f64()));
        }
        other => plain(out, other),
    }
}

/// What is the same for everybody.
fn plain(out: &mut String, why: &Why) {
    match why {
        Why::Tried("ok") => out.push_str("taken"),
        Why::Tried(outcome) => write(out, format_args!("taken, {outcome}")),
        Why::NotLooked => out.push_str("not looked at"),
        Why::Lacks(what) => out.push_str(what),
        Why::TooLong => out.push_str("the call is longer than its context"),
        Why::Drained => out.push_str("drained by an operator"),
        Why::NoSuchCall => out.push_str("its provider has no such call"),
        Why::Unsayable => out.push_str("the request cannot be said in its dialect"),
        Why::NotItsHome => out.push_str("what the call continues is kept elsewhere"),
        Why::Failing { time } => {
            write(out, format_args!("has failed lately, left alone for {:.3} s", time.as_secs_f64()));
        }
        Why::Shut { time, cause } => {
            let what = match cause {
                Cause::Quota => "its account's quota is spent (quota)",
                Cause::Key | Cause::Faults => "its account's key was refused (auth)",
            };
            write(out, format_args!("{what}, left alone for {:.3} s", time.as_secs_f64()));
        }
        Why::Recovers => out.push_str("has failed lately, takes calls again little by little"),
        Why::AccountRefuses => out.push_str("its account asks not to be tried again"),
        Why::NoAttempts => out.push_str("no attempts are left"),
        Why::NoBudget => out.push_str("fails as well, and the model's retries are spent"),
        Why::TooSlow => out.push_str("not tried after so slow a failure"),
        Why::StateAway => out.push_str("the shared state is not reachable"),
        Why::QueueFull => out.push_str("as many wait for room as may"),
        Why::TurnTooLate { time } => {
            write(
                out,
                format_args!("others wait for room, its turn would come in {:.3} s", time.as_secs_f64()),
            );
        }
        Why::PutOut => out.push_str("made room for a call that waits with more of a right"),
        Why::NotPreferred { .. } | Why::NoRoom { .. } | Why::TooLarge { .. } | Why::Waited { .. } => {}
    }
}

/// Writing to a string cannot fail.
fn write(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_learns_nothing_of_what_others_use() {
        let mut told = Explanation { wanted: true, ..Explanation::default() };
        let time = Duration::from_millis(3_200);
        told.add(&"a".into(), Why::NoRoom { time, pool: "account/x/gpt".into() });
        told.add(&"b".into(), Why::Tried("broken"));
        told.add(&"c".into(), Why::NotPreferred { share: 0.42 });
        told.add(&"d".into(), Why::TooLarge { pool: "account/y".into() });
        told.add(&"e".into(), Why::Tried("ok"));
        assert_eq!(
            told.header(),
            "a: no room for 3.200 s; b: taken, broken; c: has room, another was preferred; d: larger than a limit; e: taken"
        );
        let log = told.log();
        assert!(
            log.contains("in account/x/gpt") && log.contains("42.0 % in use") && log.contains("of account/y")
        );
    }

    #[test]
    fn two_hundred_candidates_fit_into_a_head() {
        let mut told = Explanation { wanted: true, ..Explanation::default() };
        (0..200).for_each(|at| told.add(&format!("deployment-{at}").into(), Why::NotLooked));
        let header = told.header();
        assert!(header.len() < 5_000 && header.ends_with("; ..."), "{header}");
    }

    #[test]
    fn what_went_as_planned_is_told_only_to_who_asks() {
        let mut told = Explanation::default();
        told.tried(&"a".into(), "ok");
        assert!(told.is_empty());
        told.wanted = true;
        told.tried(&"a".into(), "ok");
        assert_eq!(told.header(), "a: taken");
        let mut moved = Explanation::default();
        moved.tried(&"a".into(), "rate_limited");
        moved.tried(&"b".into(), "ok");
        assert_eq!(moved.log(), "a: taken, rate_limited; b: taken");
    }
}
