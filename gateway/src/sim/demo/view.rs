//! The board as lines of text, pure: for a terminal of any width from 80 columns on (narrower ones are cut), with
//! colours and block glyphs where the terminal has them.

use std::net::SocketAddr;

use super::board::{Board, Gauge, Provider, Sessions, window};
use super::cast::{CALLERS, MODEL, PARTS, Part, YOUR_KEY};
use super::text::{COLUMNS, Style, Tint, bar, brief, clock, columns, fit, grouped, short};

/// Columns of a bar at least, when there are [`COLUMNS`] in all, and at most.
const BAR: usize = 13;
const BAR_MOST: usize = 60;
/// Width of everything left of the tenants: the table of replicas.
const LEFT: usize = 43;

/// Where the replicas listen.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub(super) replicas: Vec<SocketAddr>,
    /// Where the first one's operators look.
    pub(super) admin: SocketAddr,
}

impl Stage {
    /// A line to paste into a shell, in parts of less than 80 columns.
    fn curl(&self) -> [String; 3] {
        let addr = self.replicas.first().map(SocketAddr::to_string).unwrap_or_default();
        [
            format!("curl -i --retry 5 http://{addr}/v1/chat/completions \\"),
            format!("  -H 'authorization: Bearer {YOUR_KEY}' -H 'content-type: application/json' \\"),
            format!(
                "  -d '{{\"model\":\"{MODEL}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'"
            ),
        ]
    }

    /// What stands above everything: what this is, and how to take part.
    pub(super) fn welcome(&self, style: Style) -> Vec<String> {
        let title = style.tint(Tint::Bold, "weir demo");
        let mut lines = vec![
            format!("{title}   3 replicas share one in-process core (no Redis); Ctrl-C ends"),
            format!("Windows of {}; prices per million tokens in/out; 429s by a provider stay 0.", window()),
            style.tint(Tint::Cyan, &format!("http://{}/dashboard", self.admin)),
        ];
        lines.extend(self.curl().iter().map(|line| style.tint(Tint::Cyan, line)));
        lines
    }
}

/// The tables.
pub(super) fn tables(board: &Board, stage: &Stage, style: Style) -> Vec<String> {
    let mut lines = providers(board, style);
    lines.push(String::new());
    lines.extend(beside(replicas(board, stage, style), tenants(board, style)));
    lines.push(String::new());
    lines.extend(totals(board, style));
    lines
}

/// The whole screen.
pub(super) fn screen(board: &Board, stage: &Stage, style: Style) -> Vec<String> {
    let mut lines = stage.welcome(style);
    lines.push(String::new());
    lines.extend(tables(board, stage, style));
    lines.into_iter().map(|line| fit(&line, style.width)).collect()
}

/// One block for a log: a line that tells when, then the tables.
pub(super) fn block(board: &Board, stage: &Stage) -> Vec<String> {
    let mut lines = vec![String::new(), format!("--- {}", clock(board.elapsed))];
    lines.extend(tables(board, stage, Style::plain()));
    lines
}

fn providers(board: &Board, style: Style) -> Vec<String> {
    let bar = (BAR + style.width.saturating_sub(COLUMNS)).min(BAR_MOST);
    let room = format!("its own meter, last {}", window());
    let mut lines = vec![style.heading(&format!(
        "{:<11}{:<28}{:<bar$}   {:>7} {:>5} {:>6} {:>3}",
        "provider", room, "", "calls/s", "share", "TTFT", "429"
    ))];
    for (part, provider) in PARTS.iter().zip(&board.providers) {
        lines.extend(of_provider(part, provider, bar, style));
    }
    lines
}

fn of_provider(part: &Part, provider: &Provider, bar: usize, style: Style) -> [String; 2] {
    let name = style.tint(Tint::Bold, &format!("{:<11}", part.name));
    let first_token = provider.first_token.map_or("-".to_owned(), |time| format!("{}ms", time.as_millis()));
    let calls = format!("{:>7.1} {:>4.0}% {first_token:>6}", provider.per_second, provider.share * 100.0);
    let (input, output) = part.price;
    let price = style.heading(&format!("{:<11}", format!("${input}/${output}")));
    [
        format!(
            "{name}{}   {calls} {}",
            gauge("requests", provider.requests, bar, style),
            style.must_be_zero(provider.refusals.max(provider.violations), 3)
        ),
        format!(
            "{price}{}   {}",
            gauge("tokens", provider.tokens, bar, style),
            style.heading(&format!("{:>24}", part.counts()))
        ),
    ]
}

