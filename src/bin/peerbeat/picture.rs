//! `picture`: a journal as one static SVG, one row per peer and one moment in detail.
//!
//! The journal is read once, line by line, and only what is drawn is kept.

mod svg;
mod timeline;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::process::ExitCode;
use std::time::Duration;

use crate::args::PictureOptions;
use crate::output::{self, complain};
use crate::record::{Record, Value};
use crate::text::Escaped;
use crate::{FAILED, WRONG_USAGE};
use svg::{Moment, Shown};
use timeline::{Row, Timeline};

/// Draws a journal on stdout.
pub(crate) fn picture(options: &PictureOptions) -> ExitCode {
    let drawn = match options.journal.to_str() {
        Some("-") => draw(io::stdin().lock(), options),
        _ => match File::open(&options.journal) {
            Ok(file) => draw(BufReader::new(file), options),
            Err(error) => {
                let file = options.journal.to_string_lossy();
                complain(&format_args!("peerbeat picture: {}: {error}", Escaped(&file)));
                return ExitCode::from(FAILED);
            }
        },
    };
    match drawn {
        Ok(svg) => output::print(&svg),
        Err(complaint) => {
            complain(&format_args!("peerbeat picture: {complaint}"));
            ExitCode::from(WRONG_USAGE)
        }
    }
}

/// Draws a journal, from a reader.
///
/// # Errors
/// If it holds no records, or nothing of the peer that is asked for.
pub(crate) fn draw(mut from: impl BufRead, options: &PictureOptions) -> Result<String, String> {
    let mut timeline = Timeline::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.by_ref().take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {
                if let Some(record) = Record::parse(&String::from_utf8_lossy(&line)) {
                    timeline.handle(&record);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    let Some(first) = timeline.from else { return Err("the journal holds no records".to_owned()) };
    timeline.finish();
    let from = match options.last {
        Some(last) => timeline.to.saturating_sub(last).max(first),
        None => options.from.unwrap_or(first).clamp(first, timeline.to),
    };
    let mut rows: Vec<(&String, &Row)> = timeline.rows.iter().collect();
    if rows.len() > ROWS_SHOWN {
        rows.sort_by_key(|(_, row)| std::cmp::Reverse(row.badness()));
        rows.truncate(ROWS_SHOWN);
        rows.sort_by_key(|(name, _)| *name);
    }
    let moment = moment(&timeline, options)?;
    let to = timeline.to;
    Ok(svg::svg(&Shown { timeline: &timeline, rows, from, to, moment }))
}

/// The peer and the moment that are asked for, else the last verdict of all.
fn moment<'a>(
    timeline: &'a Timeline,
    options: &PictureOptions,
) -> Result<Option<Moment<'a>>, String> {
    let rows = timeline.rows.iter();
    let verdicts = rows
        .filter(|(name, _)| options.peer.as_ref().is_none_or(|peer| peer == *name))
        .flat_map(|(name, row)| row.verdicts.iter().map(move |verdict| (name, row, verdict)));
    let nearest = match options.at {
        Some(at) => verdicts.min_by_key(|(_, _, verdict)| verdict.at.abs_diff(at)),
        None => verdicts.max_by_key(|(_, _, verdict)| verdict.at),
    };
    let wanted = options.peer.as_ref().and_then(|peer| timeline.rows.get_key_value(peer));
    if let (Some(peer), None) = (&options.peer, wanted) {
        return Err(format!("no peer \"{}\" in the journal", Escaped(peer)));
    }
    match (nearest, wanted) {
        (Some((name, row, verdict)), _) => Ok(Some(Moment {
            name,
            row,
            at: options.at.unwrap_or(verdict.at),
            heartbeat_time: verdict.heartbeat_time,
            slack: verdict.slack,
        })),
        (None, Some((name, row))) => {
            let Some(heartbeat_time) = row.heartbeat_time else { return Ok(None) };
            let at = options.at.unwrap_or(timeline.to);
            Ok(Some(Moment { name, row, at, heartbeat_time, slack: heartbeat_time / 2 }))
        }
        (None, None) => Ok(None),
    }
}

/// A time as a journal writes it.
pub(crate) fn parse_time(text: &str) -> Option<Duration> {
    let full = if text.ends_with('Z') { text.to_owned() } else { format!("{text}Z") };
    let quoted = crate::json::quoted(full.replacen(' ', "T", 1));
    let record = Record::parse(&format!("{{\"v\":1,\"at\":{quoted},\"event\":\"\"}}"))?;
    debug_assert!(record.get("at").is_some_and(|at| matches!(at, Value::Text(_))));
    Some(record.at)
}

