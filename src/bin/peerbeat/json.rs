//! JSON as the journal writes it, and arrays of it.
//!
//! The journal's own file is compiled in here, too: its types are not public.

pub(crate) use crate::journal_json::{Object, quoted};

/// An array of values that are JSON already.
pub(crate) fn array(values: impl IntoIterator<Item = String>) -> String {
    let values: Vec<String> = values.into_iter().collect();
    format!("[{}]", values.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_commas_between_brackets() {
        assert_eq!(array([]), "[]");
        assert_eq!(array(["1".to_owned(), quoted("y")]), r#"[1,"y"]"#);
    }
}
