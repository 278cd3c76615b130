//! A row of the table of faults: a site under a load that its limits do not allow, one fault again and again, and
//! what the providers' logs say about it.

use std::future::Future;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fastrand::Rng;
use weir_tests::client::{Answer, Ask, unix_us};
use weir_tests::gateway::Binary;
use weir_tests::load::{Load, Phase};
use weir_tests::meters;
use weir_tests::provider::{Arrival, Upstream};
use weir_tests::scale::Scale;
use weir_tests::site::{Plan, Site, Timeouts};

use super::fault::Fault;
use super::outcome::Outcome;
use crate::in_turn;

/// Times the summed limits that are offered; 1.5 of them must have been answered.
const OVERLOAD: f64 = 2.15;
/// Input of every call, tokens.
const INPUT: u64 = 17;
/// The protocol's own times: until a silent replica is not alive, and the longest that what was lost is learnt.
pub(crate) const TTL: Duration = Duration::from_secs(1);
const LEARN: Duration = Duration::from_secs(2);

/// What is done, to what, and what must come of it.
#[derive(Clone)]
pub(crate) struct Row {
    /// Names the row, its files and, in part, its test.
    pub(crate) name: &'static str,
    /// What strikes.
    pub(crate) fault: Fault,
    /// The gateway, if not the usual one.
    pub(crate) binary: Option<Binary>,
    /// Of every limit.
    pub(crate) on_outage: &'static str,
    /// Of every attempt.
    pub(crate) timeouts: Timeouts,
    /// How much calls generate, tokens; they ask for no more than the end of it.
    pub(crate) output: Range<u64>,
    /// Further arguments of the providers.
    pub(crate) behaviour: &'static str,
    /// Every n-th call is streamed.
    pub(crate) stream_every: usize,
    /// Limits for windows of 6 s: of requests, of tokens charged on arrival, of tokens charged at the end.
    pub(crate) limits: [u64; 3],
    /// Windows that are judged for use, after a first one at just the limits.
    pub(crate) windows: u32,
    /// Times its limit that a provider may see in a window, by the length of one: README.md, "The bound".
    pub(crate) bound: fn(Duration) -> f64,
    /// The bound depends on what was granted just before a strike: [`Row::granted_unseen`].
    pub(crate) shares: bool,
    /// Least use of the request limit, and of the token limits where the provider charges `max_tokens` on arrival
    /// and where it charges what was used. A tenth less is enough in short windows: what a fault costs is the same there,
    /// and the machine may be busy.
    pub(crate) least_used: [f64; 3],
    /// May calls be refused for want of the shared state?
    pub(crate) closes: bool,
    /// Share of calls that may be lost: not answered, or with 502 or 504.
    pub(crate) most_lost: f64,
}

/// A fault that struck: from when to when.
pub(crate) struct Strike {
    /// Unix time, µs.
    pub(crate) began_us: u64,
    /// The same.
    pub(crate) mended_us: u64,
}

/// Replicas of a site.
const REPLICAS: u64 = 3;
/// How old a replica's look at the state may be when it begins to share, if one was lost, and the way to the provider, us.
const LOOK_US: u64 = 400_000;
const WAY_US: u64 = 100_000;

/// All replicas cut off with `share`, whatever happened before: after a replica's last look the others cannot have been
/// granted more than the limit, and each replica takes its part of what it does not know of.
pub(crate) fn share_bound(_: Duration) -> f64 {
    2.0 - 1.0 / REPLICAS as f64
}

/// Redis' clock stepped forward by a second, once in a window: what was used in the second before may be used again,
/// at most what is offered in one. A window of a minute has a bucket of a second to spare.
pub(crate) fn clock_bound(window: Duration) -> f64 {
    if window.as_secs() >= 60 { 1.0 } else { 1.0 + OVERLOAD / window.as_secs_f64() }
}

/// Answers that take so long that much hangs on a replica when it dies. (And a window of 6 s is the less used for it:
/// a hold is counted from its grant, and from its head on once more for a whole window.)
pub(crate) const SLOW: &str = "--latency 400ms --pace 2ms --jitter 0.3";

/// What must be used at least: in real minutes, and in short windows, of which holds take more.
pub(super) fn in_minutes(full: [f64; 3], short: [f64; 3]) -> [f64; 3] {
    if Scale::from_env().is_full() { full } else { short }
}

