//! `[defaults]`: how LiteLLM's router chooses, tries again and leaves alone.

use super::super::node::Node;
use super::super::page;
use super::Import;
use super::times::{BUILT_IN, Times, seconds};

/// A key of a section, its value, and why.
pub(super) struct Line {
    pub(super) key: &'static str,
    pub(super) value: String,
    pub(super) comment: String,
}

fn line(key: &'static str, value: String, comment: impl Into<String>) -> Line {
    Line { key, value, comment: comment.into() }
}

/// How deployments are chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Strategy {
    /// `simple-shuffle`.
    Weighted,
    LeastBusy,
    Capacity,
    Latency,
    Cost,
}

impl Strategy {
    pub(super) fn word(self) -> &'static str {
        match self {
            Strategy::Weighted => "weighted",
            Strategy::LeastBusy => "least-busy",
            Strategy::Capacity => "capacity",
            Strategy::Latency => "latency",
            Strategy::Cost => "cost",
        }
    }

    /// Does LiteLLM keep within `rpm` and `tpm` by it?
    fn keeps_limits(self) -> bool {
        matches!(self, Strategy::Capacity | Strategy::Latency | Strategy::Cost)
    }
}

/// Reads `routing_strategy`, and what else deployments are read by.
pub(super) fn basics(import: &mut Import<'_>) {
    let node = import.router("routing_strategy");
    import.strategy = match node.map(|node| node.text().unwrap_or_default()) {
        None | Some("simple-shuffle") => Strategy::Weighted,
        Some("least-busy") => Strategy::LeastBusy,
        Some("usage-based-routing" | "usage-based-routing-v2") => Strategy::Capacity,
        Some("latency-based-routing") => Strategy::Latency,
        Some("cost-based-routing") => Strategy::Cost,
        Some(_) => Strategy::Weighted,
    };
    if let (Strategy::Weighted, Some(node)) = (import.strategy, node)
        && node.text() != Some("simple-shuffle")
    {
        import.notes.left(node, "there is no such strategy here; `weighted` stands instead");
    }
    let checks = import.router("optional_pre_call_checks").map_or(&[][..], Node::items);
    let enforces = checks.iter().any(|check| check.text() == Some("enforce_model_rate_limits"));
    let checked = import.is_on(import.router("enable_pre_call_checks"));
    import.checks_before = checked;
    import.keeps_limits = import.strategy.keeps_limits() || enforces || checked;
    import.routes_by_tags = import.is_on(import.router("enable_tag_filtering"));
    if import.routes_by_tags
        && let Some(node) = import.router("enable_tag_filtering")
    {
        import.notes.differs(node, "a call names tags in `x-weir-tags`, and goes to deployments that have all of those which some deployment has");
    }
    import.by_entra = import.is_on(import.litellm("enable_azure_ad_token_refresh"));
    let is_short = import.either("cooldown_time", None).is_some_and(|node| node.number() == Some(0.0));
    import.cools_down = !import.is_on(import.router("disable_cooldowns")) && !is_short;
    let (total, stream) =
        (import.either("timeout", Some("request_timeout")), import.either("stream_timeout", None));
    import.times = Times::read(total, stream, BUILT_IN, &mut import.notes);
}

/// `[defaults]`.
pub(super) fn defaults(import: &mut Import<'_>) -> Vec<Line> {
    let mut lines = vec![strategy(import)];
    lines.extend(latency(import));
    if let Some(times) = import.times.written(BUILT_IN) {
        lines.push(line("timeouts", times, "timeout, stream_timeout"));
    }
    lines.extend(retry(import));
    lines.extend(left_alone(import));
    lines.extend(checks(import));
    lines.extend(affinity(import));
    lines
}

fn strategy(import: &Import<'_>) -> Line {
    let why = match import.strategy {
        Strategy::Weighted => "simple-shuffle: by weight, else by rpm, else by tpm",
        Strategy::LeastBusy => "least-busy",
        Strategy::Capacity => "usage-based-routing: where the least of the limits is in use",
        Strategy::Latency => "latency-based-routing",
        Strategy::Cost => "cost-based-routing: the cheapest first, a dearer one where it has no room",
    };
    line("strategy", page::text(import.strategy.word()), why)
}

