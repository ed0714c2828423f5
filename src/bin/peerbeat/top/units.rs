//! Numbers in five columns or fewer.
//!
//! Cut rather than rounded up: a silence never looks longer than it is.

use std::time::Duration;

/// `128us`, `2.1ms`, `0.31s`, `1.50s`, `14s`, `12m`, `3h`, `40d`.
pub(crate) fn span(time: Duration) -> String {
    let (micros, seconds) = (time.as_micros(), time.as_secs());
    match (micros, seconds) {
        (0, _) => "0".to_owned(),
        (1..1_000, _) => format!("{micros}us"),
        (1_000..10_000, _) => format!("{}.{}ms", micros / 1000, micros / 100 % 10),
        (10_000..100_000, _) => format!("{}ms", micros / 1000),
        (_, 0..10) => format!("{seconds}.{:02}s", time.subsec_millis() / 10),
        (_, 10..100) => format!("{seconds}s"),
        (_, 100..6_000) => format!("{}m", seconds / 60),
        (_, 6_000..172_800) => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `0`, `999`, `1.2k`, `64k`, `3.1M`, `2.0G`.
pub(crate) fn amount(count: f64) -> String {
    let mut rest = count;
    for unit in ["", "k", "M", "G", "T"] {
        if rest < 1000.0 || unit == "T" {
            return match unit {
                "" => format!("{}", rest.trunc()),
                _ if rest < 10.0 => format!("{:.1}{unit}", (rest * 10.0).trunc() / 10.0),
                _ => format!("{}{unit}", rest.trunc()),
            };
        }
        rest /= 1000.0;
    }
    String::new()
}

/// `3 h 12 min`, `12 min 5 s`, `5 s`.
pub(crate) fn long(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..172_800 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_columns_are_enough() {
        let table = [
            (0, "0"),
            (999, "999us"),
            (1_250, "1.2ms"),
            (99_999, "99ms"),
            (100_000, "0.10s"),
            (1_319_999, "1.31s"),
            (14_900_000, "14s"),
            (99_000_000, "99s"),
            (120_000_000, "2m"),
            (7_200_000_000, "2h"),
            (172_800_000_000, "2d"),
        ];
        for (micros, text) in table {
            assert_eq!(span(Duration::from_micros(micros)), text);
        }
        for (count, text) in [(0.0, "0"), (999.9, "999"), (1_250.0, "1.2k"), (64_000.0, "64k")] {
            assert_eq!(amount(count), text);
        }
        assert_eq!(amount(3_199_999.0), "3.1M");
        assert!(amount(u64::MAX as f64).len() < 12);
        assert_eq!(long(Duration::from_secs(11_520)), "3 h 12 min");
    }
}
