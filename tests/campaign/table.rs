//! The figures of one fault, and the table of them all.
//!
//! A row is judged by its counts, and does not pass without them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::held::{Held, held, left_above};
use crate::rig::ms;

/// What one fault showed.
#[derive(Debug, Default)]
pub(crate) struct Row {
    name: String,
    /// Links on which the fault was tried, or that had to survive it.
    pub(crate) tried: u64,
    /// Verdicts that came, or links that survived as they should.
    pub(crate) detected: u64,
    /// Verdicts that had a time to keep, and those that came within [`IN_TIME`] of it.
    verdicts: u64,
    in_time: u64,
    /// What was early, had another reason, or hit a healthy link; each with what it was.
    pub(crate) wrong: Vec<String>,
    worst: Option<Duration>,
    /// Messages accepted for sending, and received.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Messages that the reports of the ends counted as not sent.
    pub(crate) unsent: u64,
    /// Messages that the kernel had taken and no peer read: the last ones of a connection that was
    /// destroyed.
    pub(crate) under_way: u64,
    /// Messages that are missing and in no report.
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    left: Option<Held>,
    /// Why nothing was tried.
    pub(crate) skipped: Option<String>,
    /// Lines for below the row.
    pub(crate) notes: Vec<String>,
    took: Duration,
}

/// What still counts as in time, on a machine that has other things to do.
const IN_TIME: Duration = ms(50);
/// What no verdict may take longer.
const FAR_TOO_LATE: Duration = ms(10_000);

const HEAD: &str = "\
| fault | tried | detected | in time | false | worst lateness | sent | received | unsent | \
under way | lost | doubled | leaks | took |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|";

impl Row {
    /// A row of what cannot be tried here.
    pub(crate) fn skipped(name: &str, why: String) -> Self {
        Self { name: name.to_owned(), skipped: Some(why), ..Self::default() }
    }

    /// Makes a row, and counts what is left behind.
    pub(crate) fn make(name: &str, make: fn(&mut Self)) -> Self {
        let mut row = Self { name: name.to_owned(), ..Self::default() };
        let (before, began) = (held(), Instant::now());
        let made = catch_unwind(AssertUnwindSafe(|| make(&mut row)));
        if made.is_err() {
            row.wrong.push("the row could not be finished, see above".to_owned());
        }
        row.left = Some(left_above(before, Duration::from_secs(15)));
        row.took = began.elapsed();
        row
    }

    /// Counts a verdict that came so late.
    pub(crate) fn add_verdict(&mut self, late: Duration) {
        self.detected += 1;
        self.verdicts += 1;
        self.in_time += u64::from(late <= IN_TIME);
        self.worst = self.worst.max(Some(late));
    }

    /// Counts messages that were accepted for one connection, and what came of them.
    pub(crate) fn add_messages(&mut self, sent: u64, received: u64, unsent: u64) {
        self.sent += sent;
        self.received += received;
        self.unsent += unsent;
        match sent.checked_sub(received + unsent) {
            Some(rest) => self.under_way += rest,
            None => self.doubled += received + unsent - sent,
        }
    }

    /// What is wrong with it, in words.
    fn complaints(&self) -> Vec<String> {
        let mut complaints = self.wrong.clone();
        let mut must = |holds: bool, what: String| {
            if !holds {
                complaints.push(what);
            }
        };
        must(self.tried > 0, "nothing was tried".to_owned());
        must(self.detected == self.tried, format!("{} of {}", self.detected, self.tried));
        must(self.lost == 0, format!("{} messages lost without a word", self.lost));
        must(self.doubled == 0, format!("{} messages doubled", self.doubled));
        let nothing = Some(Held { threads: 0, descriptors: 0 });
        must(self.left == nothing, format!("left behind: {:?}", self.left));
        let worst = self.worst.unwrap_or_default();
        must(worst < FAR_TOO_LATE, format!("a verdict was {worst:?} late"));
        complaints
    }

    fn print(&self) {
        if let Some(why) = &self.skipped {
            println!("| {} | skipped: {why} | | | | | | | | | | | | |", self.name);
            return;
        }
        let worst = self
            .worst
            .map_or("-".to_owned(), |worst| format!("{:.1} ms", worst.as_secs_f64() * 1000.0));
        let in_time = match self.verdicts {
            0 => "-".to_owned(),
            verdicts => format!("{} of {verdicts}", self.in_time),
        };
        let left = self.left.map_or("?".to_owned(), |left| {
            format!("{} threads, {} descriptors", left.threads, left.descriptors)
        });
        println!(
            "| {} | {} | {} | {in_time} | {} | {worst} | {} | {} | {} | {} | {} | {} | {left} | \
             {:.1} s |",
            self.name,
            self.tried,
            self.detected,
            self.wrong.len(),
            self.sent,
            self.received,
            self.unsent,
            self.under_way,
            self.lost,
            self.doubled,
            self.took.as_secs_f64(),
        );
        for note in &self.notes {
            println!("    {note}");
        }
        for complaint in self.complaints() {
            println!("    WRONG: {complaint}");
        }
    }
}

/// All rows.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    /// Adds a row and shows it.
    pub(crate) fn add(&mut self, row: Row) {
        if self.0.is_empty() {
            println!("\n{HEAD}");
        }
        row.print();
        self.0.push(row);
    }

    /// Shows the whole table and asserts what it must say.
    pub(crate) fn finish(self) {
        let (skipped, tried): (Vec<_>, Vec<_>) =
            self.0.iter().partition(|row| row.skipped.is_some());
        println!("\nSummary\n{HEAD}");
        self.0.iter().for_each(Row::print);
        let sum = |of: fn(&Row) -> u64| tried.iter().map(|row| of(row)).sum::<u64>();
        let wrong: usize = tried.iter().map(|row| row.wrong.len()).sum();
        println!(
            "\n{} rows, {} skipped. Tried {}, detected {}, false {wrong}. Messages: sent {}, \
             received {}, unsent and counted {}, under way {}, lost {}, doubled {}. In time: {} of {} \
             verdicts.",
            self.0.len(),
            skipped.len(),
            sum(|row| row.tried),
            sum(|row| row.detected),
            sum(|row| row.sent),
            sum(|row| row.received),
            sum(|row| row.unsent),
            sum(|row| row.under_way),
            sum(|row| row.lost),
            sum(|row| row.doubled),
            sum(|row| row.in_time),
            sum(|row| row.verdicts),
        );
        assert!(!tried.is_empty(), "nothing was tried");
        let complaints: Vec<String> = tried
            .iter()
            .flat_map(|row| {
                row.complaints().into_iter().map(|what| format!("{}: {what}", row.name))
            })
            .collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}
