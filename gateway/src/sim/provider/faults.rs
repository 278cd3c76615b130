//! Injected failures: what can go wrong with an answer, how it is written, and which call it hits.
//!
//! Each call draws one number; the faults divide the range from 0 to 1 among themselves in the order written, so
//! that at most one hits a call. `times` bounds how often one fires.

use super::options::parse_share;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Where in an answer something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before the status line.
    BeforeHeaders,
    /// After headers and role chunk, before the first content.
    BeforeContent,
    /// After half of the content.
    Mid,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum FaultKind {
    /// An error answer with this status.
    Status {
        /// HTTP status.
        code: u16,
        /// `retry-after` in seconds, as written.
        retry_after: Option<String>,
        /// `x-should-retry`, as written.
        should_retry: Option<String>,
        /// Body instead of OpenAI's.
        body: Option<String>,
    },
    /// Nothing more is sent until the client goes away.
    Stall(Place),
    /// The connection is closed.
    Cut(Place),
    /// An error frame in the stream, then its end; a plain call gets status 500.
    ErrorChunk(Place),
    /// The first token comes this much later, after the headers.
    SlowFirstToken(Duration),
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// A chat completion.
    Chat,
    /// The list of models.
    Models,
}

impl Route {
    /// In the log, and in failures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Route::Chat => "chat",
            Route::Models => "models",
        }
    }
}

/// A failure and how often it happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Share of calls it hits, 0 to 1.
    pub share: f64,
    /// Most calls it hits; absent: no bound.
    pub times: Option<u64>,
    /// What it hits; absent: everything.
    pub only: Option<Route>,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A body may contain commas, hence it comes last.
        let (text, body) = match text.split_once("body=") {
            Some((front, body)) => (front, Some(body.to_owned())),
            None => (text, None),
        };
        let (mut kind, mut share, mut times, mut only) = (None, 1.0, None, None);
        let (mut retry_after, mut should_retry) = (None, None);
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is not NAME=VALUE"))?;
            match name {
                "share" => share = parse_share(value)?,
                "times" => times = Some(value.parse().map_err(|_| format!("times={value}: not a number"))?),
                "only" => {
                    let known = [Route::Chat, Route::Models].into_iter().find(|route| route.name() == value);
                    only = Some(known.ok_or_else(|| format!("only={value}: chat or models"))?);
                }
                "retry-after" => retry_after = Some(value.to_owned()),
                "should-retry" => should_retry = Some(value.to_owned()),
                _ if kind.is_some() => return Err(format!("`{part}`: one kind of failure at a time")),
                _ => kind = Some(parse_kind(name, value)?),
            }
        }
        let mut kind = kind.ok_or("no kind of failure: status, stall, cut, error-chunk or slow")?;
        match &mut kind {
            FaultKind::Status { retry_after: wait, should_retry: again, body: text, .. } => {
                (*wait, *again, *text) = (retry_after, should_retry, body)
            }
            FaultKind::Stall(_)
            | FaultKind::Cut(_)
            | FaultKind::ErrorChunk(_)
            | FaultKind::SlowFirstToken(_) => {
                if retry_after.is_some() || should_retry.is_some() || body.is_some() {
                    return Err("retry-after, should-retry and body belong to status".into());
                }
            }
        }
        Ok(Self { kind, share, times, only })
    }
}

fn parse_kind(name: &str, value: &str) -> Result<FaultKind, String> {
    let unknown = || format!("`{name}={value}` is not a failure");
    match (name, value) {
        ("status", _) => match value.parse() {
            Ok(code @ 400..=599) => {
                Ok(FaultKind::Status { code, retry_after: None, should_retry: None, body: None })
            }
            Ok(_) | Err(_) => Err(format!("status={value} is not an error status (400 to 599)")),
        },
        ("stall", "before") => Ok(FaultKind::Stall(Place::BeforeHeaders)),
        ("stall", "before-content") => Ok(FaultKind::Stall(Place::BeforeContent)),
        ("stall", "mid") => Ok(FaultKind::Stall(Place::Mid)),
        ("cut", "before-headers") => Ok(FaultKind::Cut(Place::BeforeHeaders)),
        ("cut", "before-content") => Ok(FaultKind::Cut(Place::BeforeContent)),
        ("cut", "mid") => Ok(FaultKind::Cut(Place::Mid)),
        ("error-chunk", "before") => Ok(FaultKind::ErrorChunk(Place::BeforeContent)),
        ("error-chunk", "mid") => Ok(FaultKind::ErrorChunk(Place::Mid)),
        ("slow", _) => {
            humantime::parse_duration(value).map(FaultKind::SlowFirstToken).map_err(|e| e.to_string())
        }
        _ => Err(unknown()),
    }
}

