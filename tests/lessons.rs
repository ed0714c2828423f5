//! Problems of other libraries, and the tests that prevent them here.
//!
//! `lessons.md` is the list: under the number by which sources and tests name it (`lesson 20`) the
//! tests that pin it, or why none can. The tests below check the list.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use source::Source;

// Of both files a part is used here; `tidy` uses them whole.
#[allow(dead_code)]
#[path = "tidy/lessons.rs"]
mod named;
#[allow(dead_code)]
#[path = "tidy/source.rs"]
mod source;

const LAST: u32 = 77;
const CANNOT: &str = "cannot apply: ";

/// An item of the list.
#[derive(Debug)]
struct Lesson {
    number: u32,
    words: String,
    /// Files and tests.
    places: Vec<(String, String)>,
    /// Further remarks.
    note: String,
}

/// The items of a list in Markdown: a numbered line each, and lines of its own below that.
fn lessons(text: &str) -> Vec<Lesson> {
    let mut lessons: Vec<Lesson> = Vec::new();
    for line in text.lines() {
        let head =
            line.split_once(". ").and_then(|(number, words)| Some((number.parse().ok()?, words)));
        if let Some((number, words)) = head {
            let (words, places, note) = (words.to_owned(), Vec::new(), String::new());
            lessons.push(Lesson { number, words, places, note });
        } else if let (Some(lesson), Some(own)) = (lessons.last_mut(), line.strip_prefix("    ")) {
            let own = own.trim_start_matches(['-', ' ']);
            let place = own.strip_prefix('`').and_then(|own| own.strip_suffix('`'));
            match place.and_then(|place| place.split_once(".rs::")) {
                Some((file, test)) => lesson.places.push((format!("{file}.rs"), test.to_owned())),
                None => lesson.note += own,
            }
        }
    }
    lessons
}

/// What is wrong with the numbers and words of a list, whatever the files hold.
fn gaps(lessons: &[Lesson]) -> Vec<String> {
    let numbers: Vec<u32> = lessons.iter().map(|lesson| lesson.number).collect();
    let mut wrong = Vec::new();
    if numbers != (1..=LAST).collect::<Vec<_>>() {
        wrong.push(format!("the numbers are not 1 to {LAST}, each once, in order: {numbers:?}"));
    }
    for lesson in lessons {
        let why = lesson.note.strip_prefix(CANNOT).unwrap_or_default();
        if lesson.places.is_empty() && why.len() < 10 {
            let number = lesson.number;
            wrong.push(format!("lesson {number}: no test, and no reason why it cannot apply"));
        }
        if lesson.words.split_whitespace().count() > 14 {
            wrong.push(format!("lesson {}: many words", lesson.number));
        }
    }
    wrong
}

/// What is wrong with a place: the file has no such test, or the test does not say the number.
fn complaint(source: &Source, test: &str, number: u32) -> Option<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    let Some(function) = source.functions().into_iter().find(|function| function.name == test)
    else {
        return Some(format!("{}: lesson {number}: no fn {test}", source.path));
    };
    let is_head = |line: &&&str| line.trim_start().starts_with(['#', '/']);
    let above = lines[..function.line - 1].iter().rev().take_while(is_head).count();
    let first = function.line - 1 - above;
    if !lines[first..function.line - 1].iter().any(|line| line.trim() == "#[test]") {
        return Some(format!("{}: lesson {number}: {test} is no test", source.path));
    }
    let mut own = lines[first..function.line - 1 + function.lines].iter();
    let says = own.any(|line| named::numbers(line).contains(&number));
    (!says).then(|| format!("{}: {test} does not say `// lesson {number}`", source.path))
}

fn read(path: &str) -> Option<Source> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()?;
    Some(Source::new(path, &text))
}

#[test]
fn every_lesson_is_pinned_by_a_test_that_says_its_number_or_says_why_not() {
    let lessons = lessons(include_str!("lessons.md"));
    let mut wrong = gaps(&lessons);
    for lesson in &lessons {
        for (file, test) in &lesson.places {
            match read(file) {
                Some(source) => wrong.extend(complaint(&source, test, lesson.number)),
                None => wrong.push(format!("lesson {}: no file {file}", lesson.number)),
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_list_with_gaps_is_seen() {
    let place = "    - `tests/a.rs::b`";
    let whole: Vec<String> = (1..=LAST).map(|number| format!("{number}. Words\n{place}")).collect();
    assert_eq!(gaps(&lessons(&whole.join("\n"))), [""; 0]);
    let with = |number: usize, lines: &str| {
        let mut items = whole.clone();
        items[number - 1] = lines.to_owned();
        gaps(&lessons(&items.join("\n"))).len()
    };
    assert_eq!(with(7, "7. Words\n    - cannot apply: there is nothing\n      of the kind"), 0);
    assert_eq!(with(7, &format!("8. Words\n{place}")), 1, "a number twice");
    assert_eq!(with(77, ""), 1, "a number missing");
    assert_eq!(with(7, "7. Words\n    - some day"), 1, "no test");
    assert_eq!(with(7, "7. Words\n    - cannot apply: "), 1, "no reason");
    assert_eq!(with(7, &format!("7. {}\n{place}", "word ".repeat(15))), 1);
}

#[test]
fn a_place_that_does_not_pin_its_lesson_is_seen() {
    let text = [
        "// lesson 1\n#[test]\nfn one() {}\n",
        "#[test]\nfn two() {\n    // lessons 2, 3\n}\n",
        "// lesson 4\nfn helper() {}\n",
    ];
    let source = Source::new("tests/a.rs", &text.join("\n"));
    for (test, number) in [("one", 1), ("two", 2), ("two", 3)] {
        assert_eq!(complaint(&source, test, number), None);
    }
    for (test, number) in [("one", 2), ("two", 1), ("two", 4), ("helper", 4), ("three", 1)] {
        assert!(complaint(&source, test, number).is_some(), "{test} does not pin {number}");
    }
}
