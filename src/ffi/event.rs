//! A node's events as C sees them.
//!
//! The texts of an event live in this room's memory for as long as the callback lasts; whatever a
//! kind does not have stays "", 0 or -1.

use std::ffi::{CStr, CString, c_int};

use super::convert::{bye_code, millis, reason_number, signed};
use super::pointer::c_text;
use super::structs::{NONE, PeerbeatEvent};
use crate::link::{self, Cause, Down};
use crate::node::{DialFailedReason, Direction, Event, RefusedReason};

/// An event and the texts that its pointers go to.
#[derive(Debug)]
pub(super) struct CEvent {
    event: PeerbeatEvent,
    _texts: Vec<CString>,
}

impl CEvent {
    /// Translates an event of the peer with this name, which must live as long.
    pub(super) fn new(peer: &CStr, event: &Event) -> Self {
        let mut made = PeerbeatEvent { peer: peer.as_ptr(), ..PeerbeatEvent::default() };
        let mut texts = Texts::default();
        fill(&mut made, &mut texts, event);
        Self { event: made, _texts: texts.0 }
    }

    pub(super) fn as_ptr(&self) -> *const PeerbeatEvent {
        &raw const self.event
    }
}

#[derive(Debug, Default)]
struct Texts(Vec<CString>);

impl Texts {
    /// Keeps a text. What a `CString` points to stays where it is when the list grows.
    fn keep(&mut self, text: &str) -> *const std::ffi::c_char {
        let text = c_text(text);
        let pointer = text.as_ptr();
        self.0.push(text);
        pointer
    }
}

fn fill(made: &mut PeerbeatEvent, texts: &mut Texts, event: &Event) {
    made.kind = kind(event);
    match event {
        Event::Listening { addr } => made.addr = texts.keep(&addr.to_string()),
        Event::Dialling { addr } => made.addr = texts.keep(addr),
        Event::Up { addr, direction, remote_name, remote_label } => {
            made.addr = texts.keep(&addr.to_string());
            made.direction = match direction {
                Direction::Dialled => 1,
                Direction::Accepted => 2,
            };
            made.remote_name = texts.keep(remote_name);
            made.remote_label = texts.keep(remote_label);
        }
        Event::Link(event) => fill_link(made, texts, event),
        Event::Down(down) => fill_down(made, texts, down),
        Event::Refused { addr, name, reason, detail, .. } => {
            made.addr = texts.keep(&addr.to_string());
            made.remote_name = texts.keep(name);
            made.reason = refused_number(*reason);
            made.reason_word = texts.keep(reason.as_str());
            made.text = texts.keep(detail);
        }
        Event::DialFailed { addr, reason, detail } => {
            made.addr = texts.keep(addr);
            made.reason = dial_number(*reason);
            made.reason_word = texts.keep(reason.as_str());
            made.text = texts.keep(detail);
        }
        Event::Retry { wait } => made.wait_ms = millis(*wait),
        Event::Warning { detail } => made.text = texts.keep(detail),
        Event::Stopped => {}
    }
}

fn fill_link(made: &mut PeerbeatEvent, texts: &mut Texts, event: &link::Event) {
    match event {
        link::Event::HeartbeatTime { from, to, cause } => {
            made.from_ms = from.map_or(NONE, millis);
            made.to_ms = millis(*to);
            made.cause = match cause {
                Cause::Peer => 1,
                Cause::Local => 2,
            };
        }
        link::Event::Late { silence } | link::Event::Recovered { silence } => {
            made.silent_ms = millis(*silence)
        }
        link::Event::Stalled { late } => made.late_ms = millis(*late),
        link::Event::Clamped { asked, floor } => {
            made.asked_ms = millis(*asked);
            made.floor_ms = millis(*floor);
        }
        link::Event::Down(down) => fill_down(made, texts, down),
        link::Event::Flooding => {
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
    made.up_ms = millis(down.up);
}

/// `PEERBEAT_EVENT_`.
fn kind(event: &Event) -> c_int {
    match event {
        Event::Listening { .. } => 1,
        Event::Dialling { .. } => 2,
        Event::Up { .. } => 3,
        Event::Link(link::Event::HeartbeatTime { .. }) => 4,
        Event::Link(link::Event::Late { .. }) => 5,
        Event::Link(link::Event::Recovered { .. }) => 6,
        Event::Link(link::Event::Stalled { .. }) => 7,
        Event::Link(link::Event::Clamped { .. }) => 8,
        Event::Down(_) | Event::Link(link::Event::Down(_)) => 9,
        Event::Refused { .. } => 10,
        Event::DialFailed { .. } => 11,
        Event::Retry { .. } => 12,
        Event::Warning { .. } | Event::Link(link::Event::Flooding) => 13,
        Event::Stopped => 14,
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
    }
}