/// The faults in force, with how often each has fired.
#[derive(Debug, Default)]
pub(super) struct FaultPlan {
    faults: Vec<(Fault, AtomicU64)>,
}

impl FaultPlan {
    pub(super) fn new(faults: Vec<Fault>) -> Result<Self, String> {
        let total: f64 = faults.iter().map(|fault| fault.share).sum();
        // Bounded faults may overlap in share: they fire one after the other.
        if total > 1.0 + 1e-9 && faults.iter().all(|fault| fault.times.is_none()) {
            return Err(format!("the shares of all failures sum to {total}, more than 1"));
        }
        Ok(Self { faults: faults.into_iter().map(|fault| (fault, AtomicU64::new(0))).collect() })
    }

    /// The fault that hits a call whose draw is `drawn` (0 to 1). One that has fired often enough is as if
    /// it were not written.
    pub(super) fn pick(&self, drawn: f64, route: Route) -> Option<FaultKind> {
        let mut low = 0.0;
        for (fault, fired) in &self.faults {
            let spent = fault.times.is_some_and(|times| fired.load(Relaxed) >= times);
            if spent || fault.only.is_some_and(|only| only != route) {
                continue;
            }
            let hit = drawn >= low && drawn < low + fault.share;
            low += fault.share;
            if hit {
                let before = fired.fetch_add(1, Relaxed);
                if fault.times.is_none_or(|times| before < times) {
                    return Some(fault.kind.clone());
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_can_be_written() {
        let kind = |text: &str| text.parse::<Fault>().map(|fault| fault.kind);
        assert_eq!(
            "status=503,share=0.25,retry-after=2,should-retry=false,body={\"a\":1,\"b\":2}".parse(),
            Ok(Fault {
                kind: FaultKind::Status {
                    code: 503,
                    retry_after: Some("2".into()),
                    should_retry: Some("false".into()),
                    body: Some("{\"a\":1,\"b\":2}".into())
                },
                share: 0.25,
                times: None,
                only: None
            })
        );
        assert_eq!(kind("stall=before"), Ok(FaultKind::Stall(Place::BeforeHeaders)));
        assert_eq!(kind("cut=mid,share=0.1"), Ok(FaultKind::Cut(Place::Mid)));
        assert_eq!(kind("error-chunk=mid,times=3"), Ok(FaultKind::ErrorChunk(Place::Mid)));
        let listing = "status=500,only=models".parse::<Fault>().unwrap();
        assert_eq!(listing.only, Some(Route::Models));
        assert_eq!(kind("slow=2s"), Ok(FaultKind::SlowFirstToken(Duration::from_secs(2))));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "share=0.5",
            "status=200",
            "stall=never",
            "cut=mid,stall=mid",
            "cut=mid,body=x",
            "cut=mid,should-retry=false",
            "cut=mid,only=embeddings",
            "x",
        ] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
        assert!(FaultPlan::new(vec!["cut=mid".parse().unwrap(), "stall=mid".parse().unwrap()]).is_err());
    }

    #[test]
    fn shares_divide_the_draw_in_the_order_written() {
        let plan = FaultPlan::new(vec![
            "status=500,share=0.2".parse().unwrap(),
            "cut=mid,share=0.3".parse().unwrap(),
        ])
        .unwrap();
        assert!(matches!(plan.pick(0.19, Route::Chat), Some(FaultKind::Status { .. })));
        assert!(matches!(plan.pick(0.2, Route::Chat), Some(FaultKind::Cut(_))));
        assert!(matches!(plan.pick(0.499, Route::Chat), Some(FaultKind::Cut(_))));
        assert_eq!(plan.pick(0.5, Route::Chat), None);
    }

    #[test]
    fn a_bounded_failure_stops_after_its_times() {
        let plan =
            FaultPlan::new(vec!["status=500,times=2".parse().unwrap(), "cut=mid,times=1".parse().unwrap()])
                .unwrap();
        let hits: Vec<bool> = (0..4).map(|_| plan.pick(0.0, Route::Chat).is_some()).collect();
        assert_eq!(hits, [true, true, true, false]);
    }
}
