//! What the demo sees of its cable: which frames passed and when, and when the last bytes did.
//!
//! The cable takes the time before it hands bytes on, so that no end can have read them earlier
//! than that.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use peerbeat::cable::{Cable, CableEvent, Way};
use peerbeat::protocol::{Decoder, Frame, Native};

use super::stage::Side;

/// One frame that passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed {
    pub(super) at: Instant,
    pub(super) from: Side,
    pub(super) kind: Kind,
}

/// What a frame was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Heartbeat,
    Other,
}

/// All that was seen; clones are handles on the same notes.
#[derive(Clone, Default)]
pub(super) struct Watch(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    decoders: HashMap<(u64, Side), Decoder<Native>>,
    passed: Vec<Passed>,
    /// When the last bytes were handed to each end.
    to_feed: Option<Instant>,
    to_hub: Option<Instant>,
}

impl Watch {
    /// Lays a cable to `hub` and watches it; the feed dials its address.
    pub(super) fn lay(&self, hub: SocketAddr) -> io::Result<Cable> {
        let watch = self.clone();
        let tap = move |connection, event: CableEvent<'_>| watch.see(connection, event);
        Cable::tapped((Ipv4Addr::LOCALHOST, 0), hub, tap)
    }

    /// The frames that passed from `from` on.
    pub(super) fn passed_since(&self, from: Instant) -> Vec<Passed> {
        self.lock().passed.iter().copied().filter(|frame| frame.at >= from).collect()
    }

    /// When the last bytes were handed to this end.
    pub(super) fn last_to(&self, side: Side) -> Option<Instant> {
        let notes = self.lock();
        match side {
            Side::Feed => notes.to_feed,
            Side::Hub => notes.to_hub,
        }
    }

    fn see(&self, connection: u64, event: CableEvent<'_>) {
        let CableEvent::Passed { way, before, bytes, .. } = event else { return };
        let mut notes = self.lock();
        let from = match way {
            Way::Out => Side::Feed,
            Way::In => Side::Hub,
        };
        match from {
            Side::Feed => notes.to_hub = Some(before),
            Side::Hub => notes.to_feed = Some(before),
        }
        notes.count(connection, from, before, bytes);
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    fn count(&mut self, connection: u64, from: Side, at: Instant, mut bytes: &[u8]) {
        let fresh = || Decoder::new(Native::default());
        let decoder = self.decoders.entry((connection, from)).or_insert_with(fresh);
        while !bytes.is_empty() {
            let spare = decoder.spare();
            let count = spare.len().min(bytes.len());
            spare[..count].copy_from_slice(&bytes[..count]);
            decoder.handle_filled(count);
            bytes = &bytes[count..];
            while let Ok(Some(frame)) = decoder.poll_frame() {
                let kind = match frame {
                    Frame::Data(_) => Kind::Data,
                    Frame::Heartbeat(_) => Kind::Heartbeat,
                    _ => Kind::Other,
                };
                self.passed.push(Passed { at, from, kind });
            }
        }
    }
}
