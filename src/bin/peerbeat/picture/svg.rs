//! The drawing: one static SVG without a script, readable with any viewer.
//!
//! A state has a colour and a word under or over it; text from outside is escaped twice, for
//! terminals and for XML.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use super::timeline::{Kind, Row, Timeline, Verdict};
use crate::clock;
use crate::text::{Count, Escaped, Seconds};
use crate::top::units::span;

/// What is drawn.
pub(super) struct Shown<'a> {
    pub(super) timeline: &'a Timeline,
    pub(super) rows: Vec<(&'a String, &'a Row)>,
    pub(super) from: Duration,
    pub(super) to: Duration,
    /// The peer and the moment of the lower half.
    pub(super) moment: Option<Moment<'a>>,
}

/// One moment of one peer.
pub(super) struct Moment<'a> {
    pub(super) name: &'a str,
    pub(super) row: &'a Row,
    pub(super) at: Duration,
    pub(super) heartbeat_time: Duration,
    pub(super) slack: Duration,
}

/// The whole picture.
pub(super) fn svg(shown: &Shown<'_>) -> String {
    let bottom = TOP + shown.rows.len() as f64 * ROW;
    let height = match shown.moment {
        Some(_) => bottom + 40.0 + SAW_HEIGHT + 50.0,
        None => bottom + 40.0,
    };
    let mut svg = Svg(String::new());
    let _ = writeln!(
        svg.0,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"system-ui,sans-serif\" font-size=\"12\">"
    );
    svg.line("<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>");
    head(&mut svg, shown);
    ticks(&mut svg, (shown.from, shown.to), (TOP - 8.0, bottom));
    for (index, (name, row)) in shown.rows.iter().enumerate() {
        draw_row(&mut svg, shown, name, row, TOP + index as f64 * ROW);
    }
    if let Some(moment) = &shown.moment {
        saw(&mut svg, moment, bottom + 40.0);
    }
    svg.line("</svg>");
    svg.0
}

struct Svg(String);

impl Svg {
    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// Text at a place; `look` holds further attributes.
    fn text(&mut self, (x, y): (f64, f64), look: &str, text: &str) {
        let text = xml(text);
        self.line(&format!("<text x=\"{x:.1}\" y=\"{y:.1}\" {look}>{text}</text>"));
    }

    fn rect(&mut self, (x, y, width): (f64, f64, f64), fill: &str, title: &str) {
        let title = match title {
            "" => "/>".to_owned(),
            title => format!("><title>{}</title></rect>", xml(title)),
        };
        self.line(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"14\" fill=\"{fill}\"{title}"
        ));
    }

    fn rule(&mut self, from: (f64, f64), to: (f64, f64), look: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.line(&format!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {look}/>"
        ));
    }
}

fn head(svg: &mut Svg, shown: &Shown<'_>) {
    let timeline = shown.timeline;
    let at = |time: Duration| clock::written(UNIX_EPOCH + time)[..19].replace('T', " ");
    let title = format!(
        "links of {} · {} to {} UTC",
        Escaped(&timeline.node),
        at(shown.from),
        &at(shown.to)[11..]
    );
    svg.text((14.0, 24.0), "font-size=\"16\" font-weight=\"600\"", &title);
    let is_up = |row: &&Row| row.stretches.last().is_some_and(|last| last.kind == Kind::Up);
    let up = timeline.rows.values().filter(is_up).count();
    let losses: u64 = timeline.losses.values().sum();
    let plural = if losses == 1 { "loss" } else { "losses" };
    let peers = Count(timeline.rows.len() as u64, "peer");
    let mut text = format!("{peers} · {up} up at the end · {losses} {plural}");
    for (index, (reason, count)) in timeline.losses.iter().enumerate() {
        let before = if index == 0 { ": " } else { ", " };
        text += &format!("{before}{} {count}", Escaped(reason));
    }
    if let Some(excess) = timeline.worst_excess() {
        text += &format!(" · latest verdict {} after its limit", millis(excess));
    }
    if shown.rows.len() < timeline.rows.len() {
        text += &format!(" · the worst {} are shown", shown.rows.len());
    }
    svg.text((14.0, 44.0), "fill=\"#555\"", &text);
    for (index, kind) in KINDS.iter().enumerate() {
        let x = 14.0 + index as f64 * 150.0;
        svg.rect((x, 56.0, 12.0), kind.colour(), "");
        svg.text((x + 18.0, 67.0), "", kind.as_str());
    }
}

