//! The command line: both forms, every complaint whole.
//!
//! A line is cut at blanks here; what a shell would quote is not needed.

use super::*;

fn parsed(line: &str) -> Result<Call, String> {
    parse(line.split_whitespace().map(OsString::from)).map_err(|usage| usage.to_string())
}

fn run_options(line: &str) -> RunOptions {
    match parsed(line) {
        Ok(Call::Run(options)) => options,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn options_stand_anywhere_and_take_both_forms() {
    let options = run_options(
        "run --json --duration=1.5 a.conf --define A=b=c --define=D= --app-name x \
         --send-every 0.25 --stats-every 60 --send-size 0 --echo --show-data",
    );
    let expected = RunOptions {
        file: "a.conf".into(),
        reading: Reading {
            app_name: Some("x".into()),
            defines: vec![("A".into(), "b=c".into()), ("D".into(), String::new())],
        },
        json: true,
        duration: Some(Duration::from_millis(1500)),
        send_every: Some(Duration::from_millis(250)),
        stats_every: Some(Duration::from_secs(60)),
        send_size: 0,
        echo: true,
        show_data: true,
    };
    assert_eq!(options, expected);
}

#[test]
fn after_two_dashes_everything_is_an_operand() {
    assert_eq!(run_options("run -- --json").file, PathBuf::from("--json"));
    assert!(!run_options("run -- --json").json);
    let Ok(Call::Check(check)) = parsed("check --strict -- a --json") else { panic!() };
    assert_eq!(check.files, [PathBuf::from("a"), PathBuf::from("--json")]);
}

#[test]
fn seconds_are_digits_with_a_point_and_nothing_else() {
    for (text, nanos) in
        [("0", 0), ("1", 1_000_000_000), ("0.0000000019", 1), ("7.25", 7_250_000_000)]
    {
        assert_eq!(parse_seconds(text), Some(Duration::from_nanos(nanos)), "{text}");
    }
    let bad = [
        "",
        ".",
        "1.",
        ".5",
        "-1",
        "+1",
        "1e3",
        "NaN",
        "inf",
        "1 s",
        "1.2.3",
        "1,5",
        "99999999999999999999999",
    ];
    for text in bad {
        assert_eq!(parse_seconds(text), None, "{text}");
    }
}

#[test]
fn wrong_usage_says_what_was_found_and_what_is_allowed() {
    let calls = "demo, run, check, --help or --version";
    let table = [
        ("", format!("peerbeat: found no call, allowed: {calls}\nTry: peerbeat --help")),
        ("walk", format!("peerbeat: found \"walk\", allowed: {calls}\nTry: peerbeat --help")),
        ("--walk", format!("peerbeat: found --walk, allowed: {calls}\nTry: peerbeat --help")),
        (
            "demo x",
            "peerbeat demo: found \"x\", allowed: no operand\nTry: peerbeat demo --help".into(),
        ),
        ("run", "peerbeat run: found no FILE, allowed: one FILE\nTry: peerbeat run --help".into()),
        (
            "run a b",
            "peerbeat run: found \"b\", allowed: one FILE\nTry: peerbeat run --help".into(),
        ),
        (
            "run a --duration",
            "peerbeat run: --duration: found no value, allowed: seconds, \
          0 to 1000000000\nTry: peerbeat run --help"
                .into(),
        ),
        (
            "run a --duration -1",
            "peerbeat run: --duration: found \"-1\", allowed: seconds, \
          0 to 1000000000\nTry: peerbeat run --help"
                .into(),
        ),
        (
            "run a --send-every=0",
            "peerbeat run: --send-every: found \"0\", allowed: seconds, \
          0.001 to 86400\nTry: peerbeat run --help"
                .into(),
        ),
        (
            "run a --send-every 1 --send-size 16777216",
            "peerbeat run: --send-size: found \
          \"16777216\", allowed: bytes, 0 to 16777215\nTry: peerbeat run --help"
                .into(),
        ),
        (
            "run a --send-size 1",
            "peerbeat run: found --send-size alone, allowed: with \
          --send-every\nTry: peerbeat run --help"
                .into(),
        ),
        (
            "run a --json=1",
            "peerbeat run: --json: found \"1\", allowed: no value\n\
          Try: peerbeat run --help"
                .into(),
        ),
        (
            "run a --define =x",
            "peerbeat run: --define: found \"=x\", allowed: NAME=VALUE\n\
          Try: peerbeat run --help"
                .into(),
        ),
        (
            "check a --echo",
            format!(
                "peerbeat check: found --echo, allowed: {CHECK_OPTIONS}\n\
          Try: peerbeat check --help"
            ),
        ),
    ];
    for (line, expected) in table {
        assert_eq!(parsed(line), Err(expected), "{line}");
    }
}

#[test]
fn help_and_version_need_nothing_else() {
    assert_eq!(parsed("--help"), Ok(Call::Print(help::COMMAND)));
    assert_eq!(parsed("-V"), Ok(Call::Print(help::VERSION)));
    assert_eq!(parsed("run --help"), Ok(Call::Print(help::RUN)));
    assert_eq!(parsed("check a -h"), Ok(Call::Print(help::CHECK)));
    assert_eq!(parsed("demo --help"), Ok(Call::Print(help::DEMO)));
}
