//! What `weir provider` can be told on its command line, and how each value is written.

use super::account::Charging;
use super::faults::Fault;
use super::limiter::LimiterKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Settings of one fake provider.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct Options {
    /// Address to listen on; port 0 takes a free one. The bound address is the first line printed.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9100")]
    pub listen: SocketAddr,
    /// A key and its limits per window, as SECRET[:rpm=N][,tpm=N]; repeatable. Without any, every key is
    /// accepted and unlimited.
    #[arg(long = "key", value_name = "SECRET:rpm=N,tpm=N")]
    pub keys: Vec<Key>,
    /// Length of the window of every limit.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    pub window: Duration,
    /// How limits are enforced.
    #[arg(long, value_enum, default_value = "sliding")]
    pub limiter: LimiterKind,
    /// When and by how much the token limit is charged.
    #[arg(long, value_enum, default_value = "admission-max")]
    pub charge: Charging,
    /// Let requests refused by a limit count against the request limit too.
    #[arg(long)]
    pub count_rejected: bool,
    /// Share of every limit that somebody else takes who uses the same keys: evenly, not in the log, in the headers.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share)]
    pub burn: f64,
    /// Most output of a call that does not say, in tokens.
    #[arg(long, value_name = "TOKENS", default_value_t = 4096)]
    pub default_max_output: u64,
    /// Output length, drawn evenly per call, in tokens; max_tokens caps it.
    #[arg(long, value_name = "LOW..HIGH", default_value = "20..60")]
    pub output: Span,
    /// Time before the headers of an answer.
    #[arg(long, value_name = "DURATION", default_value = "20ms", value_parser = humantime::parse_duration)]
    pub latency: Duration,
    /// Time between two tokens of a stream; 0 sends them back to back.
    #[arg(long, value_name = "DURATION", default_value = "5ms", value_parser = humantime::parse_duration)]
    pub pace: Duration,
    /// Spread of latency and pace: each wait is drawn evenly from (1 - JITTER)..(1 + JITTER) times its value.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share)]
    pub jitter: f64,
    /// Share of the input that is said to have come from a cache.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share)]
    pub cached: f64,
    /// Share of the input that is said to have been written to one, of what did not come from it.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share)]
    pub written: f64,
    /// Share of the output that is said to have been reasoning.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share)]
    pub reasoning: f64,
    /// In which way it is said to serve: `service_tier`.
    #[arg(long, value_name = "WORD", default_value = "default")]
    pub service: String,
    /// Injected failure, repeatable: one of status=N, stall=before|mid, cut=before-headers|before-content|mid,
    /// error-chunk=before|mid, slow=DURATION (first token), then share=P, times=N, retry-after=SECONDS,
    /// should-retry=true|false, only=chat|models, body=TEXT (last).
    #[arg(long = "fail", value_name = "KIND=..,share=P")]
    pub faults: Vec<Fault>,
    /// Models served; any other is refused with 404. Without it every name is served.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub models: Vec<String>,
    /// Seed of every draw (output length, jitter, failures): same seed and order, same answers.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Append each finished call to this file, one JSON object per line.
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Arrivals kept in memory for `GET /_log`; the oldest finished ones go first.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000)]
    pub keep: usize,
    /// Keep headers and bodies of the last 1000 requests for `GET /_bodies`.
    #[arg(long)]
    pub record_bodies: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9100)),
            keys: Vec::new(),
            window: Duration::from_secs(60),
            limiter: LimiterKind::Sliding,
            charge: Charging::AdmissionMax,
            count_rejected: false,
            burn: 0.0,
            default_max_output: 4096,
            output: Span { low: 20, high: 60 },
            latency: Duration::from_millis(20),
            pace: Duration::from_millis(5),
            jitter: 0.0,
            cached: 0.0,
            written: 0.0,
            reasoning: 0.0,
            service: "default".into(),
            faults: Vec::new(),
            models: Vec::new(),
            seed: 1,
            log: None,
            keep: 1_000_000,
            record_bodies: false,
        }
    }
}

/// Limits of one key per window; an absent one means none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests per window.
    pub rpm: Option<u64>,
    /// Tokens per window.
    pub tpm: Option<u64>,
}

/// A key that the provider knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// What clients send as bearer token.
    pub secret: String,
    /// Its limits.
    pub limits: Limits,
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (secret, limits) = text.split_once(':').unwrap_or((text, ""));
        if secret.is_empty() {
            return Err("the key is empty".into());
        }
        let mut parsed = Limits::default();
        for part in limits.split(',').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is not NAME=N"))?;
            let value: u64 = value.parse().map_err(|_| format!("`{value}` is not a whole number"))?;
            match name {
                "rpm" => parsed.rpm = Some(value),
                "tpm" => parsed.tpm = Some(value),
                _ => return Err(format!("`{name}` is not a limit: use rpm or tpm")),
            }
        }
        Ok(Self { secret: secret.into(), limits: parsed })
    }
}

/// A range of whole numbers, both ends included, written `LOW..HIGH` or as one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Smallest value.
    pub low: u64,
    /// Largest value.
    pub high: u64,
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (low, high) = text.split_once("..").unwrap_or((text, text));
        let number = |part: &str| {
            part.parse::<u64>().map_err(|_| format!("`{part}` is not a whole number: write LOW..HIGH"))
        };
        let (low, high) = (number(low)?, number(high)?);
        if low == 0 || low > high {
            return Err(format!("{low}..{high} is empty or starts at 0"));
        }
        Ok(Self { low, high })
    }
}

/// A number from 0 to 1.
pub(super) fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        Ok(_) | Err(_) => Err(format!("`{text}` is not a number from 0 to 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn defaults_of_the_type_are_those_of_the_command_line() {
        assert_eq!(Alone::try_parse_from(["provider"]).unwrap().options, Options::default());
    }

    #[test]
    fn keys_carry_their_limits() {
        let parse = |text: &str| text.parse::<Key>().map(|key| key.limits);
        assert_eq!(parse("sk-a"), Ok(Limits::default()));
        assert_eq!(parse("sk-a:rpm=600,tpm=120000"), Ok(Limits { rpm: Some(600), tpm: Some(120_000) }));
        assert_eq!(parse("sk-a:tpm=5"), Ok(Limits { rpm: None, tpm: Some(5) }));
        assert!(parse(":rpm=1").is_err());
        assert!(parse("a:rpd=1").is_err());
        assert!(parse("a:rpm=x").is_err());
    }

    #[test]
    fn spans_are_one_number_or_two() {
        assert_eq!("20..60".parse(), Ok(Span { low: 20, high: 60 }));
        assert_eq!("7".parse(), Ok(Span { low: 7, high: 7 }));
        assert!("9..3".parse::<Span>().is_err());
        assert!("0".parse::<Span>().is_err());
    }
}