/// `routing_strategy_args`.
fn latency(import: &mut Import<'_>) -> Vec<Line> {
    let Some(args) = import.router("routing_strategy_args") else { return Vec::new() };
    let mut lines = Vec::new();
    if import.strategy != Strategy::Latency {
        args.entries(); // each of them is listed
        return lines;
    }
    if let Some(node) = args.get("ttl") {
        import.notes.left(node, "times older than a minute do not count here, and failures count as slow");
    }
    if let Some(node) = args.get("lowest_latency_buffer") {
        match node.number().filter(|share| (0.0..=1.0).contains(share)) {
            Some(share) => {
                lines.push(line(
                    "tiebreak_within",
                    page::number(share),
                    "lowest_latency_buffer: so much slower than the fastest is as fast",
                ));
                lines.push(line("tiebreak", page::text("round-robin"), "in turn among those"));
            }
            None => import.notes.left(node, "no share from 0 to 1"),
        }
    }
    if let Some(node) = args.get("max_latency_list_size") {
        match node.number().filter(|count| (1.0..=1000.0).contains(count)) {
            Some(count) => {
                let window = page::table([("window", page::whole(count as u64))]);
                lines.push(line("latency", window, "max_latency_list_size: the last so many calls"));
            }
            None => import.notes.left(node, "no number of calls from 1 to 1000"),
        }
    }
    lines
}

/// `num_retries`, else the largest of `retry_policy`; `retry_after`.
fn retry(import: &mut Import<'_>) -> Option<Line> {
    let mut entries = Vec::new();
    let policy = import.router("retry_policy").or_else(|| import.router("model_retry_policy"));
    let by_kind = policy.and_then(|policy| import.attempts_by_kind(policy));
    let node = import.either("num_retries", None);
    let attempts = node.and_then(|node| import.attempts(node)).max(by_kind);
    if let Some(node) = node.filter(|_| attempts.is_some()) {
        import.notes.differs(node, "a call tries each deployment of its model at most once here, so more retries than deployments change nothing");
    }
    entries.extend(attempts.map(|attempts| ("attempts", page::whole(attempts))));
    if let Some(node) = import.router("retry_after").filter(|node| node.number() != Some(0.0))
        && let Some(base) = seconds(node, &mut import.notes)
    {
        entries.push(("base", page::duration(base)));
        if base > 8_000 {
            entries.push(("max", page::duration(base)));
        }
    }
    let comment = "retries, and the first attempt";
    (!entries.is_empty()).then(|| line("retry", page::table(entries), comment))
}

/// `allowed_fails`, `allowed_fails_policy`, `cooldown_time`, `disable_cooldowns`.
fn left_alone(import: &mut Import<'_>) -> Vec<Line> {
    let node = import.either("cooldown_time", None);
    let none = node.filter(|node| node.number() == Some(0.0));
    let time = node.filter(|_| none.is_none()).and_then(|node| seconds(node, &mut import.notes));
    let mut lines: Vec<Line> = time
        .map(|time| line("cooldown", cooldown(time), "cooldown_time: after a 429 that names no time"))
        .into_iter()
        .collect();
    if !import.cools_down {
        lines.push(never(none, import));
        return lines;
    }
    let mut entries = Vec::new();
    let allowed = import.either("allowed_fails", None);
    let by_kind = import.router("allowed_fails_policy").and_then(|policy| fails_by_kind(policy, import));
    if let (Some(_), Some(node)) = (by_kind, allowed) {
        import.notes.left(node, "`allowed_fails_policy` goes before");
    }
    let fails = by_kind.or_else(|| allowed.and_then(|node| allowed_fails(node, import)));
    if let Some(fails) = fails {
        entries.push(("failures", page::whole(fails + 1)));
        entries.push(("window", page::duration(60_000)));
    }
    entries.extend(time.map(|time| ("open", page::duration(open(time)))));
    if !entries.is_empty() {
        let comment = match fails {
            Some(fails) => {
                format!("allowed_fails: {fails} are, and one more in a minute is not; open: cooldown_time")
            }
            None => "cooldown_time".to_owned(),
        };
        lines.push(line("circuit", page::table(entries), comment));
    }
    lines
}

/// Nothing is left alone for its failures; `none` is a `cooldown_time` of 0.
fn never(none: Option<&Node>, import: &mut Import<'_>) -> Line {
    for node in [import.router("disable_cooldowns"), none].into_iter().flatten() {
        import.notes.differs(node, "failures open no circuit; what a provider refuses with 429 rests nevertheless, as long as it says");
    }
    for key in ["allowed_fails", "allowed_fails_policy"] {
        if let Some(node) = import.either(key, None) {
            import.notes.left(node, "without effect, as cooldowns are disabled");
        }
    }
    line("circuit", page::table([("enabled", "false".to_owned())]), "nothing cools down there")
}