/// Lines with times, no more than a dozen.
fn ticks(svg: &mut Svg, (from, to): (Duration, Duration), (top, bottom): (f64, f64)) {
    let length = to.saturating_sub(from).as_secs_f64().max(0.001);
    let step = STEPS.iter().copied().find(|step| length / step <= 12.0).unwrap_or(length / 10.0);
    let mut time = 0.0;
    while time <= length {
        let x = LEFT + time / length * SPAN;
        svg.rule((x, top), (x, bottom), "stroke=\"#eee\"");
        let look = "text-anchor=\"middle\" fill=\"#777\" font-size=\"11\"";
        svg.text((x, bottom + 14.0), look, &offset(time));
        time += step;
    }
}

/// `+90 s`, `+5 min`, `+3 h`
fn offset(seconds: f64) -> String {
    match seconds {
        s if s >= 7200.0 => format!("+{} h", s / 3600.0),
        s if s >= 300.0 => format!("+{} min", s / 60.0),
        s if s.fract() == 0.0 => format!("+{s} s"),
        s => format!("+{s:.1} s"),
    }
}

fn draw_row(svg: &mut Svg, shown: &Shown<'_>, name: &str, row: &Row, y: f64) {
    let name = Escaped(name).to_string();
    let short: String = name.chars().take(NAME_MAX).collect();
    svg.text((14.0, y + 11.0), "font-weight=\"600\"", &short);
    let length = shown.to.saturating_sub(shown.from).as_secs_f64().max(0.001);
    let place = |time: Duration| {
        let part = time.saturating_sub(shown.from).as_secs_f64() / length;
        LEFT + part.min(1.0) * SPAN
    };
    let mut free_from = 0.0;
    for stretch in &row.stretches {
        if stretch.to < shown.from || stretch.from > shown.to {
            continue;
        }
        let x = place(stretch.from);
        // What is short is still seen.
        let width = (place(stretch.to) - x).max(1.0);
        let lasted = span(stretch.to.saturating_sub(stretch.from));
        let title = format!("{name}: {} ({lasted})", stretch.title);
        svg.rect((x, y, width), stretch.kind.colour(), &title);
        let text_width = stretch.label.chars().count() as f64 * 5.6;
        let fits = x >= free_from && x + text_width < WIDTH as f64;
        if fits && !stretch.label.is_empty() {
            let look = "font-size=\"10.5\" fill=\"#444\"";
            svg.text((x + 3.0, y + 25.0), look, &stretch.label);
            free_from = x + text_width + 8.0;
        }
    }
}