impl Row {
    /// The usual: a fault that costs no more than a little of what it hits.
    pub(crate) fn new(name: &'static str, fault: Fault) -> Row {
        let ms = Duration::from_millis;
        Row {
            name,
            fault,
            binary: None,
            on_outage: "closed",
            timeouts: Timeouts { connect: ms(400), first_token: ms(1_000), total: ms(4_000) },
            output: 60..120,
            behaviour: "--latency 150ms --pace 2ms --jitter 0.3",
            stream_every: 3,
            limits: [240, 12_000, 18_000],
            windows: 3,
            bound: |_| 1.0,
            shares: false,
            least_used: in_minutes([0.75; 3], [0.75, 0.75, 0.6]),
            closes: false,
            most_lost: 0.02,
        }
    }

    /// Three providers: one limits requests, one tokens that it charges on arrival (as head meters do), one tokens
    /// that it charges at the end. Each lets pass what the bound allows, so that a 429 is a breach of it.
    fn upstreams(&self, scale: Scale) -> Vec<Upstream> {
        let [requests, head, end] = self.limits;
        let behaviour = format!("--output {}..{} {}", self.output.start, self.output.end, self.behaviour);
        let upstream = |name| Upstream {
            lenience: (self.bound)(scale.window),
            ..Upstream::new(name).behaving(&behaviour)
        };
        vec![
            Upstream { rpm: Some(scale.limit(requests)), ..upstream("requests") },
            Upstream { tpm: Some(scale.limit(head)), charge: "admission-max", ..upstream("head") },
            Upstream { tpm: Some(scale.limit(end)), charge: "end-actual", ..upstream("end") },
        ]
    }

    /// What the others were granted after a replica's last look before the state went away, in requests or tokens: their
    /// part of what reached the provider just before a strike. After an outage that may be all the calls that waited for
    /// its end.
    pub(crate) fn granted_unseen(&self, arrivals: &[Arrival], strikes: &[Strike], weight: u64) -> u64 {
        let before = |strike: &Strike| {
            let time = strike.began_us.saturating_sub(LOOK_US)..strike.began_us + WAY_US;
            arrivals.iter().filter(|call| call.status == 200 && time.contains(&call.arrival_us)).count()
                as u64
        };
        let most = strikes.iter().map(before).max().unwrap_or(0);
        (most * weight * (REPLICAS - 1)).div_ceil(REPLICAS)
    }

    /// What a call weighs at a provider that admits it.
    pub(crate) fn weight(&self, upstream: &Upstream) -> u64 {
        if upstream.rpm.is_some() { 1 } else { INPUT + self.output.end }
    }

    /// Calls that fit into one window of all providers together.
    fn fitting(&self, upstreams: &[Upstream]) -> f64 {
        let calls = |upstream: &Upstream| {
            let output = match upstream.charge {
                "end-actual" => (self.output.start + self.output.end) / 2,
                _ => self.output.end,
            };
            let weight = if upstream.rpm.is_some() { 1 } else { INPUT + output };
            upstream.rpm.or(upstream.tpm).unwrap_or(0) as f64 / weight as f64
        };
        upstreams.iter().map(calls).sum()
    }

    /// Runs it under [`in_turn`] and checks it.
    pub(crate) fn run(self) -> Result<()> {
        let scale = Scale::from_env();
        let outcome = in_turn(self.suffer(scale))?;
        outcome.must_hold(&self)?;
        self.must_leave_nothing(outcome)
    }

    /// Runs it in real minutes only: in short ones a row like it is enough.
    pub(crate) fn run_in_full(self) -> Result<()> {
        if Scale::from_env().is_full() || std::env::var_os("WEIR_ALL_ROWS").is_some() {
            return self.run();
        }
        println!("{}: only in real minutes (WEIR_FULL=1), or with WEIR_ALL_ROWS=1", self.name);
        Ok(())
    }

    /// Waits, while others run, until nothing is reserved or used any more.
    pub(crate) fn must_leave_nothing(&self, outcome: Outcome) -> Result<()> {
        let scale = outcome.site.plan.scale;
        let (window, end) = (scale.window * 62 / 60, self.timeouts.total);
        let home = outcome.site.others.home(&outcome.site.redis)?;
        quietly(meters::zero_within(&home, LEARN + TTL + end + window + TTL))
    }

