//! A load that is described: a TOML file, or a few words on the command line. Reading it finds every mistake at its place.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::draws::{Pattern, Size};
use super::load::Source;
use super::service::Service;
use crate::config::{Config, Problem, Report};

/// A load, and what else its file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// What comes.
    pub sources: Vec<Source>,
    /// How each deployment serves.
    pub services: Vec<Service>,
    /// For how long it comes, the warm-up left out.
    pub time: Option<Duration>,
    /// What comes before is not counted.
    pub warm_up: Option<Duration>,
    /// How many replicas.
    pub replicas: Option<usize>,
    /// What chance begins with.
    pub seed: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    duration: Option<Spanned<String>>,
    warm_up: Option<Spanned<String>>,
    replicas: Option<Spanned<u64>>,
    seed: Option<u64>,
    #[serde(default)]
    service: Serves,
    #[serde(default)]
    deployments: Vec<Spanned<Serves>>,
    #[serde(default)]
    calls: Vec<Spanned<Calls>>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Serves {
    name: Option<Spanned<String>>, // of `[[deployments]]`, and only there
    first_token: Option<Spanned<String>>,
    input_tokens_per_second: Option<Spanned<f64>>,
    tokens_per_second: Option<Spanned<f64>>,
    seconds: Option<Spanned<f64>>,
    spread: Option<Spanned<f64>>,
    slots: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Calls {
    model: Spanned<String>,
    rps: Spanned<f64>,
    #[serde(default)]
    tenants: BTreeMap<Spanned<String>, Spanned<f64>>,
    input_tokens: Option<Spanned<Value>>,
    output_tokens: Option<Spanned<Value>>,
    max_tokens: Option<Spanned<u64>>,
    weighs: Option<Spanned<f64>>,
    stream_share: Option<Spanned<f64>>,
    #[serde(default)]
    even: bool,
    spike: Option<Spike>,
    ramp: Option<Ramp>,
    wave: Option<Wave>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spike {
    times: Spanned<f64>,
    lasts: Spanned<String>,
    every: Spanned<String>,
    between: Option<Spanned<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ramp {
    to: Spanned<f64>,
    within: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wave {
    by: Spanned<f64>,
    every: Spanned<String>,
}

/// Sizes where nothing is said: as in chats.
pub const INPUT: Size = Size::Fixed(500);
/// The same of output.
pub const OUTPUT: Size = Size::Fixed(250);
/// None is larger unless the file says so.
const MOST: u64 = 1_000_000;
/// Calls a second and the like are below this.
const MOST_RATE: f64 = 1e9;
/// How many standard deviations above the mean 95 in 100 stay within.
const P95: f64 = 1.644_853_6;

/// Reads a description; `file` is its name in messages.
pub fn read(file: &Path, text: &str, config: &Config) -> Result<Mix, Report> {
    let report = |problems| Report::new(file, text.to_owned(), problems);
    let written: File = toml::from_str(text).map_err(|err| {
        report(vec![Problem { span: err.span(), message: err.message().trim_end().to_owned() }])
    })?;
    let mut reader = Reader { config, problems: Vec::new() };
    let mix = reader.mix(written);
    if reader.problems.is_empty() { Ok(mix) } else { Err(report(reader.problems)) }
}

struct Reader<'c> {
    config: &'c Config,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn wrong(&mut self, span: Range<usize>, message: impl Into<String>) {
        self.problems.push(Problem { span: Some(span), message: message.into() });
    }

    fn mix(&mut self, file: File) -> Mix {
        if let Some(name) = &file.service.name {
            self.wrong(name.span(), "name: `[service]` is of all deployments, `[[deployments]]` of one");
        }
        let usual = self.serves(&file.service, Service::default());
        let services = self.services(usual, &file.deployments);
        if file.calls.is_empty() {
            let message = "no calls: `[[calls]]` with `model` and `rps` says what comes".to_owned();
            self.problems.push(Problem { span: None, message });
        }
        let sources = file.calls.iter().filter_map(|calls| self.source(calls)).collect();
        let replicas = file.replicas.and_then(|count| {
            let is_sound = (1..=100_000).contains(count.get_ref());
            if !is_sound {
                self.wrong(count.span(), "replicas: 1 to 100,000");
            }
            is_sound.then_some(*count.get_ref() as usize)
        });
        let time = file.duration.and_then(|time| self.time(&time, "duration"));
        let warm_up = file.warm_up.and_then(|time| self.time_or_none(&time, "warm_up"));
        Mix { sources, services, time, warm_up, replicas, seed: file.seed }
    }

    fn time_or_none(&mut self, written: &Spanned<String>, name: &str) -> Option<Duration> {
        let time = humantime::parse_duration(written.get_ref());
        time.map_err(|err| {
            self.wrong(written.span(), format!("{name}: {err}; expected a time such as \"10m\""))
        })
        .ok()
    }

    fn time(&mut self, written: &Spanned<String>, name: &str) -> Option<Duration> {
        let time = self.time_or_none(written, name)?;
        if time.is_zero() {
            self.wrong(written.span(), format!("{name}: longer than 0s"));
        }
        (!time.is_zero()).then_some(time)
    }

    fn number(&mut self, written: &Spanned<f64>, name: &str, (from, to): (f64, f64)) -> Option<f64> {
        let number = *written.get_ref();
        let is_sound = number.is_finite() && number >= from && number <= to;
        if !is_sound {
            self.wrong(written.span(), format!("{name}: {from} to {to}"));
        }
        is_sound.then_some(number)
    }

    fn serves(&mut self, written: &Serves, usual: Service) -> Service {
        let Serves {
            name: _,
            first_token,
            input_tokens_per_second,
            tokens_per_second,
            seconds,
            spread,
            slots,
        } = written;
        let mut service = usual;
        let rate = (0.001, MOST_RATE);
        if let Some(time) = first_token.as_ref().and_then(|time| self.time_or_none(time, "first_token")) {
            service.first = time.as_secs_f64();
        }
        let per_second = |reader: &mut Self, rate_of: &Option<Spanned<f64>>, name| {
            rate_of.as_ref().and_then(|number| reader.number(number, name, rate)).map(|rate| 1.0 / rate)
        };
        if let Some(time) = per_second(self, input_tokens_per_second, "input_tokens_per_second") {
            service.per_input = time;
        }
        if let Some(time) = per_second(self, tokens_per_second, "tokens_per_second") {
            service.per_output = time;
        }
        if let Some(written) = seconds {
            if first_token.is_some() || input_tokens_per_second.is_some() || tokens_per_second.is_some() {
                self.wrong(
                    written.span(),
                    "seconds: a call takes so long whatever it says; leave out the other times",
                );
            }
            if let Some(first) = self.number(written, "seconds", (0.0, 86_400.0)) {
                service = Service { first, per_input: 0.0, per_output: 0.0, ..service };
            }
        }
        service.spread =
            spread.as_ref().and_then(|n| self.number(n, "spread", (0.0, 5.0))).unwrap_or(service.spread);
        service.slots =
            slots.as_ref().and_then(|n| self.number(n, "slots", (0.01, 1e9))).unwrap_or(service.slots);
        service
    }

    fn services(&mut self, usual: Service, written: &[Spanned<Serves>]) -> Vec<Service> {
        let mut services = vec![usual; self.config.deployments.len()];
        for deployment in written {
            let Some(name) = &deployment.get_ref().name else {
                self.wrong(deployment.span(), "name: of which deployment?");
                continue;
            };
            match self.config.deployments.iter().position(|other| *other.name == **name.get_ref()) {
                Some(at) => services[at] = self.serves(deployment.get_ref(), usual),
                None => {
                    let message = format!("the configuration has no deployment `{}`", name.get_ref());
                    self.wrong(name.span(), message);
                }
            }
        }
        services
    }

    fn source(&mut self, calls: &Spanned<Calls>) -> Option<Source> {
        let written = calls.get_ref();
        let model = written.model.get_ref().clone();
        if self.config.find_model(&model).is_none() && !self.config.is_rule_name(&model) {
            self.wrong(written.model.span(), format!("the configuration has no model `{model}`"));
        }
        let rate = self.number(&written.rps, "rps", (0.0, MOST_RATE));
        let tenants = self.tenants(&written.tenants, &model, written.model.span());
        let input = self.size(written.input_tokens.as_ref(), "input_tokens", INPUT);
        let output = self.size(written.output_tokens.as_ref(), "output_tokens", OUTPUT);
        let share = written.stream_share.as_ref().map(|share| self.number(share, "stream_share", (0.0, 1.0)));
        let weighs = written.weighs.as_ref().map(|times| self.number(times, "weighs", (0.01, 100.0)));
        if let Some(most) = written.max_tokens.as_ref().filter(|most| *most.get_ref() == 0) {
            self.wrong(most.span(), "max_tokens: at least 1");
        }
        Some(Source {
            pattern: self.pattern(written, calls.span()),
            even: written.even,
            tenants,
            input: input?,
            output: output?,
            max_tokens: written.max_tokens.as_ref().map(|most| *most.get_ref()),
            weighs: weighs.unwrap_or(Some(1.0))?,
            stream_share: share.unwrap_or(Some(0.5))?,
            rate: rate?,
            model,
        })
    }

    fn tenants(
        &mut self,
        written: &BTreeMap<Spanned<String>, Spanned<f64>>,
        model: &str,
        span: Range<usize>,
    ) -> Vec<(usize, f64)> {
        if written.is_empty() {
            let all = all_tenants(self.config, model);
            if all.is_empty() && !self.config.tenants.is_empty() {
                self.wrong(span, format!("no tenant may use `{model}`"));
            }
            return all;
        }
        let mut tenants = Vec::new();
        for (name, share) in written {
            let at = self.config.tenants.iter().position(|tenant| *tenant.name == **name.get_ref());
            let share = self.number(share, "tenants", (0.0, MOST_RATE));
            match at {
                None => {
                    self.wrong(name.span(), format!("the configuration has no tenant `{}`", name.get_ref()))
                }
                Some(at) if !self.config.tenants[at].may_use(model) => {
                    self.wrong(name.span(), format!("the tenant `{}` may not use `{model}`", name.get_ref()));
                }
                Some(at) => tenants.extend(share.map(|share| (at, share))),
            }
        }
        tenants
    }

    /// A number; or `{ median, sigma or p95, max }`; or `{ from, to }`.
    fn size(&mut self, written: Option<&Spanned<Value>>, name: &str, usual: Size) -> Option<Size> {
        let Some(written) = written else { return Some(usual) };
        let size = read_size(written.get_ref());
        if size.is_none() {
            let message = format!(
                "{name}: expected a number of tokens, {{ median = 800, sigma = 1.2 }}, {{ median = 800, p95 = 6000 }} \
                 (and `max`), or {{ from = 100, to = 900 }}"
            );
            self.wrong(written.span(), message);
        }
        size
    }

    fn pattern(&mut self, calls: &Calls, span: Range<usize>) -> Pattern {
        let Calls { spike, ramp, wave, .. } = calls;
        let given = [spike.is_some(), ramp.is_some(), wave.is_some()];
        if given.iter().filter(|given| **given).count() > 1 {
            self.wrong(span, "one of `spike`, `ramp` and `wave` at most");
        }
        let (rate, seconds) = ((0.0, 1e6), |time: Option<Duration>| time.map(|time| time.as_secs_f64()));
        let pattern = if let Some(Spike { times, lasts, every, between }) = spike {
            let between = between.as_ref().map_or(Some(1.0), |times| self.number(times, "between", rate));
            let times = self.number(times, "times", rate);
            let (lasts, every) = (seconds(self.time(lasts, "lasts")), seconds(self.time(every, "every")));
            (|| Some(Pattern::Spike { times: times?, lasts: lasts?, every: every?, between: between? }))()
        } else if let Some(Ramp { to, within }) = ramp {
            let (to, within) = (self.number(to, "to", rate), seconds(self.time(within, "within")));
            to.zip(within).map(|(to, within)| Pattern::Ramp { to, within })
        } else if let Some(Wave { by, every }) = wave {
            let (by, every) = (self.number(by, "by", (0.0, 1.0)), seconds(self.time(every, "every")));
            by.zip(every).map(|(by, every)| Pattern::Wave { by, every })
        } else {
            None
        };
        pattern.unwrap_or(Pattern::Constant)
    }
}

/// All tenants that may use a model, each as much as the others.
pub fn all_tenants(config: &Config, model: &str) -> Vec<(usize, f64)> {
    let tenants = config.tenants.iter().enumerate();
    tenants.filter(|(_, tenant)| tenant.may_use(model)).map(|(at, _)| (at, 1.0)).collect()
}

fn read_size(value: &Value) -> Option<Size> {
    let positive = |value: &Value| {
        match value {
            Value::Integer(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
        .filter(|number: &f64| number.is_finite() && *number > 0.0 && *number <= 1e12)
    };
    if let Value::Integer(size) = value {
        return u64::try_from(*size).ok().filter(|size| *size > 0).map(Size::Fixed);
    }
    let table = value.as_table()?;
    let number = |key: &str| table.get(key).map(&positive);
    if table.contains_key("from") {
        let (from, to) = (number("from")?? as u64, number("to")?? as u64);
        return (table.len() == 2 && from <= to).then_some(Size::Between(from, to));
    }
    let median = number("median")??;
    let (sigma, p95) = (number("sigma"), number("p95"));
    let most = number("max").unwrap_or(Some(MOST as f64))? as u64;
    let sigma = match (sigma, p95) {
        (Some(sigma), None) => sigma?,
        (None, Some(p95)) => (p95? / median).ln() / P95,
        _ => return None,
    };
    let known = ["median", "sigma", "p95", "max"];
    let is_sound = sigma > 0.0 && sigma <= 5.0 && table.keys().all(|key| known.contains(&key.as_str()));
    is_sound.then_some(Size::LogNormal { median, sigma, most })
}

#[cfg(test)]
#[path = "mix_tests.rs"]
mod tests;
