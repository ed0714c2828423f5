//! A node's events as C sees them.
//!
//! The texts of an event live as long as the [`CEvent`]: during a callback, or until the host asks
//! for the next one. Fields that a kind does not use are "", 0 or -1.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use super::convert::{bye_code, millis, reason_number, signed};
use super::guard::{self, guard};
use super::pointer::{c_text, copy_text};
use super::structs::{NONE, PeerbeatEvent};
use crate::link::{Cause, Down, LinkEvent};
use crate::node::{DialFailedReason, Direction, NodeEvent, RefusedReason};
use crate::protocol::Escaped;

/// An event and the texts that its pointers go to.
#[derive(Debug)]
pub(super) struct CEvent {
    event: PeerbeatEvent,
    _texts: Vec<CString>,
    _data: Box<[u8]>,
}

// SAFETY: the pointers go to what it owns, and to the peer's name, which lives as long as the node.
unsafe impl Send for CEvent {}

impl CEvent {
    /// Translates an event of the peer with this name, which must live as long.
    pub(super) fn new(peer: &CStr, event: &NodeEvent) -> Self {
        let mut made = PeerbeatEvent { peer: peer.as_ptr(), ..PeerbeatEvent::default() };
        let mut texts = Texts::default();
        fill(&mut made, &mut texts, event);
        made.line = match peer.to_str() {
            Ok("") | Err(_) => texts.keep(&event.to_string()),
            Ok(peer) => texts.keep(&format!("{}: {event}", Escaped(peer))),
        };
        Self { event: made, _texts: texts.0, _data: Box::default() }
    }

    /// A message, which a host without a handler asks for like an event.
    pub(super) fn message(peer: &CStr, data: &[u8]) -> Self {
        let data = Box::<[u8]>::from(data);
        let event = Self::borrowed_message(peer, &data);
        Self { event, _texts: Vec::new(), _data: data }
    }

    /// A message in place, valid while it stays there.
    pub(super) fn borrowed_message(peer: &CStr, data: &[u8]) -> PeerbeatEvent {
        PeerbeatEvent {
            peer: peer.as_ptr(),
            kind: MESSAGE,
            data: data.as_ptr().cast(),
            data_len: data.len() as u64,
            line: c"message".as_ptr(),
            ..PeerbeatEvent::default()
        }
    }

    pub(super) fn with_user_data(mut self, user_data: *mut c_void) -> Self {
        self.event.peer_user_data = user_data;
        self
    }

    pub(super) fn event(&self) -> &PeerbeatEvent {
        &self.event
    }

    pub(super) fn data_len(&self) -> usize {
        self._data.len()
    }

    pub(super) fn as_ptr(&self) -> *const PeerbeatEvent {
        &raw const self.event
    }
}

#[derive(Debug, Default)]
struct Texts(Vec<CString>);

impl Texts {
    /// Keeps a text. What a `CString` points to stays where it is when the list grows.
    fn keep(&mut self, text: &str) -> *const c_char {
        let text = c_text(text);
        let pointer = text.as_ptr();
        self.0.push(text);
        pointer
    }
}

fn fill(made: &mut PeerbeatEvent, texts: &mut Texts, event: &NodeEvent) {
    made.kind = kind(event);
    match event {
        NodeEvent::Listening { addr } => made.addr = texts.keep(&addr.to_string()),
        NodeEvent::Dialling { addr } => made.addr = texts.keep(addr),
        NodeEvent::Up { addr, direction, remote_name, remote_label } => {
            made.addr = texts.keep(&addr.to_string());
            made.direction = match direction {
                Direction::Dialled => 1,
                Direction::Accepted => 2,
            };
            made.remote_name = texts.keep(remote_name);
            made.remote_label = texts.keep(remote_label);
        }
        NodeEvent::Link(event) => fill_link(made, texts, event),
        NodeEvent::Down(down) => fill_down(made, texts, down),
        NodeEvent::Refused { addr, name, reason, detail, count } => {
            made.count = signed(*count);
            made.addr = texts.keep(&addr.to_string());
            made.remote_name = texts.keep(name);
            made.reason = refused_number(*reason);
            made.reason_word = texts.keep(reason.as_str());
            made.text = texts.keep(detail);
        }
        NodeEvent::DialFailed { addr, reason, detail } => {
            made.addr = texts.keep(addr);
            made.reason = dial_number(*reason);
            made.reason_word = texts.keep(reason.as_str());
            made.text = texts.keep(detail);
        }
        NodeEvent::Retry { wait } => made.wait_ms = millis(*wait),
        NodeEvent::Warning { detail } => made.text = texts.keep(detail),
        NodeEvent::Stopped => {}
    }
}

fn fill_link(made: &mut PeerbeatEvent, texts: &mut Texts, event: &LinkEvent) {
    match event {
        LinkEvent::HeartbeatTime { from, to, cause } => {
            made.from_ms = from.map_or(NONE, millis);
            made.to_ms = millis(*to);
            made.cause = match cause {
                Cause::Peer => 1,
                Cause::Local => 2,
            };
        }
        LinkEvent::Late { silence, count } | LinkEvent::Recovered { silence, count } => {
            made.silent_ms = millis(*silence);
            made.count = signed(*count);
        }
        LinkEvent::QueueHigh { bytes, count } | LinkEvent::QueueLow { bytes, count } => {
            made.unsent_bytes = signed(*bytes as u64);
            made.count = signed(*count);
        }
        LinkEvent::HandlerBusy { held } => made.held_ms = millis(*held),
        LinkEvent::NotReading { behind } => made.behind_ms = millis(*behind),
        LinkEvent::Stalled { late } => made.late_ms = millis(*late),
        LinkEvent::Clamped { asked, floor } => {
            made.asked_ms = millis(*asked);
            made.floor_ms = millis(*floor);
        }
        LinkEvent::Down(down) => fill_down(made, texts, down),
        LinkEvent::Flooding => {
            let text = event.to_string();
            made.text = texts.keep(text.split_once(": ").map_or(&*text, |(_, detail)| detail));
        }
    }
}

