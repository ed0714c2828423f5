//! The words of a cable, as written on stdin and in a script.
//!
//! One small function per grammar rule; an error names the word and what is expected.

use std::time::Duration;

use peerbeat::cable::Way;

use crate::args::nearest::nearest;
use crate::text::Escaped;

/// What a cable can be asked for. Without a way it is for both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Action {
    Pull(Option<Way>),
    Plug,
    Freeze(Option<Way>),
    Delay(Option<Way>, Duration),
    Slice(Option<Way>, usize),
    Rate(Option<Way>, u64),
    Reset,
    Cut,
    DropNew,
    Status,
    Help,
    Quit,
}

/// One step of a script: once at a time, or again and again.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// Since the beginning.
    pub(super) at: Duration,
    /// `None` = once.
    pub(super) every: Option<Duration>,
    pub(super) action: Action,
    /// As it was written.
    pub(super) words: String,
}

/// Steps with semicolons or ends of lines between them.
pub(super) fn parse_script(script: &str) -> Result<Vec<Step>, String> {
    let steps = script.split([';', '\n']).map(str::trim).filter(|step| !step.is_empty());
    steps.map(parse_step).collect()
}

/// `2s pull`, `every 30s reset`, or without a time: at once.
fn parse_step(step: &str) -> Result<Step, String> {
    let (first, rest) = first_word(step);
    let (at, every, words) = match (first, parse_time(first)) {
        ("every", _) => {
            let (time, words) = first_word(rest);
            let every = parse_time(time).filter(|every| *every >= EVERY_MIN).ok_or_else(|| {
                format!("\"{}\": expected a time of 1ms or more after every", Escaped(step))
            })?;
            (every, Some(every), words)
        }
        (_, Some(at)) => (at, None, rest),
        (_, None) => (Duration::ZERO, None, step),
    };
    let action = parse_action(words)?;
    Ok(Step { at, every, action, words: words.to_owned() })
}

/// `pull`, `pull in`, `delay 80ms`, `delay out 80ms`.
pub(super) fn parse_action(words: &str) -> Result<Action, String> {
    let (word, rest) = first_word(words);
    let (way, value) = match first_word(rest) {
        ("in", value) => (Some(Way::In), value),
        ("out", value) => (Some(Way::Out), value),
        _ => (None, rest),
    };
    let bare = |action| match value {
        "" => Ok(action),
        _ => Err(format!("{word}: unexpected \"{}\"", Escaped(value))),
    };
    let wayless = |action| match rest {
        "" => Ok(action),
        _ => Err(format!("{word}: unexpected \"{}\"", Escaped(rest))),
    };
    match word {
        "pull" => bare(Action::Pull(way)),
        "plug" => wayless(Action::Plug),
        "freeze" => bare(Action::Freeze(way)),
        "delay" => match parse_time(value) {
            Some(time) if time <= DELAY_MAX => Ok(Action::Delay(way, time)),
            _ => Err(wrong(word, value, "a time up to 1h: 80ms")),
        },
        "slice" => match value.parse() {
            Ok(bytes) => Ok(Action::Slice(way, bytes)),
            Err(_) => Err(wrong(word, value, "bytes: 1, or 0 for as they come")),
        },
        "rate" => match parse_bytes(value) {
            Some(bytes) => Ok(Action::Rate(way, bytes)),
            None => Err(wrong(word, value, "bytes a second: 20k, or 0 for no limit")),
        },
        "reset" => wayless(Action::Reset),
        "cut" => wayless(Action::Cut),
        "drop-new" => wayless(Action::DropNew),
        "status" => wayless(Action::Status),
        "help" => wayless(Action::Help),
        "quit" | "exit" => wayless(Action::Quit),
        _ => Err(match nearest(word, WORDS) {
            Some(near) => format!("unknown word \"{}\": did you mean {near}?", Escaped(word)),
            None => format!("unknown word \"{}\": expected {}", Escaped(word), WORDS.join(", ")),
        }),
    }
}

fn wrong(word: &str, value: &str, expected: &str) -> String {
    format!("{word}: found \"{}\", expected {expected}", Escaped(value))
}

fn first_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim())
}