/// Silence over time against heartbeat-time, late and limit.
fn saw(svg: &mut Svg, moment: &Moment<'_>, top: f64) {
    let limit = moment.heartbeat_time + moment.slack;
    let late = moment.heartbeat_time + moment.slack / 2;
    let (from, to) = (moment.at.saturating_sub(limit * 4), moment.at + limit);
    let length = (to.saturating_sub(from)).as_secs_f64();
    let (bottom, scale) = (top + SAW_HEIGHT, SAW_HEIGHT / (limit.as_secs_f64() * 1.3));
    let x = |time: Duration| LEFT + time.saturating_sub(from).as_secs_f64() / length * SPAN;
    let y = |silence: Duration| bottom - silence.as_secs_f64() * scale;
    svg.text((14.0, top + 12.0), "font-weight=\"600\"", &Escaped(moment.name).to_string());
    svg.text((14.0, top + 28.0), "fill=\"#555\" font-size=\"11\"", "its silence");
    ticks(svg, (from, to), (top, bottom));
    let levels = [
        (moment.heartbeat_time, "#999", "heartbeat-time"),
        (late, "#b87400", "late"),
        (limit, "#c8453b", "limit"),
    ];
    for (level, colour, word) in levels {
        let y = y(level);
        let look = format!("stroke=\"{colour}\" stroke-dasharray=\"4 3\"");
        svg.rule((LEFT, y), (LEFT + SPAN, y), &look);
        let look = format!("text-anchor=\"end\" font-size=\"10.5\" fill=\"{colour}\"");
        svg.text((LEFT + SPAN - 4.0, y - 3.0), &look, &format!("{word} {}", Seconds(level)));
    }
    let known = moment.row.silences.iter().filter(|(begun, until)| *until >= from && *begun <= to);
    let mut points = String::new();
    let mut before: Option<(Duration, Duration)> = None;
    let flush = |svg: &mut Svg, points: &mut String| {
        let look = "fill=\"none\" stroke=\"#2f6fb0\" stroke-width=\"1.6\"";
        if !points.is_empty() {
            svg.line(&format!("<polyline {look} points=\"{}\"/>", points.trim_end()));
        }
        points.clear();
    };
    for (begun, until) in known {
        if let Some((earlier, _)) = before {
            let lasted = begun.saturating_sub(earlier);
            // Longer, and not reported as late: bytes came that no record speaks of.
            if lasted <= late {
                let _ = write!(points, "{:.1},{:.1} ", x(*begun), y(lasted));
            } else {
                flush(svg, &mut points);
            }
        }
        let lasted = until.saturating_sub(*begun);
        let (start, end) = ((*begun).max(from), x((*until).min(to)));
        let _ = write!(points, "{:.1},{:.1} ", x(start), y(start.saturating_sub(*begun)));
        let _ = write!(points, "{end:.1},{:.1} ", y(lasted));
        before = Some((*begun, *until));
    }
    flush(svg, &mut points);
    for verdict in moment.row.verdicts.iter().filter(|verdict| (from..=to).contains(&verdict.at)) {
        dot(svg, (x(verdict.at), y(verdict.silence)), verdict);
    }
}

fn dot(svg: &mut Svg, (x, y): (f64, f64), verdict: &Verdict) {
    svg.line(&format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#c8453b\"/>"));
    let excess = millis(verdict.silence.saturating_sub(verdict.limit));
    let text = format!("down: silent, {excess} after the limit");
    svg.text((x - 8.0, y - 8.0), "text-anchor=\"end\" fill=\"#c8453b\"", &text);
}

/// Cut to tenths of a millisecond.
fn millis(time: Duration) -> String {
    let tenths = time.as_micros() / 100;
    format!("{}.{} ms", tenths / 10, tenths % 10)
}

impl Kind {
    fn colour(self) -> &'static str {
        match self {
            Self::Up => "#2f9e63",
            Self::Late => "#e8a93a",
            Self::Down => "#c8453b",
            Self::Stopped => "#7b61c9",
            Self::Never => "#d9d9d9",
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Late => "late",
            Self::Down => "down, dialling",
            Self::Stopped => "we were stopped",
            Self::Never => "never connected",
        }
    }
}

fn xml(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;")
}

const KINDS: [Kind; 5] = [Kind::Up, Kind::Late, Kind::Down, Kind::Stopped, Kind::Never];
/// Seconds between two lines.
const STEPS: [f64; 20] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0,
    3600.0, 7200.0, 21600.0, 43200.0, 86400.0,
];
const WIDTH: u32 = 1060;
/// Where time begins, and how much room it has.
const LEFT: f64 = 150.0;
const SPAN: f64 = 880.0;
/// Where the rows begin, and how high each is.
const TOP: f64 = 95.0;
const ROW: f64 = 34.0;
const SAW_HEIGHT: f64 = 150.0;
const NAME_MAX: usize = 18;
