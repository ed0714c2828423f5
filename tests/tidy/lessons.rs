//! The places that pin each lesson: `lesson 12` or `lessons 7, 33` in a comment.

use std::collections::BTreeMap;

use super::source::Source;

/// The lessons there are.
const LAST: u32 = 77;

/// From the number of a lesson to the places that name it.
pub(super) fn table(sources: &[Source]) -> BTreeMap<u32, Vec<String>> {
    let mut table: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for source in sources {
        let lines: Vec<&str> = source.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            for number in numbers(&joined(line, lines.get(index + 1).unwrap_or(&""))) {
                table.entry(number).or_default().push(format!("{}:{}", source.path, index + 1));
            }
        }
    }
    table
}

/// The line, with the next one if that has the number.
fn joined(line: &str, next: &str) -> String {
    let line = line.trim_end();
    match line.ends_with("lesson") || line.ends_with("lessons") {
        true => format!("{line} {}", next.trim_start_matches(['/', '!', ' '])),
        false => line.to_owned(),
    }
}

/// The numbers that follow the word in a comment, with commas or `and` between them.
pub(super) fn numbers(line: &str) -> Vec<u32> {
    let Some((_, comment)) = line.split_once("//") else { return Vec::new() };
    let mut found = Vec::new();
    for (at, _) in comment.match_indices("lesson") {
        let rest = comment[at + "lesson".len()..].trim_start_matches('s');
        for word in rest.split([' ', ',']).filter(|word| !word.is_empty() && *word != "and") {
            let digits = word.trim_end_matches([')', '.', ':', ';', '`']);
            let Ok(number) = digits.parse() else { break };
            found.push(number);
            if digits.len() < word.len() {
                break;
            }
        }
    }
    found
}

pub(super) fn unknown(table: &BTreeMap<u32, Vec<String>>) -> Vec<String> {
    let strange = table.iter().filter(|(number, _)| !(1..=LAST).contains(*number));
    strange.map(|(number, places)| format!("{}: no lesson {number}", places.join(" "))).collect()
}

pub(super) fn missing(table: &BTreeMap<u32, Vec<String>>) -> Vec<u32> {
    (1..=LAST).filter(|number| !table.contains_key(number)).collect()
}