/// `cooldown` of so many milliseconds.
pub(super) fn cooldown(time: u64) -> String {
    let max = (time > 600_000).then(|| ("max", page::duration(time)));
    page::table([("default", page::duration(time))].into_iter().chain(max))
}

/// As long may a circuit be open.
pub(super) fn open(time: u64) -> u64 {
    time.clamp(10, 86_400_000)
}

fn allowed_fails(node: &Node, import: &mut Import<'_>) -> Option<u64> {
    let Some(fails) = node.number().filter(|fails| (0.0..1e9).contains(fails)) else {
        import.notes.left(node, "no number of failures");
        return None;
    };
    let how = "here so many failures in a row, seen by all replicas together, open a circuit; besides, half of at least 20 within a minute";
    import.notes.differs(node, how);
    Some(fails as u64)
}

/// Of failures that open circuits here the kind that is allowed least; of others nothing is to be said.
fn fails_by_kind(policy: &Node, import: &mut Import<'_>) -> Option<u64> {
    const COUNTED: [&str; 4] =
        ["InternalServerError", "ServiceUnavailableError", "BadGatewayError", "TimeoutError"];
    let mut least = None;
    for (key, node) in policy.entries() {
        let kind = key.strip_suffix("AllowedFails").unwrap_or(key);
        let fails = node.number().filter(|fails| (0.0..1e9).contains(fails));
        match (kind, fails) {
            ("RateLimitError", _) => {
                import.notes.left(node, "a 429 is no failure here: what refused rests for as long as it says")
            }
            ("AuthenticationError", _) => {
                import.notes.left(
                    node,
                    "an account whose key is refused is left alone at once, with all its deployments",
                );
            }
            ("BadRequestError" | "ContentPolicyViolationError" | "NotFoundError", _) => {
                import.notes.left(node, "what the request is to blame for never counts against a deployment");
            }
            (kind, Some(fails)) if COUNTED.contains(&kind) => {
                import.notes.differs(
                    node,
                    "all kinds of failures count together here; the lowest of these numbers holds for them",
                );
                least = Some(least.map_or(fails as u64, |least: u64| least.min(fails as u64)));
            }
            _ => import.notes.left(node, "no kind of failures that is known here, or no number"),
        }
    }
    least
}

/// `background_health_checks`.
fn checks(import: &mut Import<'_>) -> Option<Line> {
    let node = import.general("background_health_checks")?;
    if !import.is_on(Some(node)) {
        return None;
    }
    if !import.cools_down {
        import.notes.left(node, "health checks open and close circuits here, and cooldowns are disabled");
        return None;
    }
    import.checks_health = true;
    let how = "asks for each provider's list of models, without cost; LiteLLM calls each model, as kind = \"chat\" does here. What is found \
               opens and closes circuits";
    import.notes.differs(node, how);
    let interval = import.general("health_check_interval");
    let interval =
        interval.and_then(|node| seconds(node, &mut import.notes)).unwrap_or(300_000).clamp(100, 86_400_000);
    let mut entries = vec![("kind", page::text("models")), ("interval", page::duration(interval))];
    if interval < 5_000 {
        entries.push(("timeout", page::duration(interval)));
    }
    Some(line("health_check", page::table(entries), "background_health_checks"))
}

/// `optional_pre_call_checks`, as far as they are about where calls that belong together go.
fn affinity(import: &mut Import<'_>) -> Option<Line> {
    let node = import.router("optional_pre_call_checks")?;
    let (mut by_prefix, mut by_session) = (false, false);
    for check in node.items() {
        match check.text() {
            Some("prompt_caching") => {
                import.notes.differs(check, "by a hash of how a prompt begins, where no session is named");
                by_prefix = true;
            }
            Some("session_affinity") => by_session = true,
            // Always so here.
            Some("responses_api_deployment_check" | "enforce_model_rate_limits") => {}
            _ => import.notes.left(check, "there is no such check here"),
        }
    }
    let mut entries = Vec::new();
    entries.extend(by_prefix.then(|| ("prefix", "true".to_owned())));
    entries.extend(by_session.then(|| ("header", page::text("x-litellm-session-id"))));
    let ttl = import.router("deployment_affinity_ttl_seconds");
    if !entries.is_empty()
        && let Some(ttl) = ttl.and_then(|node| seconds(node, &mut import.notes))
    {
        entries.push(("ttl", page::duration(ttl)));
    }
    (!entries.is_empty()).then(|| line("affinity", page::table(entries), "optional_pre_call_checks"))
}
