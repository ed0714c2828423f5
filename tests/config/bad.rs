//! Text that is wrong, and every word of what is said about it: `bad.txt` holds the cases.

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
fn every_mistake_is_named_with_place_item_found_and_allowed() {
    for (about, text, expected) in cases(include_str!("bad.txt")) {
        assert_eq!(errors(text, &options()), expected, "{about}");
    }
}
