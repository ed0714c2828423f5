//! Durations and counts as people read them, with their unit.
//!
//! The library's texts and those of the command come out alike because both use this. Imports
//! nothing; text of others is [`Escaped`](crate::protocol::Escaped).

use std::fmt::{self, Display};
use std::time::Duration;

/// Displays a duration that was configured, with no more digits than it has: `7 s`, `0.25 s`.
#[derive(Clone, Copy, Debug)]
pub struct Seconds(pub Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:09}", self.0.subsec_nanos());
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{} s", self.0.as_secs()),
            fraction => write!(f, "{}.{fraction} s", self.0.as_secs()),
        }
    }
}

/// Displays a duration that was measured, in tenths of a millisecond: `7.0003 s`.
///
/// It is cut, not rounded: a measured time never looks longer than it was.
#[derive(Clone, Copy, Debug)]
pub struct Measured(pub Duration);

impl Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths_of_ms = self.0.subsec_micros() / 100;
        write!(f, "{}.{tenths_of_ms:04} s", self.0.as_secs())
    }
}

/// Displays a count with its noun: `1 message`, `2 messages`.
#[derive(Clone, Copy, Debug)]
pub struct Count(pub u64, pub &'static str);

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}

/// Displays how many others an event represents, itself not counted: ` (and 2 more)`, or nothing.
#[derive(Clone, Copy, Debug)]
pub struct More(pub u64);

impl Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ..=1 => Ok(()),
            count => write!(f, " (and {} more)", count - 1),
        }
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