/// `requests    391/400     98% ████████████▌`
fn gauge(name: &str, gauge: Gauge, width: usize, style: Style) -> String {
    let share = gauge.used as f64 / gauge.limit.max(1) as f64;
    let tint = match share {
        share if share > 1.0 => Tint::Red,
        share if share >= 0.9 => Tint::Yellow,
        _ => Tint::Green,
    };
    let (full, rest) = bar(share, width, style);
    let numbers = format!("{}/{}", grouped(gauge.used), grouped(gauge.limit));
    let bar = format!("{}{}", style.tint(tint, &full), style.heading(&rest));
    // Rounded down: 100% is said only when it is.
    format!("{name:<9}{numbers:<14}{:>3}% {bar}", (share * 100.0) as u64)
}

fn replicas(board: &Board, stage: &Stage, style: Style) -> Vec<String> {
    let mut lines =
        vec![style.heading(&format!("{:<8}{:<17}{:>8}{:>7}", "replica", "http://", "served", "/s"))];
    for (at, (calls, addr)) in board.replicas.iter().zip(&stage.replicas).enumerate() {
        let name = style.tint(Tint::Bold, &format!("{:<8}", format!("weir-{}", at + 1)));
        let addr = addr.to_string();
        lines.push(format!("{name}{addr:<17}{:>8}{:>7.1}", grouped(calls.served), calls.per_second));
    }
    lines
}

fn tenants(board: &Board, style: Style) -> Vec<String> {
    let mut lines =
        vec![style.heading(&format!("{:<10}{:>9}{:>9}{:>9}", "tenant", "limit", "served", "refused"))];
    for (caller, calls) in CALLERS.iter().zip(&board.tenants) {
        let name = style.tint(Tint::Bold, &format!("{:<10}", caller.name));
        let limit = caller.limit.map_or("none".to_owned(), |limit| format!("{limit}/{}", window()));
        lines.push(format!("{name}{limit:>9}{:>9}{:>9}", grouped(calls.served), grouped(calls.refused)));
    }
    lines
}

fn totals(board: &Board, style: Style) -> Vec<String> {
    let mut calls = format!(
        "{:.0}/s offered, {} served in {}, ${:.2} so far",
        board.offered,
        short(board.served()),
        clock(board.elapsed),
        board.cost
    );
    let failed = board.failed.max(board.lost);
    for (count, what) in [(failed, "failed"), (board.skipped, "not made")] {
        if count > 0 {
            calls.push_str(&style.tint(Tint::Red, &format!(", {} {what}", short(count))));
        }
    }
    let refused = format!(
        "{} no room, {} tenant limit; {}",
        short(board.no_capacity),
        short(board.tenant_limit),
        waits(board, style)
    );
    let Sessions { hit, new, moved } = board.sessions;
    let sessions = format!("{} began, {} calls stayed, {} moved", short(new), short(hit), short(moved));
    let row = |name: &str, text: String| format!("{}{text}", style.heading(&format!("{name:<11}")));
    vec![row("calls", calls), row("refused", refused), row("sessions", sessions)]
}

/// Whether and when refused clients were told to come back.
fn waits(board: &Board, style: Style) -> String {
    if board.silent > 0 {
        return style.tint(Tint::Red, &format!("{} WITHOUT Retry-After", short(board.silent)));
    }
    match board.median_wait_ms {
        Some(median) => {
            let longest = board.longest_wait_ms;
            format!("Retry-After p50 {}, max {}", brief(median), brief(longest))
        }
        None => "all with Retry-After".to_owned(),
    }
}

/// Two tables side by side.
fn beside(left: Vec<String>, right: Vec<String>) -> Vec<String> {
    let rows = left.len().max(right.len());
    let cell = |table: &[String], row: usize| table.get(row).cloned().unwrap_or_default();
    (0..rows)
        .map(|row| {
            let (left, right) = (cell(&left, row), cell(&right, row));
            format!("{left}{}{right}", " ".repeat(LEFT.saturating_sub(columns(&left))))
        })
        .collect()
}

