//! Lines over time as SVG. Pure.

use std::fmt::Write as _;

/// A line of a plot.
pub struct Line<'l> {
    /// What it is called.
    pub name: &'l str,
    /// Its points, evenly apart.
    pub values: &'l [f64],
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 26.0;
const TOP: f64 = 10.0;
/// Told apart by people who do not tell red from green as well (Okabe and Ito, 2008).
const COLOURS: [&str; 7] = ["#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00", "#56b4e9", "#555555"];

/// A plot of lines whose points are `step` seconds apart; `top`: the scale ends there at least.
pub fn plot(title: &str, lines: &[Line<'_>], step: f64, top: f64) -> String {
    let points = lines.iter().map(|line| line.values.len()).max().unwrap_or(0);
    let highest = lines.iter().flat_map(|line| line.values).copied().fold(top, f64::max);
    let scale = round_up(highest);
    let mut svg = String::new();
    let title = escaped(title);
    write(
        &mut svg,
        format_args!(
            "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
        ),
    );
    axes(&mut svg, scale, points as f64 * step);
    for (at, line) in lines.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        write(
            &mut svg,
            format_args!("<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" points=\""),
        );
        for (at, value) in line.values.iter().enumerate() {
            let (x, y) = (x(at as f64, points.saturating_sub(1)), y(*value, scale));
            write(&mut svg, format_args!("{x:.1},{y:.1} "));
        }
        svg.push_str("\"/>");
    }
    svg.push_str("</svg><p class=\"key\">");
    for (at, line) in lines.iter().enumerate() {
        let (colour, name) = (COLOURS[at % COLOURS.len()], escaped(line.name));
        write(&mut svg, format_args!("<span style=\"color:{colour}\">&#9632;</span> {name} &nbsp; "));
    }
    svg.push_str("</p></figure>");
    svg
}

fn write(svg: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = svg.write_fmt(what); // to a string: it does not fail
}

fn x(at: f64, last: usize) -> f64 {
    LEFT + (WIDTH - LEFT - 10.0) * if last == 0 { 0.0 } else { at / last as f64 }
}

fn y(value: f64, scale: f64) -> f64 {
    HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / scale
}

fn axes(svg: &mut String, scale: f64, seconds: f64) {
    for part in 0..=4 {
        let value = scale * f64::from(part) / 4.0;
        let y = y(value, scale);
        write(
            svg,
            format_args!(
                "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#8884\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - 10.0,
                LEFT - 6.0,
                y + 4.0,
                short(value)
            ),
        );
    }
    for part in 0..=6 {
        let x = x(f64::from(part), 6);
        let time = seconds * f64::from(part) / 6.0;
        let word = if seconds >= 600.0 { format!("{:.0} min", time / 60.0) } else { format!("{time:.0} s") };
        write(
            svg,
            format_args!("<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{word}</text>", HEIGHT - 8.0),
        );
    }
}

/// The next of 1, 2, 2.5, 5 and 10 times a power of ten.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10.0_f64.powf(value.log10().floor());
    let steps = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|step| *step >= value * 0.999_999).unwrap_or(10.0 * power)
}

fn short(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{:.4} M", value / 1e6).replace(".0000", ""),
        _ if value >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}

/// A text where markup stands.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose to see it fail: the names as they are.
    #[test]
    fn names_cannot_break_out_and_the_highest_point_is_inside() {
        let name = "</p><script>alert('1')</script>";
        let drawn = plot(name, &[Line { name, values: &[0.0, 37.0] }], 1.0, 0.0);
        assert!(!drawn.contains("<script") && drawn.contains("&lt;script&gt;alert(&#39;1&#39;)"), "{drawn}");
        assert!(drawn.contains("points=\"64.0,194.0 850.0,"), "{drawn}");
        let scales = [0.0, 0.95, 37.0, 100.0, 101.0, 1_000_000.0].map(round_up);
        assert_eq!(scales, [1.0, 1.0, 40.0, 100.0, 120.0, 1_000_000.0]);
        assert_eq!(plot("t", &[Line { name: "n", values: &[] }], 1.0, 0.0).matches("polyline").count(), 1);
    }
}
