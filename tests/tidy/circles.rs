//! No two files of a module import each other, directly or through others.
//!
//! A module's `mod.rs` names all of its files and is left out: what it re-exports, files import
//! from the file that defines it.

use std::collections::{BTreeMap, BTreeSet};

use super::paths;
use super::source::Source;

pub(super) fn circles(sources: &[Source]) -> Vec<String> {
    let files: BTreeSet<_> = sources.iter().map(|source| module(&source.path)).collect();
    let mut imports: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.path.ends_with("/mod.rs")) {
        let own = module(&source.path);
        for named in paths::all(source) {
            let found = target(&own, &named.parts).filter(|other| files.contains(other));
            if let Some(other) = found.filter(|other| *other != own) {
                imports.entry(own.clone()).or_default().entry(other).or_insert(named.line);
            }
        }
    }
    let mut complaints = Vec::new();
    for source in sources {
        let own = module(&source.path);
        for (other, line) in imports.get(&own).into_iter().flatten() {
            if reaches(&imports, other, &own) {
                let what = format!("imports {other}, which leads back here");
                complaints.push(source.complain(*line, &what));
            }
        }
    }
    complaints
}

/// `src/link/reader.rs` is `link::reader`, and so is `src/link/reader/mod.rs`.
fn module(path: &str) -> String {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    path.replace('/', "::")
}

/// The file that a path leads into, if it stays in the module of the file that names it.
fn target(own: &str, parts: &[String]) -> Option<String> {
    let own: Vec<_> = own.split("::").collect();
    let (&module, inside) = own.split_first()?;
    match parts.first()?.as_str() {
        "crate" if parts.get(1)? == module => Some(format!("{module}::{}", parts.get(2)?)),
        "super" => {
            let up = parts.iter().take_while(|part| *part == "super").count();
            let above = inside.len().checked_sub(up)?;
            let base: Vec<_> = [module].iter().chain(&inside[..above]).copied().collect();
            Some(format!("{}::{}", base.join("::"), parts.get(up)?))
        }
        _ => None,
    }
}

fn reaches(imports: &BTreeMap<String, BTreeMap<String, usize>>, from: &str, to: &str) -> bool {
    let (mut seen, mut next) = (BTreeSet::from([from]), vec![from]);
    while let Some(file) = next.pop() {
        if file == to {
            return true;
        }
        let others = imports.get(file).into_iter().flat_map(BTreeMap::keys);
        next.extend(others.map(String::as_str).filter(|other| seen.insert(other)));
    }
    false
}
