//! The report as text: tables, then sentences. Pure.

use std::fmt::Write as _;

use super::report::{Pool, Report, Row};

/// Writes the report.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    let leases = if report.leases { ", lent room" } else { "" };
    let warm_up = if report.warm_up_seconds > 0.0 {
        format!(", after a warm-up of {}", seconds(report.warm_up_seconds))
    } else {
        String::new()
    };
    line(
        &mut out,
        &format!(
            "{} replicas{leases}; {} of load{warm_up}; seed {}",
            report.replicas,
            seconds(report.seconds),
            report.seed
        ),
    );
    for (title, rows) in
        [("MODEL", &report.models), ("TENANT", &report.tenants), ("DEPLOYMENT", &report.deployments)]
    {
        out.push('\n');
        out.push_str(&table(&rows_of(title, rows)));
    }
    out.push('\n');
    out.push_str(&table(&pools_of(&report.pools)));
    out.push('\n');
    for said in sentences(report) {
        line(&mut out, &said);
    }
    out
}

fn line(out: &mut String, text: &str) {
    let _ = writeln!(out, "{text}"); // to a string: it does not fail
}

/// What there is to say in words.
pub fn sentences(report: &Report) -> Vec<String> {
    let total = &report.total;
    let mut said = vec![format!(
        "{} of {} calls were served ({:.2} %), {:.1} a second; {} were refused{}.",
        total.served,
        total.came,
        100.0 * total.share,
        total.per_second,
        total.came - total.served,
        reasons(total)
    )];
    said.push(format!(
        "They waited {} in the middle and {} at 95 in 100; they cost US$ {:.2} an hour{}.",
        ms(total.wait_ms[1]),
        ms(total.wait_ms[2]),
        total.usd_per_hour,
        if total.unpriced > 0 {
            format!(", but for {} that have no price", total.unpriced)
        } else {
            String::new()
        }
    ));
    let state = &report.state;
    said.push(format!(
        "The shared state was asked for room {:.1} times a second; {:.1} calls a second went on loans; {:.1} SYNCs a second.",
        state.reserves, state.on_loans, state.syncs
    ));
    said.extend(report.advice.iter().flat_map(super::advice::Advice::sentences));
    said
}

fn reasons(row: &Row) -> String {
    if row.refused.is_empty() {
        return String::new();
    }
    let of: Vec<String> = row.refused.iter().map(|(why, count)| format!("{count} {why}")).collect();
    format!(" ({})", of.join(", "))
}

/// The cells of a table of rows, its head first.
pub fn rows_of(title: &str, rows: &[Row]) -> Vec<Vec<String>> {
    let has_use = rows.iter().any(|row| row.utilisation.is_some());
    let mut head: Vec<&str> =
        vec![title, "came", "served", "%", "refused", "wait p50", "p95", "latency p50", "p95"];
    head.extend(["first p50", "p95", "tokens/min", "US$/h"]);
    if has_use {
        head.extend(["used", "worst"]);
    }
    let cells = |row: &Row| {
        let mut cells = vec![
            row.name.clone(),
            row.came.to_string(),
            row.served.to_string(),
            format!("{:.2}", 100.0 * row.share),
            (row.came - row.served).to_string(),
        ];
        for spread in [row.wait_ms, row.latency_ms, row.first_token_ms] {
            cells.extend([ms(spread[1]), ms(spread[2])]);
        }
        cells.push(format!("{:.0}", row.tokens_per_minute[0] + row.tokens_per_minute[1]));
        cells.push(format!("{:.2}", row.usd_per_hour));
        if has_use {
            let percent = |at: usize| row.utilisation.map_or_else(|| "-".to_owned(), |of| percent(of[at]));
            cells.extend([percent(0), percent(1)]);
        }
        cells
    };
    std::iter::once(head.into_iter().map(str::to_owned).collect()).chain(rows.iter().map(cells)).collect()
}

/// The cells of the table of limits.
pub fn pools_of(pools: &[Pool]) -> Vec<Vec<String>> {
    let head = ["POOL", "limit", "of", "used", "worst", "posted", "refused"].map(str::to_owned).to_vec();
    let mut cells = vec![head];
    for pool in pools {
        for (at, limit) in pool.limits.iter().enumerate() {
            cells.push(vec![
                if at == 0 { pool.name.clone() } else { String::new() },
                limit.limit.clone(),
                limit.of.to_string(),
                percent(limit.mean),
                percent(limit.worst),
                limit.used.map_or_else(|| "-".to_owned(), percent),
                if at == 0 { pool.refused.to_string() } else { String::new() },
            ]);
        }
    }
    cells
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn seconds(time: f64) -> String {
    humantime::format_duration(std::time::Duration::from_millis((time * 1e3).round() as u64)).to_string()
}

/// A time that people read.
pub fn ms(time: f64) -> String {
    if time < 0.5 {
        "0".to_owned()
    } else if time < 1_000.0 {
        format!("{time:.0} ms")
    } else {
        format!("{:.2} s", time / 1e3)
    }
}

/// Columns as wide as their widest cell; the first is left, the others right.
fn table(cells: &[Vec<String>]) -> String {
    let columns = cells.first().map_or(0, Vec::len);
    let width = |at: usize| cells.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in cells {
        let cell = |(at, cell): (usize, &String)| match at {
            0 => format!("{cell:<width$}", width = widths[0]),
            _ => format!("{cell:>width$}", width = widths[at]),
        };
        let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
        line(&mut out, cells.join("  ").trim_end());
    }
    out
}
