//! Lines written by a dedicated thread.
//!
//! Invariant: [`Output::say`] never waits for the reader of stdout. Lines that the queue cannot
//! hold are dropped whole, and one line reports how many once there is room again. A line that a
//! full disk cut short is ended before the next one begins.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{complain, stdout, write_patiently};

/// Makes the line that reports how many lines were dropped.
type DroppedLine = Box<dyn Fn(u64) -> String + Send>;

/// A bounded queue of lines and the thread that writes them to stdout.
pub(crate) struct Output {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Called for each line, for each one that was written, and at the end.
    changed: Condvar,
}

struct Line {
    text: String,
    /// How many lost lines this one reports; 0 = it is an ordinary line.
    reports: u64,
}

struct State {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Lines that found no room since the last that did.
    dropped: u64,
    dropped_ever: u64,
    /// A line is being written.
    is_writing: bool,
    /// The last line that was written was cut short.
    is_torn: bool,
    /// No more lines come.
    is_over: bool,
    /// The reader is gone, or stdout is broken: nothing more is written.
    failed: Option<io::Error>,
    /// Written lines, ever: whether the reader goes on reading.
    written: u64,
    dropped_line: DroppedLine,
}

impl Output {
    /// Starts the thread.
    ///
    /// # Errors
    /// If stdout cannot be had or there are no threads left.
    pub(crate) fn start(dropped_line: impl Fn(u64) -> String + Send + 'static) -> io::Result<Self> {
        let mut out = stdout()?;
        let shared = Arc::new(Shared::new(Box::new(dropped_line)));
        let writes = Arc::clone(&shared);
        thread::Builder::new().name("output".to_owned()).spawn(move || writes.write(&mut out))?;
        Ok(Self { shared })
    }

    /// Hands a line on, made with the queue held so that lines are in the order of their times.
    pub(crate) fn say(&self, line: impl FnOnce() -> String) {
        self.shared.say(line);
    }

    /// Whether the reader is there, as far as is known.
    pub(crate) fn has_reader(&self) -> bool {
        self.shared.lock().failed.is_none()
    }

    /// Waits until the reader is gone or `until`, whichever is first.
    pub(crate) fn wait_failed(&self, until: Instant) {
        let state = self.shared.lock();
        if state.failed.is_none() {
            drop(self.shared.wait(state, until.saturating_duration_since(Instant::now())));
        }
    }

    /// Writes what is queued, for as long as its reader goes on reading, and returns what became of
    /// the output. Complains about lines that were lost.
    pub(crate) fn finish(&self) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.is_over = true;
        self.shared.changed.notify_all();
        let (mut written, mut since) = (state.written, Instant::now());
        while state.failed.is_none() && (state.is_writing || !state.lines.is_empty()) {
            if state.written != written {
                (written, since) = (state.written, Instant::now());
            }
            let left = FINISH_MAX.saturating_sub(since.elapsed());
            if left.is_zero() {
                break;
            }
            state = self.shared.wait(state, left);
        }
        let unwritten = state.lines.len() as u64 + u64::from(state.is_writing);
        let failed = state.failed.take();
        let lost = state.dropped_ever + if failed.is_none() { unwritten } else { 0 };
        drop(state);
        if lost > 0 {
            let plural = if lost == 1 { "line" } else { "lines" };
            complain(&format_args!(
                "peerbeat: {lost} {plural} lost: stdout did not take them in time"
            ));
        }
        failed.map_or(Ok(()), Err)
    }
}

impl State {
    fn push(&mut self, line: Line) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
    }
}

impl Shared {
    fn new(dropped_line: DroppedLine) -> Self {
        Self {
            state: Mutex::new(State {
                lines: VecDeque::new(),
                bytes: 0,
                dropped: 0,
                dropped_ever: 0,
                is_writing: false,
                is_torn: false,
                is_over: false,
                failed: None,
                written: 0,
                dropped_line,
            }),
            changed: Condvar::new(),
        }
    }

    fn say(&self, line: impl FnOnce() -> String) {
        let mut state = self.lock();
        if state.failed.is_some() || state.is_over {
            return;
        }
        let mut line = line();
        line.push('\n');
        if state.bytes > 0 && state.bytes + line.len() > QUEUE_MAX {
            state.dropped += 1;
            state.dropped_ever += 1;
            return;
        }
        if state.dropped > 0 {
            let dropped = std::mem::take(&mut state.dropped);
            let text = (state.dropped_line)(dropped) + "\n";
            state.push(Line { text, reports: dropped });
        }
        state.push(Line { text: line, reports: 0 });
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    fn write(&self, out: &mut impl io::Write) {
        loop {
            let mut state = self.lock();
            while state.lines.is_empty() {
                if state.is_over {
                    return;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            // Several lines in one write if they came together, whole ones only.
            let mut text = if state.is_torn { "\n".to_owned() } else { String::new() };
            // Where each line ends, and what it reports.
            let mut ends = Vec::new();
            while text.len() < WRITE_BYTES {
                let Some(line) = state.lines.pop_front() else { break };
                state.bytes -= line.text.len();
                text.push_str(&line.text);
                ends.push((text.len(), line.reports));
            }
            state.is_writing = true;
            drop(state);
            let mut rest = text.as_bytes();
            let written = write_patiently(out, &mut rest, || true);
            let taken = text.len() - rest.len();
            let mut state = self.lock();
            state.is_writing = false;
            if taken > 0 {
                state.is_torn = text.as_bytes()[taken - 1] != b'\n';
            }
            state.written += ends.iter().filter(|(end, _)| *end <= taken).count() as u64;
            match written {
                Ok(()) => {}
                // A disk may have room again later; what comes until then is lost, and counted.
                Err(error) if error.kind() == ErrorKind::StorageFull => {
                    if state.dropped_ever == 0 {
                        complain(&format_args!("peerbeat: stdout: {error}"));
                    }
                    for (_, reports) in ends.into_iter().filter(|(end, _)| *end > taken) {
                        state.dropped += reports.max(1);
                        state.dropped_ever += u64::from(reports == 0);
                    }
                }
                Err(error) => {
                    state.failed = Some(error);
                    state.lines.clear();
                    self.changed.notify_all();
                    return;
                }
            }
            self.changed.notify_all();
        }
    }
}

/// What is queued at most, in bytes; one line always fits.
const QUEUE_MAX: usize = 4 << 20;
/// What is written at once, more or less.
const WRITE_BYTES: usize = 16 << 10;
/// How long the end waits for a reader that takes nothing.
const FINISH_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct Disk {
        holds: Vec<u8>,
        room: usize,
    }

    impl io::Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room - self.holds.len());
            if count == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.holds.extend(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_cut_by_a_full_disk_is_ended_and_what_was_lost_is_reported_once() {
        let shared = Shared::new(Box::new(|lines| format!("{lines} lost")));
        let mut disk = Disk { holds: Vec::new(), room: 17 };
        let mut say = |lines: &[&str], room: usize| {
            disk.room = room;
            let mut state = shared.lock();
            state.is_over = false;
            drop(state);
            lines.iter().for_each(|line| shared.say(|| (*line).to_owned()));
            shared.lock().is_over = true;
            shared.write(&mut disk);
            String::from_utf8(disk.holds.clone()).unwrap()
        };
        assert_eq!(say(&["line one", "line two", "line three"], 14), "line one\nline ");
        assert_eq!(say(&["line four"], 14), "line one\nline ", "the report is lost as well");
        let text = say(&["line five"], 100);
        assert_eq!(text, "line one\nline \n3 lost\nline five\n");
        assert_eq!(shared.lock().dropped_ever, 3);
    }
}
