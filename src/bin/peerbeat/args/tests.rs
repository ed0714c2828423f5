//! Tests of the command line: both forms of an option, and every error message in full.
//!
//! Command lines are split at blanks here; no test needs a shell's quotes.

use super::parser::parse_seconds;
use super::*;

fn parsed(line: &str) -> Result<Command, String> {
    parse(line.split_whitespace().map(OsString::from)).map_err(|usage| usage.to_string())
}

fn run_options(line: &str) -> RunOptions {
    match parsed(line) {
        Ok(Command::Run(options)) => options,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn options_stand_anywhere_and_take_both_forms() {
    let options = run_options(
        "run --json --duration=1.5 a.conf --define A=b=c --define=D= --app-name x \
         --app-root=/opt/x --os win32 \
         --send-every 0.25 --stats-every 60 --send-size 0 --echo --show-data --until-eof",
    );
    let expected = RunOptions {
        file: "a.conf".into(),
        config: ConfigArgs {
            app_name: Some("x".into()),
            app_root: Some("/opt/x".into()),
            os: Some(Os::Win32),
            defines: vec![("A".into(), "b=c".into()), ("D".into(), String::new())],
        },
        json: true,
        until_eof: true,
        duration: Some(Duration::from_millis(1500)),
        send_every: Some(Duration::from_millis(250)),
        stats_every: Some(Duration::from_secs(60)),
        metrics: None,
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
    let Ok(Command::Check(check)) = parsed("check --strict -- a --json") else { panic!() };
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
fn wrong_usage_says_what_was_found_and_what_is_expected() {
    let table = [
        ("", "missing command: expected demo, run, check, top, picture, probe, cable or conform"),
        (
            "walk",
            "unknown command \"walk\": expected demo, run, check, top, picture, probe, cable or conform",
        ),
        ("chekc a", "unknown command \"chekc\": did you mean check?"),
        ("help rum", "unknown command \"rum\": did you mean run?"),
        ("--vresion", "unknown option --vresion: did you mean --version?"),
        ("demo x", "demo: unexpected \"x\": expected no operand"),
        ("run", "run: missing FILE"),
        ("run a b", "run: unexpected \"b\": expected one FILE"),
        ("run a --ecoh", "run: unknown option --ecoh: did you mean --echo?"),
        ("run a --unheard-of", "run: unknown option --unheard-of"),
        ("run a --duration", "run: --duration: missing value: expected seconds, 0 to 1000000000"),
        ("run a --duration -1", "run: --duration: found \"-1\", expected seconds, 0 to 1000000000"),
        (
            "run a --send-every=0",
            "run: --send-every: found \"0\", expected seconds, 0.001 to 86400",
        ),
        (
            "run a --send-every 1 --send-size 16777216",
            "run: --send-size: found \"16777216\", expected bytes, 0 to 16777215",
        ),
        ("run a --send-size 1", "run: --send-size needs --send-every"),
        ("run a --json=1", "run: --json: found \"1\", expected no value"),
        ("run a --define =x", "run: --define: found \"=x\", expected NAME=VALUE"),
        ("check", "check: missing FILE or DIR: expected one or more"),
        ("check a --strcit", "check: unknown option --strcit: did you mean --strict?"),
        ("cable", "cable: missing LISTEN and TARGET: expected addresses with a port"),
        ("cable :1", "cable: missing TARGET: expected addresses with a port"),
        ("cable a b c", "cable: unexpected \"c\": expected LISTEN TARGET"),
    ];
    for (line, expected) in table {
        let command = expected.split_once(':').map_or("", |(command, _)| command);
        let is_command = COMMANDS.iter().any(|(name, _)| *name == command);
        let (space, command) = if is_command { (" ", command) } else { ("", "") };
        let separator = if is_command { " " } else { ": " };
        let whole = format!("peerbeat{separator}{expected}\nTry: peerbeat{space}{command} --help");
        // Long ones are cut at blanks.
        let found = parsed(line).map_err(|text| text.replace("\n    ", " "));
        assert_eq!(found, Err(whole), "{line}");
    }
}

#[test]
fn help_and_version_need_nothing_else() {
    assert_eq!(parsed("--help"), Ok(Command::Print(help::COMMAND)));
    assert_eq!(parsed("-V"), Ok(Command::Print(help::VERSION)));
    assert_eq!(parsed("run --help"), Ok(Command::Print(help::RUN)));
    assert_eq!(parsed("check a -h"), Ok(Command::Print(help::CHECK)));
    assert_eq!(parsed("demo --help"), Ok(Command::Print(help::DEMO)));
    assert_eq!(parsed("help"), Ok(Command::Print(help::COMMAND)));
    assert_eq!(parsed("help run"), Ok(Command::Print(help::RUN)));
    assert_eq!(parsed("help cable"), Ok(Command::Print(help::CABLE)));
}
