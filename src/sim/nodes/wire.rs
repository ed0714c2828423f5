//! A node's connection in the net: as its handshake, its link and its program see it.
//!
//! Every call locks the net while it lasts; nothing of a node is called meanwhile.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::connection::{DownReason, HeartbeatChange, SendError, Stats};
use crate::link::handshake::{Greeting, HandshakeError, Side, hello_in};
use crate::link::{Explanation, LinkOptions, LinkState};
use crate::liveness::Time;
use crate::node::driven::{VirtualClock, VirtualConn, VirtualLink};
use crate::protocol::{Bye, ByeCode};
use crate::recover::Recover;
use crate::sim::end::{End, RawInput, World};
use crate::sim::net::Core;
use crate::sim::{Host, LinkId, Rng};

/// The net, as nodes and their programs share it.
pub(super) type SharedCore = Arc<Mutex<Core>>;

/// None of our code panics while it is locked, so the data behind a poisoned lock is whole.
pub(super) fn lock(core: &SharedCore) -> MutexGuard<'_, Core> {
    core.lock().recover()
}

/// One end of one connection; clones are handles on the same one.
#[derive(Clone)]
pub(super) struct Wire {
    core: SharedCore,
    pub(super) host: Host,
    pub(super) link: LinkId,
}

impl Wire {
    pub(super) fn new(core: &SharedCore, host: Host, link: LinkId) -> Self {
        Self { core: Arc::clone(core), host, link }
    }

    fn with<R>(&self, act: impl FnOnce(&mut End, &mut World<'_>) -> R) -> Option<R> {
        lock(&self.core).with_link(self.link, self.host, act)
    }

    /// What an end that has gone cannot be asked any more.
    fn ask<R>(&self, ask: impl FnOnce(&End, Time) -> R) -> Option<R> {
        self.with(|end, world| ask(end, world.now))
    }

    pub(super) fn read(&self) -> Option<RawInput> {
        lock(&self.core).read_raw(self.link, self.host)
    }

    /// The other side's HELLO, or why there is none; the socket before the clock. What was read of
    /// it is kept in `heard`.
    pub(super) fn hear(
        &self,
        heard: &mut Vec<u8>,
        side: Side,
        deadline: Time,
        now: Time,
    ) -> Option<Result<Greeting, HandshakeError>> {
        loop {
            match self.read() {
                Some(RawInput::Made) => {}
                Some(RawInput::Bytes(bytes)) => {
                    heard.extend_from_slice(&bytes);
                    if let Some(found) = hello_in(heard, side).transpose() {
                        return Some(found);
                    }
                }
                Some(RawInput::End) => return Some(Err(HandshakeError::Eof)),
                Some(RawInput::Reset) => {
                    return Some(Err(io::Error::from(io::ErrorKind::ConnectionReset).into()));
                }
                None if now >= deadline => return Some(Err(HandshakeError::TimedOut)),
                None => return None,
            }
        }
    }

    /// Writes what the kernel takes, and keeps the rest.
    pub(super) fn write(&self, left: &mut Vec<u8>) {
        let count = self.with(|end, world| end.write_raw(world, left));
        left.drain(..count.unwrap_or(left.len()));
    }

    /// Says goodbye, as far as the kernel takes it at once.
    pub(super) fn write_bye(&self, code: ByeCode, text: &str) {
        let mut bye = Vec::new();
        Bye { code, text }.encode(&mut bye);
        self.write(&mut bye);
    }

    pub(super) fn shut(&self) {
        self.with(End::shut_raw);
    }

    pub(super) fn close(&self) {
        self.with(End::close_raw);
    }

    pub(super) fn go_up(&self, options: &LinkOptions) {
        lock(&self.core).go_up(self.link, self.host, options);
    }

    /// The program holds the reader for `time`.
    pub(super) fn hold(&self, time: Duration) {
        self.with(|end, world| end.hold(world, time));
    }
}

impl VirtualConn for Wire {
    fn interrupt(&self) {
        self.with(|end, _| end.interrupt_raw());
    }

    fn refuse_at_once(&self, code: ByeCode, text: &str) {
        // A socket that is closed with bytes unread resets the connection.
        while let Some(RawInput::Made | RawInput::Bytes(_)) = self.read() {}
        self.write_bye(code, text);
        self.close();
    }
}

impl VirtualLink for Wire {
    fn send(&self, payload: &[u8]) -> Result<(), SendError> {
        self.with(|end, world| end.send(world, payload)).unwrap_or(Err(SendError::NotConnected))
    }

    fn room(&self, length: usize) -> Result<(), SendError> {
        self.with(|end, _| end.room(length)).unwrap_or(Err(SendError::NotConnected))
    }

    fn close(&self, drains: Option<Duration>) {
        self.with(|end, world| match drains {
            Some(time) => end.drain(world, time),
            None => end.close(world, false),
        });
    }

    fn end(&self, reason: DownReason, bye: Option<&Bye<'_>>) {
        self.with(|end, world| end.end_for(world, reason, bye));
    }

    fn is_up(&self) -> bool {
        self.ask(|end, _| end.is_up()).unwrap_or(false)
    }

    fn saw_end(&self) -> bool {
        self.ask(|end, _| end.saw_end()).unwrap_or(false)
    }

    fn heartbeat_time(&self) -> Option<Duration> {
        self.ask(|end, _| end.heartbeat_time()).flatten()
    }

    fn set_heartbeat_time(&self, value: Duration) -> Result<HeartbeatChange, DownReason> {
        let set = self.with(|end, world| end.set_heartbeat_time(world, value));
        set.unwrap_or(Err(DownReason::Eof))
    }

    fn set_slack(&self, slack: Duration) -> Result<(), DownReason> {
        self.with(|end, world| end.set_slack(world, slack)).unwrap_or(Err(DownReason::Eof))
    }

    fn state(&self) -> Option<LinkState> {
        self.ask(End::state)
    }

    fn stats(&self) -> Stats {
        self.ask(End::stats).unwrap_or_default()
    }

    fn explain(&self) -> Option<Explanation> {
        self.ask(End::explain)
    }
}

/// The clock and the chance of one node.
pub(super) struct NodeClock {
    now: Arc<AtomicU64>,
    chance: Mutex<Rng>,
    is_dirty: AtomicBool,
}

impl NodeClock {
    pub(super) fn new(now: &Arc<AtomicU64>, seed: u64) -> Self {
        let (now, chance) = (Arc::clone(now), Mutex::new(Rng::new(seed)));
        Self { now, chance, is_dirty: AtomicBool::new(true) }
    }

    /// Whether something has changed since it was [clean](Self::clean).
    pub(super) fn is_dirty(&self) -> bool {
        self.is_dirty.load(Ordering::Relaxed)
    }

    pub(super) fn clean(&self) {
        self.is_dirty.store(false, Ordering::Relaxed);
    }
}

impl VirtualClock for NodeClock {
    fn now(&self) -> Time {
        Time::from_nanos(self.now.load(Ordering::Relaxed))
    }

    fn random(&self) -> u64 {
        self.chance.lock().recover().number()
    }

    fn wake(&self) {
        self.is_dirty.store(true, Ordering::Relaxed);
    }
}
