//! Valid text that is probably not intended, and its complete warnings: `warnings.txt` holds the
//! cases.

use peerbeat::config::{WarningKind, limits};

use super::*;

#[test]
fn what_is_hardly_meant_gets_advice() {
    let options = options().app_name(None);
    for (about, text, expected) in bad::cases(include_str!("warnings.txt")) {
        let config = Config::parse(text, &options);
        let config = config.unwrap_or_else(|errors| panic!("{about}: {errors}"));
        assert_eq!(warnings(&config).trim_end(), expected, "{about}");
    }
}

#[test]
fn a_thousand_warnings_are_shown_and_the_others_counted() {
    let text = "datasrc-port=1\n".repeat(1234);
    let config = parse(&text);
    assert_eq!(config.warnings().len(), limits::MAX_REPORTED + 1);
    let last = config.warnings().last().expect("a warning");
    assert_eq!(last.to_string(), "<text>:1000: warnings: 234 more are not shown");
    assert!(matches!(last.kind(), WarningKind::Omitted { count: 234, .. }));
}
