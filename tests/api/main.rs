//! The list of public items, kept as a file so that every change of it shows in a diff.
//!
//! `unreachable_pub` is denied, so what is written `pub` is what a user can reach: the items are
//! read off the source, and `sim` and everything else count alike; the C functions do not. After an
//! intended change, `PEERBEAT_API=write cargo test --test api` writes the list again.

// A test that cannot go on says so by panicking.
#![allow(clippy::unwrap_used)]

mod docs;

use std::fs;
use std::path::{Path, PathBuf};

const KINDS: [&str; 10] = [
    "mod ",
    "use ",
    "struct ",
    "enum ",
    "trait ",
    "type ",
    "const ",
    "fn ",
    "unsafe fn ",
    "static ",
];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.file_name().unwrap().to_str().unwrap() {
            "bin" | "ffi" => {}
            _ if path.is_dir() => sources(&path, into),
            name if name.ends_with(".rs") => into.push(path),
            _ => {}
        }
    }
}

/// The public items of a file, one a line: what owns them and their first line.
fn items(text: &str) -> Vec<String> {
    let mut owner = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        if line == "mod tests {" {
            break;
        }
        let item = line.trim_start();
        if item.len() == line.len() {
            let header = item.strip_prefix("pub ").unwrap_or(item);
            let is_owner = ["impl", "struct ", "enum ", "trait "].iter();
            if is_owner.clone().any(|kind| header.starts_with(kind)) {
                owner = header.trim_end_matches(" {").to_owned();
            }
        }
        let Some(rest) = item.strip_prefix("pub ") else { continue };
        let rest = rest.trim_end_matches(['{', ' ', ',']);
        let is_item = KINDS.iter().any(|kind| rest.starts_with(kind));
        match item.len() == line.len() {
            true => found.push(rest.to_owned()),
            false if is_item || rest.contains(": ") => found.push(format!("{owner} / {rest}")),
            false => {}
        }
    }
    found
}

/// The files of the library but for the C functions: their names under src, and what they hold.
fn files() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&src, &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&src).unwrap().display().to_string().replace('\\', "/");
        (name, fs::read_to_string(&path).unwrap())
    };
    paths.into_iter().map(read).collect()
}

fn public() -> String {
    let mut list = String::new();
    for (name, text) in files() {
        for item in items(&text) {
            list += &format!("{name}: {item}\n");
        }
    }
    list
}

#[test]
fn the_public_items_are_those_of_the_list() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/public.txt");
    let now = public();
    if std::env::var("PEERBEAT_API").is_ok_and(|value| value == "write") {
        fs::write(&path, &now).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (now, kept) = (lines(&now), lines(&kept));
    let gone: Vec<_> = kept.iter().filter(|item| !now.contains(item)).collect();
    let new: Vec<_> = now.iter().filter(|item| !kept.contains(item)).collect();
    assert!(gone.is_empty() && new.is_empty(), "\ngone: {gone:#?}\nnew: {new:#?}");
    assert!(now.len() > 500, "{} items: the sources were not read", now.len());
}

/// The name of the type that a line of the list declares; its fields and methods declare none.
fn declared(line: &str) -> Option<&str> {
    let (_, item) = line.split_once(": ")?;
    let kinds = ["struct ", "enum ", "trait ", "type ", "union "];
    let name = kinds.iter().find_map(|kind| item.strip_prefix(kind))?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    (!item.contains(" / ")).then_some(&name[..end])
}

/// The names that two types of the list share; a type that is re-exported is declared once.
fn shared_names(list: &str) -> Vec<&str> {
    let mut names: Vec<_> = list.lines().filter_map(declared).collect();
    names.sort_unstable();
    let mut shared: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    shared.dedup();
    shared.into_iter().map(|pair| pair[0]).collect()
}

#[test]
fn no_two_public_types_share_a_name() {
    let list = public();
    assert!(list.lines().filter_map(declared).count() > 80, "the types were not read");
    assert!(shared_names(&list).is_empty(), "{:?}", shared_names(&list));
    let two = "a.rs: struct Options<'a>\na.rs: struct Options<'a> / b: u8\n\
        b.rs: enum Options\nc.rs: struct OptionsOfC(u8);\nd.rs: use a::Options;\n";
    assert_eq!(shared_names(two), ["Options"]);
}
