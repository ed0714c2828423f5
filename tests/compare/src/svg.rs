//! A bar chart of all sections, written by hand: text, rectangles, and whiskers for the range.
//!
//! Every section has its own scale, from 0 to its largest median; each bar shows its figure.

use std::fmt::Write;

use crate::common::Spread;
use crate::common::table::digits;
use crate::report::{OURS, Section};

/// The whole picture.
pub(crate) fn chart(sections: &[Section]) -> String {
    let mut body = String::new();
    let mut y = 16.0;
    for section in sections {
        y = draw(&mut body, section, y);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" \
         viewBox=\"0 0 {WIDTH} {y}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{y}\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

/// Draws one section from `y` down and returns where the next one begins.
fn draw(body: &mut String, section: &Section, mut y: f64) -> f64 {
    let spreads: Vec<(&str, Spread)> = section
        .figures
        .iter()
        .map(|(name, figures)| (name.as_str(), Spread::of(figures.iter().copied())))
        .collect();
    let greatest =
        spreads.iter().map(|(_, spread)| spread.median).fold(f64::MIN_POSITIVE, f64::max);
    let scale = |value: f64| (value / greatest).min(1.15) * BARS;
    let better = if section.more_is_better { "more" } else { "less" };
    y += 14.0;
    let title = escaped(&format!(
        "{}. {} ({}, {better} is better)",
        section.row, section.title, section.unit
    ));
    line(body, format_args!("<text x=\"8\" y=\"{y}\" font-weight=\"bold\">{title}</text>"));
    y += 8.0;
    for (name, spread) in spreads {
        let (middle, base) = (y + 7.0, y + 11.0);
        let colour = if name == OURS { "#1b7f5c" } else { "#9aa7b2" };
        let (from, to) = (LEFT + scale(spread.least), LEFT + scale(spread.most));
        let (width, end) = (scale(spread.median), LEFT + scale(spread.median).max(to - LEFT) + 6.0);
        let (name, figure) = (escaped(name), digits(spread.median));
        line(
            body,
            format_args!(
                "<text x=\"{x}\" y=\"{base}\" text-anchor=\"end\">{name}</text>\
                 <rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"14\" fill=\"{colour}\"/>\
                 <path d=\"M{from:.1} {middle}H{to:.1}\" stroke=\"#333333\"/>\
                 <text x=\"{end:.1}\" y=\"{base}\">{figure}</text>",
                x = LEFT - 6.0,
            ),
        );
        y += 18.0;
    }
    y + 8.0
}

fn line(body: &mut String, words: std::fmt::Arguments<'_>) {
    let _infallible = writeln!(body, "{words}");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

const WIDTH: f64 = 760.0;
/// Where bars begin.
const LEFT: f64 = 190.0;
/// How long the longest is.
const BARS: f64 = 430.0;