    /// Offers too much while the fault strikes, and has the providers' logs judged.
    pub(crate) async fn suffer(&self, scale: Scale) -> Result<Outcome> {
        let upstreams = self.upstreams(scale);
        let fitting = self.fitting(&upstreams);
        let mut site = Site::start(Plan {
            defaults: "circuit = { enabled = false }\n".to_owned(), // it is the limits that are judged here
            binary: self.binary.clone(),
            on_outage: self.on_outage,
            timeouts: self.timeouts,
            scale,
            topology: self.fault.topology(),
            apart: self.fault == Fault::CutOff,
            own_clock: self.fault == Fault::StepClock,
            ..Plan::new(&format!("faults {}", self.name).replace(' ', "-"), upstreams)
        })
        .await?;
        let (rate, judged) = (fitting / scale.window.as_secs_f64(), scale.window * self.windows);
        let phases = [Phase { time: scale.window, rate }, Phase { time: judged, rate: OVERLOAD * rate }];
        let (every, most) = (self.stream_every, self.output.end);
        let ask = move |at: usize| Ask::new("m").max_tokens(most).streamed(at.is_multiple_of(every));
        let load = Load::start(site.client.clone(), 0, &phases, ask);
        tokio::time::sleep(scale.window).await;
        let strikes = self.strike(&mut site, judged).await?;
        let answers = load.finish().await;
        let offered = offered(&answers, scale) * scale.window.as_secs_f64() / judged.as_secs_f64() / fitting;
        Outcome::of(self, site, answers, offered, strikes).await
    }

    /// Lets the fault strike through all of `time`.
    async fn strike(&self, site: &mut Site, time: Duration) -> Result<Vec<Strike>> {
        let (mut dice, begun, mut strikes) = (dice(self.name)?, Instant::now(), Vec::new());
        loop {
            let pause = self.fault.pause(strikes.len(), site.plan.scale.window, &mut dice);
            if begun.elapsed() + pause > time {
                return Ok(strikes);
            }
            tokio::time::sleep(pause).await;
            let (at, began_us) = (begun.elapsed().as_secs_f64(), unix_us());
            let done = self.fault.strike(site, strikes.len(), &mut dice).await?;
            strikes.push(Strike { began_us, mended_us: unix_us() });
            if self.fault != Fault::None {
                println!("  {at:6.2} s: {done}");
            }
        }
    }
}

/// Random times that `WEIR_SEED` repeats.
pub(crate) fn dice(name: &str) -> Result<Rng> {
    let seed = match std::env::var("WEIR_SEED") {
        Ok(seed) => seed.parse()?,
        Err(_) => fastrand::u64(..),
    };
    println!("{name}: WEIR_SEED={seed}");
    Ok(Rng::with_seed(seed))
}

/// Calls of the judged part that were answered, with whatever.
fn offered(answers: &[Answer], scale: Scale) -> f64 {
    let first = answers.first().map_or(0, |answer| answer.sent_us) + scale.window.as_micros() as u64;
    answers.iter().filter(|answer| answer.sent_us >= first && answer.status != 0).count() as f64
}

/// Runs what does not mind that other tests run.
pub(crate) fn quietly(test: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(test)
}

/// Fails unless `offered` times the summed limits are enough to show anything.
pub(crate) fn must_be_overload(offered: f64) -> Result<()> {
    ensure!(offered >= 1.5, "void: only {offered:.2} times the summed limits were offered; 1.5 are needed");
    Ok(())
}

/// Broken on purpose to see it fail: the time before a strike not looked at, the part of the others not taken.
#[test]
fn what_was_granted_unseen_is_the_others_part_of_what_came_just_before_a_strike() {
    let arrival = |arrival_us, status| Arrival {
        arrival_us,
        end_us: None,
        status,
        prompt_tokens: 0,
        output_tokens: 0,
        ..Arrival::default()
    };
    let strike = |began_us| Strike { began_us, mended_us: began_us + 1 };
    let second = 1_000_000;
    let mut arrivals: Vec<Arrival> = (0..9).map(|at| arrival(9 * second + 600_000 + at, 200)).collect();
    arrivals.extend([arrival(9 * second + 599_999, 200), arrival(10 * second, 429)]); // too early; refused
    arrivals.push(arrival(20 * second, 200));
    let row = Row::new("by hand", Fault::StopRedis);
    let unseen = |strikes: &[Strike]| row.granted_unseen(&arrivals, strikes, 7);
    assert_eq!(unseen(&[strike(10 * second)]), 9 * 7 * 2 / 3);
    assert_eq!(unseen(&[strike(20 * second), strike(10 * second)]), 9 * 7 * 2 / 3, "the most of several");
    assert_eq!(unseen(&[strike(15 * second)]), 0);
}
