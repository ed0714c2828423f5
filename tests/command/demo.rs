//! `demo` keeps its promises and shows every step.
//!
//! It is run as a user runs it; its own measurements decide.

use std::process::{Command, Stdio};

use crate::harness::{Folder, exit_code};

#[test]
fn demo_shows_every_step_and_keeps_every_promise() {
    let folder = Folder::new();
    // It measures lateness, and this machine runs other tests beside it: it gets three tries.
    let ended = (0..3)
        .map(|_| folder.peerbeat("demo --picture demo.svg"))
        .find(|ended| {
            ended.code == Some(0) || {
                eprintln!("a try on a busy machine failed: {ended:#?}");
                false
            }
        })
        .expect("a demo that holds its promises");
    assert_eq!(ended.stderr, "");
    let steps = [
        "1  Connect",
        "2  Send data",
        "3  Go idle",
        "4  Pull the cable",
        "PULLED",
        "DOWN: silent",
        "5  Plug it in",
        "PLUGGED IN",
        "6  Stop in order",
        "What was promised, what was measured",
        "promises held",
    ];
    let mut rest = ended.stdout.as_str();
    for step in steps {
        let at = rest.find(step).unwrap_or_else(|| panic!("no {step} in {rest}"));
        rest = &rest[at + step.len()..];
    }
    assert!(!ended.stdout.contains("BROKEN"), "{}", ended.stdout);
    assert!(!ended.stdout.contains('\u{1b}'), "colours without a terminal");
    for line in ended.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let picture = std::fs::read_to_string(folder.path("demo.svg")).unwrap();
    assert!(picture.contains("down: silent, ") && picture.ends_with("</svg>\n"), "{picture}");
}

#[test]
fn demo_ends_quietly_when_its_output_is_not_read() {
    let folder = Folder::new();
    let line = "\"$0\" demo | head -1";
    let mut shell = Command::new("sh");
    let shell = shell.args(["-c", line, env!("CARGO_BIN_EXE_peerbeat")]).stdin(Stdio::null());
    let output = shell.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    drop(folder);
    let mut child = Command::new(env!("CARGO_BIN_EXE_peerbeat"));
    let mut child = child.arg("demo").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(matches!(exit_code(&mut child), Some(0 | 1)));
}
