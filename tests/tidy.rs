//! The house rules, checked by reading the source tree.
//!
//! Each rule is a function from sources to complaints. `can_fail` gives each a source that breaks
//! it, so that no rule passes because it sees nothing. Only what git tracks is looked at: what an
//! editor or a build leaves beside it is ignored.

use std::fs;

use source::Source;

#[path = "tidy/can_fail.rs"]
mod can_fail;
#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/lessons.rs"]
mod lessons;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "common/skip.rs"]
mod skip;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tree.rs"]
mod tree;

/// Every Rust file under these folders.
fn sources(folders: &[&str]) -> Vec<Source> {
    let files = folders.iter().flat_map(|folder| files(folder));
    let rust = files.filter(|path| path.ends_with(".rs"));
    let sources: Vec<Source> = rust.map(|path| read(&path)).collect();
    let is_empty = sources.is_empty() && tree::tracked().is_some();
    assert!(!is_empty, "no sources in {folders:?}: the rules would hold for nothing");
    sources
}

fn read(path: &str) -> Source {
    let bytes = fs::read(tree::root().join(path)).expect("a file of the tree can be read");
    Source::new(path, &String::from_utf8_lossy(&bytes))
}

/// Every file that git tracks under a folder of the package, "" for all.
fn files(folder: &str) -> Vec<String> {
    let is_inside = |path: &&String| {
        let rest = path.strip_prefix(folder);
        folder.is_empty() || rest.is_some_and(|rest| rest.starts_with('/'))
    };
    tree::tracked().unwrap_or_default().iter().filter(is_inside).cloned().collect()
}

#[track_caller]
fn hold(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_module_imports_only_from_its_left() {
    hold(rules::imports(&sources(&["src"])));
}

#[test]
fn no_two_files_import_each_other() {
    hold(circles::circles(&sources(&["src"])));
}

// lessons 34, 57
#[test]
fn no_clock_thread_or_socket_below_link() {
    hold(rules::clocks(&sources(&["src"])));
}

// lesson 57
#[test]
fn no_test_of_the_core_waits_for_time_to_pass() {
    hold(rules::no_sleep(&sources(&["src", "tests"])));
}

#[test]
fn no_test_waits_without_end_for_a_connection() {
    hold(rules::no_endless_accept(&sources(&["tests"])));
}

// lesson 34
#[test]
fn only_the_command_knows_the_time_of_day() {
    hold(rules::time_of_day(&sources(&["src"])));
}

#[test]
fn unsafe_lives_in_ffi_alone() {
    hold(rules::no_unsafe(&sources(&["src"])));
}

// lesson 50
#[test]
fn every_c_function_is_inside_the_guard() {
    hold(rules::guarded(&sources(&["src"])));
}

// lesson 50
#[test]
fn nothing_writes_with_writev() {
    hold(rules::no_writev(&sources(&["src"])));
}

#[test]
fn a_poisoned_lock_is_recovered_in_one_place() {
    hold(rules::one_recovery(&sources(&["src"])));
}

#[test]
fn files_functions_and_lines_are_short() {
    let sources = sources(&["src", "tests", "fuzz"]);
    hold(rules::file_length(&sources));
    hold(rules::function_length(&sources));
    hold(rules::line_length(&sources));
}

#[test]
fn every_file_says_at_its_head_what_it_owns() {
    hold(rules::heads(&sources(&["src"])));
}

#[test]
fn the_top_level_holds_only_what_was_agreed() {
    let first = |path: String| path.split('/').next().map(str::to_owned);
    hold(rules::top_level(files("").into_iter().filter_map(first).collect()));
}

// The declared rust-version is older than they are, and no lint says so.
#[test]
fn no_chain_of_lets() {
    hold(rules::let_chains(&sources(&["src", "tests", "fuzz"])));
}

#[test]
fn no_file_refers_to_what_is_not_in_the_package() {
    let all: Vec<Source> = files("").iter().map(|path| read(path)).collect();
    assert!(all.len() > 20 || tree::tracked().is_none(), "the tree was not read");
    hold(rules::no_outside(&all));
}

#[test]
fn lessons_are_named_by_their_number() {
    let table = lessons::table(&sources(&["src", "tests"]));
    hold(lessons::unknown(&table));
    // Shown with `--nocapture`: the places that pin each lesson.
    for (number, places) in &table {
        println!("lesson {number}: {}", places.join(" "));
    }
    let missing = lessons::missing(&table);
    println!("pinned nowhere yet: {missing:?}");
}