/// What remains when all is over.
pub(super) fn summary(board: &Board) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        format!(
            "{}   {} calls served, {} refused, {} failed, ${:.2}",
            clock(board.elapsed),
            grouped(board.served()),
            grouped(board.refused()),
            grouped(board.failed.max(board.lost)),
            board.cost
        ),
        String::new(),
        format!(
            "{:<11}{:>8}   {:<24}{:<28}{}",
            "provider",
            "calls",
            format!("fullest {}: requests", window()),
            format!("fullest {}: tokens", window()),
            "429s"
        ),
    ];
    lines.extend(PARTS.iter().zip(&board.providers).map(|(part, provider)| fullest(part, provider)));
    lines.push(String::new());
    let refusals: u64 = board.providers.iter().map(|provider| provider.refusals).sum();
    let violations: u64 = board.providers.iter().map(|provider| provider.violations).sum();
    let verdict = if board.limits_held() { "Every limit held" } else { "LIMITS BROKEN" };
    lines.push(format!("{verdict}: provider 429s: {refusals}, violations: {violations}."));
    lines
}

fn fullest(part: &Part, provider: &Provider) -> String {
    let of = |gauge: Gauge| {
        let share = gauge.fullest * 100 / gauge.limit.max(1);
        format!("{} of {} ({share}%)", grouped(gauge.fullest), grouped(gauge.limit))
    };
    let (requests, tokens) = (of(provider.requests), of(provider.tokens));
    let (calls, refusals) = (grouped(provider.arrivals), provider.refusals);
    format!("{:<11}{calls:>8}   {requests:<24}{tokens:<28}{refusals:>4}", part.name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sim::demo::board::Calls;

    fn board() -> Board {
        let gauge = |limit| Gauge { used: limit, limit, fullest: limit };
        let provider = |part: &Part| Provider {
            requests: gauge(part.requests),
            tokens: gauge(part.tokens),
            per_second: 123.4,
            share: 1.0,
            first_token: Some(Duration::from_millis(1_234)),
            ..Provider::default()
        };
        let calls = Calls { served: 1_234_567, refused: 123_456, per_second: 150.0 };
        Board {
            elapsed: Duration::from_secs(36_000),
            providers: PARTS.iter().map(provider).collect(),
            replicas: vec![calls.clone(); 3],
            tenants: vec![calls; CALLERS.len()],
            offered: 1_000.0,
            cost: 1_234.567,
            failed: 500,
            sessions: Sessions { hit: 9_999_999, new: 9_999_999, moved: 9_999_999 },
            median_wait_ms: Some(12_345),
            longest_wait_ms: 12_345,
            no_capacity: 1_234_567,
            tenant_limit: 1_234_567,
            ..Board::default()
        }
    }

    fn stage() -> Stage {
        let addr = "127.0.0.1:65535".parse().unwrap();
        Stage { replicas: vec![addr; 3], admin: addr }
    }

    #[test]
    fn even_large_numbers_fit_into_80_columns_and_24_rows() {
        for (colour, blocks) in [(false, false), (true, true)] {
            let style = Style { colour, blocks, width: usize::MAX };
            let lines = screen(&board(), &stage(), Style { width: 80, ..style });
            let whole = tables(&board(), &stage(), Style { width: 80, ..style });
            assert!(lines.len() <= 24, "{}", lines.len());
            for line in whole.iter().chain(&stage().welcome(style)) {
                assert!(columns(line) <= 80, "{} columns: {line}", columns(line));
            }
        }
    }

    #[test]
    fn bars_take_the_room_of_wide_terminals_and_lines_are_cut_on_narrow_ones() {
        let style = Style { colour: true, blocks: true, width: 120 };
        let widest = |style| screen(&board(), &stage(), style).iter().map(|line| columns(line)).max();
        assert_eq!(widest(style), Some(120));
        assert_eq!(widest(Style { width: 40, ..style }), Some(40));
    }

    #[test]
    fn one_refusal_by_a_provider_breaks_the_verdict() {
        let mut board = board();
        assert!(summary(&board).last().is_some_and(|line| line.starts_with("Every limit held")));
        board.providers[1].refusals = 1;
        assert!(summary(&board).last().is_some_and(|line| line.starts_with("LIMITS BROKEN")));
    }
}
