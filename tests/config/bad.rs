//! Invalid text and its complete error messages: `bad.txt` holds the cases.

use super::*;

/// The cases of a table file: what each is about, its text, and what is expected.
pub(super) fn cases(table: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    table.split("\n=== ").skip(1).map(|case| {
        let (about, rest) = case.split_once('\n').expect("a title");
        let (text, expected) = rest.split_once("\n---").expect("a --- line");
        (about, text, expected.trim_matches('\n'))
    })
}

#[test]
#[cfg_attr(windows, ignore = "paths are shown with backslashes there")]
fn every_mistake_is_named_with_place_item_found_and_allowed() {
    for (about, text, expected) in cases(include_str!("bad.txt")) {
        assert_eq!(errors(text, &options()), expected, "{about}");
    }
}

#[test]
fn a_port_that_is_wrong_is_not_missing_too() {
    let text = "add-peer\naddr a\nport 99999\nend-peer\nadd-peer\naddr b\nend-peer";
    let errors = Config::parse(text, &ConfigOptions::default()).unwrap_err();
    let warnings: Vec<_> = errors.warnings().iter().map(ToString::to_string).collect();
    let missing = |line: &String| line.contains("add port") && line.contains(":5:");
    assert!(warnings.len() == 1 && warnings.iter().all(missing), "{warnings:?}");
}

// lesson 65
#[test]
fn a_host_has_no_invisible_blanks() {
    for blank in ['\u{a0}', '\u{3000}', '\u{b}', '\u{7f}'] {
        let said = errors(&format!("add-peer\naddr a{blank}b\nport 1\nend-peer"), &options());
        assert!(said.starts_with("<text>:2: addr: found "), "{blank:?}: {said}");
    }
}
