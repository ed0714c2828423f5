//! Text and numbers as people read them.
//!
//! No number goes without its unit; text of others is shown as [`Escaped`].

use std::fmt::{self, Display};
use std::time::Duration;

pub(crate) use peerbeat::protocol::Escaped;

/// A time as it was set: `7 s`, `0.25 s`.
pub(crate) struct Seconds(pub(crate) Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:09}", self.0.subsec_nanos());
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{} s", self.0.as_secs()),
            fraction => write!(f, "{}.{fraction} s", self.0.as_secs()),
        }
    }
}

/// A time as it was measured: `7.0003 s`. Cut, not rounded: a measured time never looks longer than
/// it was.
pub(crate) struct Measured(pub(crate) Duration);

impl Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths_of_ms = self.0.subsec_micros() / 100;
        write!(f, "{}.{tenths_of_ms:04} s", self.0.as_secs())
    }
}

/// A count with its word: `1 message`, `2 messages`.
pub(crate) struct Count(pub(crate) u64, pub(crate) &'static str);

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_no_needless_digits() {
        let table = [
            (0, "0 s", "0.0000 s"),
            (7_000_000, "7 s", "7.0000 s"),
            (100_000, "0.1 s", "0.1000 s"),
            (1_500_399, "1.500399 s", "1.5003 s"),
        ];
        for (micros, set, measured) in table {
            let time = Duration::from_micros(micros);
            assert_eq!(Seconds(time).to_string(), set);
            assert_eq!(Measured(time).to_string(), measured);
        }
        assert_eq!(Count(1, "message").to_string(), "1 message");
        assert_eq!(Count(0, "message").to_string(), "0 messages");
    }
}