/// `80ms`, `2s`, `1.5min`, `1h`; `0` needs no unit.
pub(crate) fn parse_time(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "min" | "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = number.parse().ok().filter(|_| is_plain)?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

/// `300`, `20k`, `1M`.
fn parse_bytes(text: &str) -> Option<u64> {
    let (number, factor) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number, 1000),
        None => match text.strip_suffix('M') {
            Some(number) => (number, 1_000_000),
            None => (text, 1),
        },
    };
    let number: u64 = number.parse().ok().filter(|_| !number.starts_with('+'))?;
    number.checked_mul(factor).filter(|bytes| *bytes <= RATE_MAX)
}

/// What `help` prints.
pub(super) const HELP: &str = "\
pull [in|out]          bytes vanish, nothing is closed
plug                   everything is carried; connections that lost bytes end
freeze [in|out]        bytes wait, nothing is lost
delay [in|out] TIME    bytes arrive later: 80ms, 2s; 0 = no more
slice [in|out] BYTES   the most that is handed on at once; 0 = as they come
rate [in|out] BYTES    the most a second on each connection: 300, 20k; 0 = any
reset                  the next byte that a side sends is answered with a reset
cut                    both sides of every connection read an end of stream
drop-new               new connections are closed at once, until the next plug
status                 what was carried, and what the cable does now
quit                   the end
out is from the program that dials to the target, in is the way back.";

const WORDS: [&str; 12] = [
    "pull", "plug", "freeze", "delay", "slice", "rate", "reset", "cut", "drop-new", "status",
    "help", "quit",
];
const EVERY_MIN: Duration = Duration::from_millis(1);
const DELAY_MAX: Duration = Duration::from_secs(3600);
/// A second's worth must not overflow when it is counted in nanoseconds.
const RATE_MAX: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_a_way_and_a_value() {
        let ms = Duration::from_millis;
        let table = [
            ("pull", Action::Pull(None)),
            ("pull in", Action::Pull(Some(Way::In))),
            ("freeze out", Action::Freeze(Some(Way::Out))),
            ("delay 80ms", Action::Delay(None, ms(80))),
            ("delay in 1.5s", Action::Delay(Some(Way::In), ms(1500))),
            ("delay 0", Action::Delay(None, ms(0))),
            ("slice  1", Action::Slice(None, 1)),
            ("rate 20k", Action::Rate(None, 20_000)),
            ("rate out 1M", Action::Rate(Some(Way::Out), 1_000_000)),
            ("drop-new", Action::DropNew),
            ("quit", Action::Quit),
        ];
        for (words, action) in table {
            assert_eq!(parse_action(words), Ok(action), "{words}");
        }
    }

    #[test]
    fn wrong_words_say_what_is_expected() {
        let table = [
            ("pul", "unknown word \"pul\": did you mean pull?"),
            ("plug in", "plug: unexpected \"in\""),
            ("pull up", "pull: unexpected \"up\""),
            ("delay", "delay: found \"\", expected a time up to 1h: 80ms"),
            ("delay 80", "delay: found \"80\", expected a time up to 1h: 80ms"),
            ("delay 1e3s", "delay: found \"1e3s\", expected a time up to 1h: 80ms"),
            ("delay 2h", "delay: found \"2h\", expected a time up to 1h: 80ms"),
            ("slice -1", "slice: found \"-1\", expected bytes: 1, or 0 for as they come"),
            ("rate +1", "rate: found \"+1\", expected bytes a second: 20k, or 0 for no limit"),
            (
                "rate 99999M",
                "rate: found \"99999M\", expected bytes a second: 20k, or 0 for no limit",
            ),
        ];
        for (words, complaint) in table {
            assert_eq!(parse_action(words), Err(complaint.to_owned()), "{words}");
        }
    }

    #[test]
    fn scripts_have_times_and_repeats() {
        let s = Duration::from_secs;
        let steps =
            parse_script("slice 1; 2s pull;\n 5s plug; every 30s reset;").expect("a script");
        let times: Vec<_> = steps.iter().map(|step| (step.at, step.every, step.action)).collect();
        let expected = [
            (s(0), None, Action::Slice(None, 1)),
            (s(2), None, Action::Pull(None)),
            (s(5), None, Action::Plug),
            (s(30), Some(s(30)), Action::Reset),
        ];
        assert_eq!(times, expected);
        assert_eq!(steps[3].words, "reset");
        let complaint = "\"every pull\": expected a time of 1ms or more after every";
        assert_eq!(parse_script("every pull"), Err(complaint.to_owned()));
        assert!(parse_script("every 0 pull").is_err());
        assert_eq!(parse_script(" ; "), Ok(Vec::new()));
    }
}