/// Rows that a picture has at most.
const ROWS_SHOWN: usize = 60;
/// A journal has no longer lines.
const LINE_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const JOURNAL: &str = r#"
{"v":1,"at":"2026-11-28T13:42:00.000000Z","node":"hub<1>","event":"dialling","peer":"feed&2","addr":"h:1"}
{"v":1,"at":"2026-11-28T13:42:01.000000Z","node":"hub<1>","event":"up","peer":"feed&2","addr":"h:1","direction":"dialled"}
{"v":1,"at":"2026-11-28T13:42:02.000000Z","node":"hub<1>","event":"stats","peer":"feed&2","connected":true,"silent_ms":100,"heartbeat_time_ms":1000}
{"v":1,"at":"2026-11-28T13:42:03.150000Z","node":"hub<1>","event":"late","peer":"feed&2","silent_ms":1250}
{"v":1,"at":"2026-11-28T13:42:03.400100Z","node":"hub<1>","event":"down","peer":"feed&2","reason":"silent","detail":"x","silent_ms":1500.1,"limit_ms":1500,"heartbeat_time_ms":1000,"slack_ms":500}
{"v":1,"at":"2026-11-28T13:42:05.000000Z","node":"hub<1>","event":"dial-failed","peer":"other","addr":"h:2","reason":"connect","detail":"Connection refused"}
{"v":1,"at":"2026-11-28T13:42:09.000000Z","node":"hub<1>","event":"up","peer":"feed&2","addr":"h:1","direction":"dialled"}
no record
"#;

    fn drawn(options: &PictureOptions) -> Result<String, String> {
        draw(JOURNAL.as_bytes(), options)
    }

    #[test]
    fn a_picture_has_rows_labels_and_the_saw() {
        let svg = drawn(&PictureOptions::default()).expect("a picture");
        for part in [
            "links of hub&lt;1&gt; · 2026-11-28 13:42:00 to 13:42:09 UTC",
            "2 peers · 1 up at the end · 1 loss: silent 1 · latest verdict 0.1 ms after its limit",
            ">feed&amp;2</text>",
            ">silent 1.5001 s</text>",
            ">1 failed dial: Connection refused</text>",
            "<title>feed&amp;2: down: silent: x; silent for 1.5001 s, limit 1.5 s (5.59s)</title>",
            ">late 1.25 s</text>",
            ">limit 1.5 s</text>",
            "down: silent, 0.1 ms after the limit",
            "<polyline",
        ] {
            assert!(svg.contains(part), "no {part} in\n{svg}");
        }
        assert!(!svg.contains("<script") && !svg.contains("hub<1>"));
    }

    #[test]
    fn a_span_and_a_peer_can_be_chosen() {
        let last = PictureOptions { last: Some(Duration::from_secs(1)), ..Default::default() };
        let svg = drawn(&last).expect("a picture");
        assert!(svg.contains("13:42:08 to 13:42:09"), "{svg}");
        let other = PictureOptions { peer: Some("stranger".to_owned()), ..Default::default() };
        assert_eq!(drawn(&other), Err("no peer \"stranger\" in the journal".to_owned()));
        assert_eq!(draw(&b"{}\n"[..], &last), Err("the journal holds no records".to_owned()));
        let time = parse_time("2026-11-28 13:42:03").expect("a time");
        assert_eq!(time, parse_time("2026-11-28T13:42:03Z").expect("a time"));
        assert_eq!(parse_time("yesterday"), None);
    }

    #[test]
    fn the_worst_of_many_are_shown() {
        let mut journal = JOURNAL.to_owned();
        for index in 0..200 {
            journal += &format!(
                "{{\"v\":1,\"at\":\"2026-11-28T13:42:00.5Z\",\"event\":\"up\",\"peer\":\"p{index:03}\"}}\n"
            );
        }
        let svg = draw(journal.as_bytes(), &PictureOptions::default()).expect("a picture");
        assert!(svg.contains("the worst 60 are shown") && svg.contains(">feed&amp;2</text>"));
        assert_eq!(svg.matches("font-weight=\"600\">p").count(), 58);
    }
}
