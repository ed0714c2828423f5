//! Wrong usage is refused completely, with what was found and what is allowed.
//!
//! Error messages are compared in full: scripts and people rely on them.

use crate::harness::Folder;

#[test]
fn wrong_usage_ends_with_2_and_a_complaint() {
    let folder = Folder::with(&[("a.conf", "datasrc-port auto\n")]);
    let table = [
        (
            "",
            "peerbeat: missing command: expected demo, run, check, top, picture, probe, cable or conform",
        ),
        (
            "fly",
            "peerbeat: unknown command \"fly\": expected demo, run, check, top, picture, probe, cable or conform",
        ),
        ("chekc a.conf", "peerbeat: unknown command \"chekc\": did you mean check?"),
        ("run", "peerbeat run: missing FILE"),
        ("run a.conf b.conf", "peerbeat run: unexpected \"b.conf\": expected one FILE"),
        ("run a.conf --ehco", "peerbeat run: unknown option --ehco: did you mean --echo?"),
        (
            "run a.conf --duration 1e3",
            "peerbeat run: --duration: found \"1e3\", expected seconds, 0 to 1000000000",
        ),
        (
            "run a.conf --send-every=-1",
            "peerbeat run: --send-every: found \"-1\", expected seconds, 0.001 to 86400",
        ),
        ("run a.conf --define", "peerbeat run: --define: missing value: expected NAME=VALUE"),
        ("run a.conf --echo=no", "peerbeat run: --echo: found \"no\", expected no value"),
        ("check", "peerbeat check: missing FILE or DIR: expected one or more"),
        ("demo now", "peerbeat demo: unexpected \"now\": expected no operand"),
        ("cable 127.0.0.1 x:1", "peerbeat cable: found \"127.0.0.1\", expected HOST:PORT"),
        ("conform --name x", "peerbeat conform: missing HOST:PORT"),
        (
            "conform h:1",
            "peerbeat conform: missing --name NAME: of a peer that the other side knows",
        ),
        ("conform h --name x", "peerbeat conform: found \"h\", expected HOST:PORT"),
        (
            "conform h:1 --name=",
            "peerbeat conform: --name: found \"\", expected 1 to 255 bytes without control characters",
        ),
        (
            "conform h:1 --name x --tap --json",
            "peerbeat conform: --tap and --json exclude each other",
        ),
        ("cable 0 x", "peerbeat cable: found \"x\", expected HOST:PORT"),
        (
            "cable 0 x:1 --script plgu",
            "peerbeat cable: --script: unknown word \"plgu\": did you mean plug?",
        ),
    ];
    for (line, complaint) in table {
        let ended = folder.peerbeat(line);
        assert_eq!(ended.code, Some(2), "{line}: {ended:?}");
        assert_eq!(ended.stdout, "", "{line}");
        assert!(ended.stderr.lines().all(|line| line.chars().count() <= 80), "{}", ended.stderr);
        // Long ones are cut at blanks.
        let stderr = ended.stderr.replace("\n    ", " ");
        assert_eq!(stderr.lines().next(), Some(complaint), "{line}");
    }
}

#[test]
fn help_is_a_result_and_names_every_option() {
    let folder = Folder::new();
    let options = [
        ("--help", "demo run FILE check FILE cable LISTEN TARGET --version Exit codes"),
        ("help run", "--until-eof --duration SIGTERM"),
        (
            "conform --help",
            "HOST:PORT --name NAME --listen --wait S --slack S --floor S --handshake S \
             --tolerance S --only WORD --tap --json Exit codes",
        ),
        ("cable --help", "--script STEPS --json drop-new netem Exit codes"),
        ("demo --help", "NO_COLOR Exit codes"),
        (
            "run --help",
            "--app-name N --define NAME=VALUE --json --duration S --send-every S \
             --send-size N --echo --show-data Exit codes",
        ),
        ("check --help", "--app-name N --define NAME=VALUE --json --strict Exit codes"),
    ];
    for (line, words) in options {
        let ended = folder.peerbeat(line);
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{line}");
        for word in words.split(' ') {
            assert!(ended.stdout.contains(word), "{line}: no {word} in {}", ended.stdout);
        }
    }
    let version = format!("peerbeat {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(folder.peerbeat("--version").stdout, version);
}

#[test]
fn all_configuration_errors_are_reported_and_nothing_is_started() {
    let folder = Folder::with(&[(
        "bad.conf",
        "datasrc-port 70000\nadd-peer\n heartbeat-time NaN\nend-peer\ninclude-file gone.conf\n",
    )]);
    let complaints = "\
bad.conf:1: datasrc-port: found \"70000\", allowed: a port from 1 to 65535, 0 or auto
bad.conf:3: heartbeat-time: found \"NaN\"";
    for call in ["run bad.conf --json", "run bad.conf", "check bad.conf"] {
        let ended = folder.peerbeat(call);
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{call}: {ended:?}");
        assert!(ended.stderr.starts_with(complaints), "{call}: {}", ended.stderr);
        assert!(ended.stderr.contains("bad.conf:5: include-file: found"), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 3, "{}", ended.stderr);
    }
    let missing = folder.peerbeat("run nowhere.conf");
    assert_eq!((missing.code, &*missing.stdout), (Some(2), ""));
    assert!(missing.stderr.starts_with("nowhere.conf: file: found"), "{}", missing.stderr);
}

#[test]
fn a_file_that_can_never_link_is_refused() {
    let folder = Folder::with(&[("idle.conf", "add-peer\n remote-name x\nend-peer\n")]);
    let ended = folder.peerbeat("run idle.conf --duration 1");
    assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{ended:?}");
    let complaint = "idle.conf: found nothing to run: it neither listens (datasrc-port) nor dials \
                     (add-peer with port), allowed: one of them or both";
    assert!(ended.stderr.ends_with(&format!("{complaint}\n")), "{}", ended.stderr);
}
