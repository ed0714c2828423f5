//! Two links of this process on one connection, each sending the other numbered messages.
//!
//! What was accepted is compared with what arrived and with what the reports of the ends count: a
//! message may be missing only if a connection was destroyed, and only at its end.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use peerbeat::link::{Down, DownReason, Link, LinkEvent, LinkHandler, LinkOptions, SendError};
use peerbeat::protocol::Native;

use crate::common::PATIENCE;
use crate::rig::ms;
use crate::table::Row;
use crate::tally::{Tally, numbered};

/// How a link is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    /// Bytes of a message; 0 = none are sent.
    pub(crate) size: usize,
    /// The rest after each message.
    pub(crate) every: Duration,
    /// How long the handler takes for each message.
    pub(crate) handling: Duration,
}

impl Use {
    /// A small message now and then.
    pub(crate) const LIGHT: Self = Self { size: 100, every: ms(10), handling: Duration::ZERO };
    /// Nothing but heartbeats.
    pub(crate) const IDLE: Self = Self { size: 0, every: ms(10), handling: Duration::ZERO };
}

/// One link, its numbered messages, and its end.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) link: Link,
    pub(crate) port: u16,
    pub(crate) tally: Arc<Tally>,
    downs: Receiver<(Instant, Down)>,
    stop: Arc<AtomicBool>,
    sender: Option<JoinHandle<u64>>,
}

struct Counting {
    tally: Arc<Tally>,
    handling: Duration,
    to: Sender<(Instant, Down)>,
}

impl LinkHandler for Counting {
    fn on_message(&mut self, _: &Link, payload: &[u8]) {
        self.tally.add(payload, false);
        if !self.handling.is_zero() {
            thread::sleep(self.handling);
        }
    }

    fn on_event(&mut self, _: &Link, event: &LinkEvent) {
        if let LinkEvent::Down(down) = event {
            let _nobody_waits = self.to.send((Instant::now(), down.clone()));
        }
    }
}

/// Sends until `stop` is set or the link ends; returns how many messages were accepted.
fn send(link: &Link, stop: &AtomicBool, size: usize, every: Duration) -> u64 {
    let mut accepted = 0;
    while !stop.load(Ordering::Relaxed) {
        match link.send_timeout(&numbered(accepted, size), ms(50)) {
            Ok(()) => accepted += 1,
            Err(SendError::TimedOut | SendError::Full) => {}
            Err(_) => break,
        }
        if !every.is_zero() {
            thread::sleep(every);
        }
    }
    accepted
}

impl End {
    pub(crate) fn start(stream: TcpStream, options: &LinkOptions, used: Use) -> Self {
        let port = stream.local_addr().unwrap().port();
        let tally = Arc::new(Tally::default());
        let (to, downs) = mpsc::channel();
        let handler = Counting { tally: Arc::clone(&tally), handling: used.handling, to };
        let link = Link::start_with(stream, Native::default(), options, handler).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let sender = (used.size > 0).then(|| {
            let (link, stop) = (link.clone(), Arc::clone(&stop));
            thread::spawn(move || send(&link, &stop, used.size, used.every))
        });
        Self { link, port, tally, downs, stop, sender }
    }

    /// Waits for the end and judges it: for one of these reasons, not early, and at the latest
    /// `due` after the fault, silence after the limit. Returns the account.
    pub(crate) fn judge(
        &self,
        row: &mut Row,
        fault: Instant,
        words: &[&str],
        due: Duration,
    ) -> Option<Down> {
        let Ok((at, down)) = self.downs.recv_timeout(PATIENCE) else {
            row.wrong.push(format!("no verdict in {PATIENCE:?}"));
            return None;
        };
        let limit = down.limit.unwrap_or_default();
        let late = match &down.reason {
            DownReason::Silent => at
                .saturating_duration_since(fault + limit.max(due))
                .max(down.silence.saturating_sub(limit)),
            DownReason::WriteStalled { pending } => pending.saturating_sub(limit),
            _ => at.saturating_duration_since(fault + due),
        };
        row.add_verdict(late);
        let early = match &down.reason {
            DownReason::Silent => down.silence < limit,
            DownReason::WriteStalled { pending } => *pending < limit,
            _ => false,
        };
        if at < fault || early || !words.contains(&down.reason.as_str()) {
            row.wrong.push(format!(
                "{:?} before the fault, {down:?}",
                fault.saturating_duration_since(at)
            ));
        }
        Some(down)
    }

    /// Ends sending and returns how many messages were accepted.
    pub(crate) fn finish(&mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.take().map_or(0, |sender| sender.join().unwrap())
    }
}

/// Both ends of a connection.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) ends: [End; 2],
}

impl Pair {
    pub(crate) fn start(streams: (TcpStream, TcpStream), options: &LinkOptions, used: Use) -> Self {
        Self::with(streams, options, [used, used])
    }

    pub(crate) fn with(
        streams: (TcpStream, TcpStream),
        options: &LinkOptions,
        used: [Use; 2],
    ) -> Self {
        let [one, two] = used;
        let ends = [End::start(streams.0, options, one), End::start(streams.1, options, two)];
        Self { ends }
    }

    /// Adds up the messages of both directions, once both ends have their accounts.
    pub(crate) fn settle(mut self, row: &mut Row, downs: [Option<Down>; 2]) {
        let sent = self.finish();
        for from in [0, 1] {
            let to = &self.ends[1 - from].tally;
            let unsent = downs[from].as_ref().map_or(0, |down| down.unsent_frames);
            row.add_messages(sent[from], to.received(), unsent);
            row.lost += to.lost();
            row.doubled += to.doubled();
        }
    }

    /// Ends pairs that must have survived: what was accepted arrives, then they are closed.
    pub(crate) fn survive(row: &mut Row, mut pairs: Vec<Self>) {
        for end in pairs.iter().flat_map(|pair| &pair.ends) {
            end.stop.store(true, Ordering::Relaxed);
        }
        for pair in &mut pairs {
            row.tried += 1;
            let sent = pair.finish();
            let until = Instant::now() + PATIENCE;
            while !pair.has_all(&sent) && pair.is_up() && Instant::now() < until {
                thread::sleep(ms(2));
            }
            let downs: Vec<Down> =
                pair.ends.iter().filter_map(|end| Some(end.downs.try_recv().ok()?.1)).collect();
            match downs[..] {
                [] => row.detected += 1,
                _ => row.wrong.push(format!("a healthy link ended: {downs:?}")),
            }
            pair.close(row, &sent);
        }
    }

    fn finish(&mut self) -> [u64; 2] {
        let [one, two] = &mut self.ends;
        [one.finish(), two.finish()]
    }

    fn is_up(&self) -> bool {
        self.ends.iter().all(|end| end.link.is_up())
    }

    fn has_all(&self, sent: &[u64; 2]) -> bool {
        [0, 1].iter().all(|&from| self.ends[1 - from].tally.received() == sent[from])
    }

    /// Closes what has delivered all, and adds its messages up.
    fn close(&self, row: &mut Row, sent: &[u64; 2]) {
        self.ends[0].link.close();
        for end in &self.ends {
            let down = end.downs.recv_timeout(PATIENCE).ok();
            if down.is_some_and(|(_, down)| down.unsent_frames > 0) {
                row.wrong.push("unsent messages on a link that had delivered all".to_owned());
            }
        }
        for from in [0, 1] {
            let to = &self.ends[1 - from].tally;
            row.sent += sent[from];
            row.received += to.received();
            row.lost += sent[from].saturating_sub(to.received());
            row.doubled += to.doubled() + to.received().saturating_sub(sent[from]);
        }
    }
}
