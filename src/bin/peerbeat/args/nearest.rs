//! Suggests the word that was probably meant.
//!
//! Two words are near if one or two typing mistakes separate them: a letter too many, one missing,
//! a wrong one, or two swapped.

/// The nearest of `all`; `None` if nothing is near enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, all: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Text from outside may be long, and no word here is.
    if word.len() > WORD_MAX {
        return None;
    }
    let bare = word.trim_start_matches('-').to_lowercase();
    let all: Vec<&str> = all.into_iter().collect();
    let begins = |near: &&&str| near.trim_start_matches('-').starts_with(&bare);
    if let Some(found) = all.iter().find(begins).filter(|_| bare.len() >= 2) {
        return Some(found);
    }
    let slips = |near: &str| distance(&bare, near.trim_start_matches('-'));
    let found = all.into_iter().min_by_key(|near| slips(near))?;
    let allowed = if bare.chars().count() <= 3 { 1 } else { 2 };
    (slips(found) <= allowed).then_some(found)
}

/// How many slips lie between two words (the restricted Damerau-Levenshtein distance).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let other = usize::from(a[i - 1] != b[j - 1]);
                    let least = rows[i - 1][j - 1] + other;
                    let least = least.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if swapped { least.min(rows[i - 2][j - 2] + 1) } else { least }
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

const WORD_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_fingers_find_the_word() {
        let words = ["demo", "run", "check", "top", "picture", "probe", "cable"];
        let table = [
            ("chekc", Some("check")),
            ("rum", Some("run")),
            ("rnu", Some("run")),
            ("pic", Some("picture")),
            ("RUN", Some("run")),
            ("prob", Some("probe")),
            ("fly", None),
            ("monitor", None),
            ("", None),
        ];
        for (word, near) in table {
            assert_eq!(nearest(word, words), near, "{word}");
        }
        assert_eq!(nearest("--ecoh", ["--json", "--echo"]), Some("--echo"));
        assert_eq!(nearest(&"x".repeat(1 << 20), words), None);
    }
}
