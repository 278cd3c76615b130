//! Which secrets are taken out by their values: those of the configuration in force and of the one before it, for calls by that one
//! still run when keys have just been changed, and what the standard's environment says to collectors.

use percent_encoding::percent_decode_str;

use crate::telemetry::redact::Redactor;

/// Headers for collectors, of all signals and of each.
const HEADERS: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
];

/// All of them. (Not shown: the type has no `Debug` of its own.)
pub(super) struct Secrets {
    environment: Vec<String>,
    now: Vec<String>,
    before: Vec<String>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    pub(super) fn new(environment: Vec<String>, now: Vec<String>) -> Secrets {
        Secrets { environment, now, before: Vec::new() }
    }

    /// With these of the configuration; none if they are what they were.
    pub(super) fn with(&self, now: Vec<String>) -> Option<Secrets> {
        let is_other = now != self.now;
        is_other.then(|| Secrets { environment: self.environment.clone(), now, before: self.now.clone() })
    }

    /// What knows all of them.
    pub(super) fn redactor(&self) -> anyhow::Result<Redactor> {
        let all = self.environment.iter().chain(&self.now).chain(&self.before);
        Redactor::new(all.cloned())
    }
}

/// The values of `name=value,...`, which may be percent-encoded.
pub(super) fn of_environment(said: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let all: Vec<String> = HEADERS.into_iter().filter_map(said).collect();
    let pairs = all.iter().flat_map(|said| said.split(','));
    let values = pairs.filter_map(|pair| Some(pair.split_once('=')?.1.trim()));
    values.map(|value| percent_decode_str(value).decode_utf8_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(of: &[&str]) -> Vec<String> {
        of.iter().map(|secret| (*secret).to_owned()).collect()
    }

    /// Broken on purpose to see it fail: the old ones forgotten at once.
    #[test]
    fn secrets_of_the_configuration_before_are_still_known_and_older_ones_not() {
        let mut all = Secrets::new(secrets(&["of-the-environment"]), secrets(&["the-first-one"]));
        let told = |all: &Secrets| {
            let text = "of-the-environment the-first-one the-second-one the-third-one";
            all.redactor().unwrap().text(text).into_owned()
        };
        assert_eq!(told(&all), "[redacted] [redacted] the-second-one the-third-one");
        all = all.with(secrets(&["the-second-one"])).unwrap();
        assert!(all.with(secrets(&["the-second-one"])).is_none(), "the same again is no change");
        assert_eq!(told(&all), "[redacted] [redacted] [redacted] the-third-one");
        all = all.with(secrets(&["the-third-one"])).unwrap();
        assert_eq!(told(&all), "[redacted] the-first-one [redacted] [redacted]");
    }

    #[test]
    fn headers_of_the_environment_are_read_as_the_standard_says() {
        let said = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_HEADERS" => Some("authorization=Basic%20abcdef, x=y".to_owned()),
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS" => Some("api-key=a=b,".to_owned()),
            _ => None,
        };
        assert_eq!(of_environment(said), ["Basic abcdef", "y", "a=b"]);
    }
}
