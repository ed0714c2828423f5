//! What was measured, as text, Markdown and bars.

use std::fmt::{self, Write};
use std::{fs, io};

use crate::common::table::digits;
use crate::common::{Spread, Table};
use crate::svg;

/// One row of the table: several contenders at the same work.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    /// The number of the row.
    pub(crate) row: &'static str,
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) more_is_better: bool,
    pub(crate) target: &'static str,
    /// Each contender's figures in the order of the rounds.
    pub(crate) figures: Vec<(String, Vec<f64>)>,
}

impl Section {
    /// The ratios of peerbeat's figures to another's, round by round.
    pub(crate) fn ratio_to(&self, other: &[f64]) -> Spread {
        let ours = self.figures.iter().find(|(name, _)| name == OURS);
        let ours = ours.map_or(&[][..], |(_, figures)| figures);
        Spread::of(ours.iter().zip(other).map(|(a, b)| a / b))
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let better = if self.more_is_better { "more" } else { "less" };
        writeln!(f, "\n### Row {}: {}\n", self.row, self.title)?;
        writeln!(f, "In {}, {better} is better. Target: {}.\n", self.unit, self.target)?;
        let mut table = Table::new(["contender", "median", "least", "most", "peerbeat / it"]);
        for (name, figures) in &self.figures {
            let spread = Spread::of(figures.iter().copied());
            table.row([
                name.clone(),
                digits(spread.median),
                digits(spread.least),
                digits(spread.most),
                self.ratio_to(figures).to_string(),
            ]);
        }
        write!(f, "{table}")
    }
}

/// Writes `RESULTS.md` and `results.svg` into `folder`.
pub(crate) fn write(folder: &str, sections: &[Section], rounds: usize) -> io::Result<()> {
    let mut text = String::from("# peerbeat and others, in one run\n\n");
    let _infallible = writeln!(
        text,
        "Written by `cargo run --release` in `tests/compare`. {}\n\n\
         Medians of {rounds} rounds in which the contenders took turns, and their ranges; ratios are\n\
         made inside a round. Both ends in one process over loopback TCP (idle links: two), messages of\n\
         64 bytes unless said, heartbeats on if there are any; all receivers make the same checks.\n\
         What each library was given to do is described at the top of its file in `src/rivals`.\n\n\
         ![bars](results.svg)",
        machine()
    );
    for section in sections {
        let _infallible = write!(text, "{section}");
    }
    fs::write(format!("{folder}/RESULTS.md"), text)?;
    fs::write(format!("{folder}/results.svg"), svg::chart(sections))
}

/// Puts sections that were measured by themselves into the `RESULTS.md` of `folder`: each in the
/// place of the one with its title, or at the end. The bars stay those of the last whole run.
pub(crate) fn renew(folder: &str, sections: &[Section], _: usize) -> io::Result<()> {
    let path = format!("{folder}/RESULTS.md");
    let text = fs::read_to_string(&path)?;
    let mut parts: Vec<String> = text.split(HEADING).map(str::to_owned).collect();
    for section in sections {
        let rounds = section.figures.first().map_or(0, |(_, figures)| figures.len());
        let note = format!("Measured by itself, in {rounds} rounds. Target:");
        let text = section.to_string().replacen("Target:", &note, 1);
        let text = text.trim_start_matches(HEADING).to_owned();
        let title = text.lines().next().unwrap_or_default();
        match parts.iter_mut().find(|part| part.lines().next() == Some(title)) {
            Some(part) => *part = text,
            None => parts.push(text),
        }
    }
    fs::write(path, parts.join(HEADING))
}

/// The machine and the versions in one sentence.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let (major, minor, patch) = zmq::version();
    format!(
        "{cores} cores ({}), Linux {}, libzmq {major}.{minor}.{patch}; the others as in Cargo.lock.",
        model.trim_start_matches([' ', '\t', ':']),
        kernel.trim(),
    )
}

const HEADING: &str = "\n### ";

/// What we are called in a section.
pub(crate) const OURS: &str = "peerbeat";
