//! The report as a page that needs nothing else: no script, no other file. Pure.

use super::plot::{Line, escaped, plot};
use super::report::Report;
use super::text::{pools_of, rows_of, sentences};

/// So many pools are plotted, the fullest.
const PLOTTED: usize = 7;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
table{border-collapse:collapse;margin:1rem 0;font-size:13px}th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid #8883}\
th:first-child,td:first-child{text-align:left}svg{width:100%;height:auto;font:11px system-ui,sans-serif;fill:currentColor}\
figure{margin:1.5rem 0}figcaption{font-weight:600}.key{font-size:13px;margin:.2rem 0}div{overflow-x:auto}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}}";

/// Writes the page. `config` is the file that was simulated.
pub fn page(report: &Report, config: &str) -> String {
    let title = format!("weir simulate: {}", escaped(config));
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>"
    );
    let leases = if report.leases { ", lent room" } else { "" };
    out += &format!(
        "<p>{} replicas{leases}; {:.0} s of load after {:.0} s that are left out; seed {}.</p>",
        report.replicas, report.seconds, report.warm_up_seconds, report.seed
    );
    sentences(report).iter().for_each(|said| out += &format!("<p>{}</p>", escaped(said)));
    out += &plots(report);
    for (title, rows) in
        [("Model", &report.models), ("Tenant", &report.tenants), ("Deployment", &report.deployments)]
    {
        out += &table(&rows_of(title, rows));
    }
    out += &table(&pools_of(&report.pools));
    out += "<p>used, worst: the share of a limit in use (its window and what calls in flight hold), in the mean and at most; posted: the share that was used for good.</p>";
    out + "</body></html>\n"
}

fn plots(report: &Report) -> String {
    let of = &report.plot;
    let calls = ["came", "were served", "were refused"];
    let lines: Vec<Line<'_>> =
        calls.iter().zip(&of.per_second).map(|(name, values)| Line { name, values }).collect();
    let mut out = plot("Calls a second", &lines, of.step_seconds, 0.0);
    let mut fullest: Vec<(usize, f64)> = of
        .pools
        .iter()
        .enumerate()
        .map(|(at, values)| (at, values.iter().copied().fold(0.0, f64::max)))
        .filter(|(_, most)| *most > 0.0)
        .collect();
    fullest.sort_by(|a, b| b.1.total_cmp(&a.1));
    fullest.truncate(PLOTTED);
    let lines: Vec<Line<'_>> = fullest
        .iter()
        .map(|(at, _)| Line { name: &report.pools[*at].name, values: &of.pools[*at] })
        .collect();
    out += &plot("Share of the fullest limit of a pool in use", &lines, of.step_seconds, 1.0);
    let waiting: Vec<f64> = of.waiting.iter().map(|count| *count as f64).collect();
    out + &plot("Calls that wait", &[Line { name: "wait", values: &waiting }], of.step_seconds, 0.0)
}

fn table(cells: &[Vec<String>]) -> String {
    let mut out = String::from("<div><table>");
    for (at, row) in cells.iter().enumerate() {
        let tag = if at == 0 { "th" } else { "td" };
        let cells: String = row.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect();
        out += &format!("<tr>{cells}</tr>");
    }
    out + "</table></div>"
}