fn fill_down(made: &mut PeerbeatEvent, texts: &mut Texts, down: &Down) {
    made.reason = reason_number(&down.reason);
    made.reason_word = texts.keep(down.reason.as_str());
    made.text = texts.keep(&down.reason.to_string());
    made.bye_code = bye_code(&down.reason);
    made.silent_ms = millis(down.silence);
    made.limit_ms = down.limit.map_or(NONE, millis);
    made.heartbeat_time_ms = down.heartbeat_time.map_or(NONE, millis);
    made.slack_ms = millis(down.slack);
    made.last_sent_age_ms = millis(down.last_sent_age);
    made.unsent_frames = signed(down.unsent_frames);
    made.unsent_bytes = signed(down.unsent_bytes);
    made.unconfirmed_bytes = down.unconfirmed_bytes.map_or(NONE, signed);
    made.undelivered_frames = signed(down.undelivered_frames);
    made.up_ms = millis(down.up);
}

/// The stable word for a kind of event; "" for a number that is none.
#[unsafe(no_mangle)]
pub extern "C" fn peerbeat_event_word(kind: c_int) -> *const c_char {
    guard::light(|| word(kind).as_ptr())
}

/// Copies the line that `peerbeat run` prints for an event, and returns its whole length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_event_text(
    event: *const PeerbeatEvent,
    buf: *mut c_char,
    cap: usize,
) -> usize {
    guard(|| {
        // SAFETY: as the header says: null, or an event that we made and that still lives.
        let Some(event) = (unsafe { event.as_ref() }) else { return 0 };
        // SAFETY: as above.
        let line = unsafe { CStr::from_ptr(event.line) }.to_string_lossy();
        // SAFETY: the caller's buffer, as the header says.
        unsafe { copy_text(&line, buf, cap) };
        line.len()
    })
}

fn word(kind: c_int) -> &'static CStr {
    match kind {
        1 => c"listening",
        2 => c"dialling",
        3 => c"up",
        4 => c"heartbeat-time",
        5 => c"late",
        6 => c"recovered",
        7 => c"stalled",
        8 => c"clamped",
        9 => c"down",
        10 => c"refused",
        11 => c"dial-failed",
        12 => c"retry",
        13 => c"warning",
        14 => c"stopped",
        15 => c"handler-busy",
        16 => c"not-reading",
        17 => c"queue-high",
        18 => c"queue-low",
        MESSAGE => c"message",
        _ => c"",
    }
}

/// `PEERBEAT_EVENT_MESSAGE`.
const MESSAGE: c_int = 100;

/// `PEERBEAT_EVENT_`.
fn kind(event: &NodeEvent) -> c_int {
    match event {
        NodeEvent::Listening { .. } => 1,
        NodeEvent::Dialling { .. } => 2,
        NodeEvent::Up { .. } => 3,
        NodeEvent::Link(LinkEvent::HeartbeatTime { .. }) => 4,
        NodeEvent::Link(LinkEvent::Late { .. }) => 5,
        NodeEvent::Link(LinkEvent::Recovered { .. }) => 6,
        NodeEvent::Link(LinkEvent::Stalled { .. }) => 7,
        NodeEvent::Link(LinkEvent::Clamped { .. }) => 8,
        NodeEvent::Down(_) | NodeEvent::Link(LinkEvent::Down(_)) => 9,
        NodeEvent::Refused { .. } => 10,
        NodeEvent::DialFailed { .. } => 11,
        NodeEvent::Retry { .. } => 12,
        NodeEvent::Warning { .. } | NodeEvent::Link(LinkEvent::Flooding) => 13,
        NodeEvent::Stopped => 14,
        NodeEvent::Link(LinkEvent::HandlerBusy { .. }) => 15,
        NodeEvent::Link(LinkEvent::NotReading { .. }) => 16,
        NodeEvent::Link(LinkEvent::QueueHigh { .. }) => 17,
        NodeEvent::Link(LinkEvent::QueueLow { .. }) => 18,
    }
}

/// `PEERBEAT_REFUSED_`.
fn refused_number(reason: RefusedReason) -> c_int {
    match reason {
        RefusedReason::UnknownPeer => 1,
        RefusedReason::AlreadyConnected => 2,
        RefusedReason::Version => 3,
        RefusedReason::Protocol => 4,
        RefusedReason::TooSlow => 5,
        RefusedReason::ShuttingDown => 6,
        RefusedReason::TooMany => 7,
        RefusedReason::Gone => 8,
        RefusedReason::Name => 9,
    }
}

/// `PEERBEAT_DIAL_`.
fn dial_number(reason: DialFailedReason) -> c_int {
    match reason {
        DialFailedReason::Resolve => 1,
        DialFailedReason::Connect => 2,
        DialFailedReason::Timeout => 3,
        DialFailedReason::Refused => 4,
        DialFailedReason::Protocol => 5,
        DialFailedReason::Eof => 6,
        DialFailedReason::Io => 7,
        DialFailedReason::Name => 8,
    }
}
