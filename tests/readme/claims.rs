//! Claims about names, versions, platforms and figures.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{blocks, quoted, read, read_in_checkout, readme, root, rows, section};

/// Names of public types that must exist, or this does not compile.
macro_rules! names {
    ($($module:ident::$name:ident),*) => {
        $(#[allow(unused_imports)] use peerbeat::$module::$name;)*
        const NAMES: &[&str] = &[$(concat!(stringify!($module), "::", stringify!($name))),*];
    };
}

names!(node::Node, link::Link, protocol::Framing, connection::Connection, liveness::Liveness);

#[test]
fn it_can_be_read_in_one_sitting() {
    let words = readme().split_whitespace().count();
    assert!((1400..=1800).contains(&words), "{words} words");
}

#[test]
fn its_two_commands_are_the_ones_of_the_gate() {
    let readme = readme();
    let lines = blocks(&readme, "sh")[0].lines().map(|line| line.split('#').next().unwrap().trim());
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines, ["cargo run --release -- demo", "cargo test"]);
    let Some(gate) = read_in_checkout(".ci/run") else { return };
    let (_, fresh) = gate.split_once("in a fresh clone").unwrap();
    assert!(fresh.contains("\ncargo run --release --quiet -- demo\ncargo test\n"), "{fresh}");
}

#[test]
fn the_rust_version_is_the_manifests() {
    let manifest = read(Path::new("Cargo.toml"));
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = "));
    let words = format!("need Rust {} or later", version.unwrap().trim_matches('"'));
    assert!(readme().contains(&words), "README does not say {words:?}");
}

#[test]
fn nothing_but_std_is_needed() {
    assert!(readme().contains("no dependency but std"));
    let manifest = read(Path::new("Cargo.toml"));
    let tables = manifest.lines().filter(|line| line.starts_with('['));
    let tables = tables.filter(|table| table.contains("dependencies"));
    let (for_tests, needed): (Vec<_>, Vec<_>) =
        tables.partition(|table| table.starts_with("[dev-dependencies"));
    assert_eq!((for_tests.len(), needed), (1, Vec::new()));
}

#[test]
fn the_machines_that_it_names_have_rows() {
    let readme = readme();
    let Some(machines) = read_in_checkout(".ci/machines") else { return };
    let (_, rest) = readme.split_once("Everything is measured on Linux.").unwrap();
    let claim = rest.split("\n\n").next().unwrap();
    let runs = [("Windows (under Wine)", "windows"), ("musl", "musl"), ("i686", "i686")];
    let runs = runs.into_iter().chain([("aarch64", "aarch64")]);
    let compiles = [("macOS", "macos"), ("FreeBSD", "freebsd")];
    for (name, row) in runs.chain(compiles) {
        assert!(claim.contains(name), "{claim}");
        let (_, body) = machines.split_once(&format!("\nrow_{row}() {{")).expect(row);
        let body = body.split("\n}").next().unwrap();
        let is_run = !compiles.iter().any(|(_, compiled)| *compiled == row);
        assert_eq!(body.contains("compiles, is not run"), !is_run, "{row}: {body}");
    }
}

#[test]
fn links_lead_to_files() {
    let readme = readme();
    let targets = readme.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    let targets: Vec<&str> = targets.collect();
    assert!(targets.len() > 10, "{targets:?}");
    // Two folders are not in a package.
    let is_checkout = root().join(".ci").exists();
    for target in targets {
        let is_packed = !target.starts_with(".github") && !target.starts_with("tests/compare");
        assert!(!is_packed && !is_checkout || root().join(target).exists(), "{target}");
    }
}

#[test]
fn the_levels_and_their_examples_exist() {
    let readme = readme();
    let text = section(&readme, "Which level");
    let named = rows(text);
    let named: Vec<&str> = named.iter().flatten().flat_map(|cell| quoted(cell)).collect();
    assert_eq!(named, NAMES);
    for (word, file) in [
        ("STOMP", "stomp"),
        ("SoupBinTCP", "soupbintcp"),
        ("FIX", "fix"),
        ("IEC 60870-5-104", "iec104"),
        ("many sockets in one thread", "poll"),
    ] {
        assert!(text.contains(word), "{text}");
        assert!(root().join(format!("tests/examples/{file}.rs")).exists(), "{file}");
    }
}

#[test]
fn every_reason_is_in_the_table_and_no_other() {
    let readme = readme();
    let header = read(Path::new("src/ffi/peerbeat.h"));
    let named =
        header.split("    PEERBEAT_DOWN_").skip(1).filter_map(|rest| rest.split_once(" = "));
    let reasons: BTreeSet<String> =
        named.map(|(name, _)| name.to_lowercase().replace('_', "-")).collect();
    assert!(reasons.len() >= 8, "{reasons:?}");
    let rows = rows(section(&readme, "When a peer goes down"));
    let listed: BTreeSet<String> = rows.iter().map(|row| row[0].trim_matches('`').into()).collect();
    assert_eq!(listed, reasons);
}

/// The median of a contender, by the first words of its row, under a title of RESULTS.md.
fn median(results: &str, title: &str, contender: &str) -> f64 {
    let (_, table) = results.split_once(&format!(": {title}\n")).expect(title);
    let table = rows(table.split("\n### ").next().unwrap());
    let row = table.into_iter().find(|row| row[0].starts_with(contender));
    let row = row.unwrap_or_else(|| panic!("no {contender} in {title}"));
    row[1].parse().unwrap()
}

#[test]
fn its_numbers_are_the_medians_of_results() {
    let readme = readme();
    let Some(results) = read_in_checkout("tests/compare/RESULTS.md") else { return };
    let titles = [
        "Lateness of the verdict, limit 1 s, p50",
        "64 bytes one way, 1 thread",
        "Round trip on one core, p50",
    ];
    let rows = rows(section(&readme, "Numbers"));
    assert_eq!(rows.len(), titles.len());
    for (row, title) in rows.iter().zip(titles) {
        for (cell, contender) in row[1..].iter().zip(["peerbeat", "libzmq", "raw"]) {
            let Some(number) = cell.split(' ').next().filter(|number| !number.is_empty()) else {
                continue;
            };
            let digits = number.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            let rounded = format!("{:.digits$}", median(&results, title, contender));
            assert_eq!(number, rounded, "{title}, {contender}");
        }
    }
}

#[test]
fn most_verdicts_were_measured_within_half_a_millisecond_of_each_limit() {
    assert!(readme().contains("most verdicts come within half a millisecond"));
    let Some(results) = read_in_checkout("tests/compare/RESULTS.md") else { return };
    for limit in ["0.3 s", "1 s", "3 s"] {
        let title = format!("Lateness of the verdict, limit {limit}, p50");
        let late = median(&results, &title, "peerbeat");
        assert!(late <= 0.5, "{title}: {late} ms");
    }
}

#[test]
fn the_picture_shows_the_verdict_that_it_describes() {
    let readme = readme();
    let (_, rest) = readme.split_once("the limit of ").unwrap();
    let (limit, rest) = rest.split_once(" s,").unwrap();
    let (_, rest) = rest.split_once("is reported down, ").unwrap();
    let (late, _) = rest.split_once(" later.").unwrap();
    let picture = read(Path::new("src/silence.svg"));
    for words in [format!(">limit {limit} s<"), format!(">down: silent, {late} after the limit<")] {
        assert!(picture.contains(&words), "no {words:?}");
    }
}
