//! Answers a probe: a HELLO that only asks who is there.
//!
//! The node sends its name and heartbeat-time, waits for one HEARTBEAT and sends one, so that the
//! program that asks can measure a round trip, and says goodbye. No peer, link or event comes of
//! it.
//!
//! Invariant: it lasts at most [`HEARTBEAT_WAIT_MAX`] and the moment in which a goodbye can be
//! read.

use std::time::{Duration, Instant};

use super::transport::AnyStream;
use crate::config::Config;
use crate::link::handshake::{self, Greeting, HandshakeError};
use crate::liveness::Settings;
use crate::protocol::{ByeCode, Heartbeat, Hello, Timing};

/// Answers the probe on a connection whose HELLO was received. What fails is the asker's loss.
pub(super) fn answer(stream: &AnyStream, config: &Config, greeting: &Greeting) {
    let began = Instant::now();
    let heartbeat_time_ms = heartbeat_time_ms(config);
    let hello = Hello {
        name: config.name(),
        label: config.label(),
        id: config.id(),
        heartbeat_time_ms: Some(heartbeat_time_ms),
        ..Hello::default()
    };
    let deadline = began + HEARTBEAT_WAIT_MAX;
    if handshake::welcome(stream, &hello, deadline).is_err() {
        return;
    }
    let echo = match handshake::read_heartbeat(stream, &greeting.received, deadline) {
        Ok(heartbeat) => heartbeat.timing,
        Err(HandshakeError::TimedOut) => None,
        Err(error) => {
            if let Some(code) = error.bye_code() {
                handshake::refuse(stream, code, &error.to_string());
            }
            return;
        }
    };
    let heard = Instant::now();
    let timing = echo.map(|echo| Timing {
        sent_us: micros(began.elapsed()).max(1),
        echo_us: echo.sent_us,
        echo_age_us: micros(heard.elapsed()),
    });
    let mut bytes = Vec::new();
    Heartbeat { heartbeat_time_ms, timing }.encode(&mut bytes);
    if handshake::write_whole(stream, &bytes, Instant::now() + HEARTBEAT_WAIT_MAX).is_ok() {
        handshake::refuse(stream, ByeCode::CLOSE, "");
    }
}

fn heartbeat_time_ms(config: &Config) -> u32 {
    let heartbeat_time = config.heartbeat_time().value;
    Settings { heartbeat_time, ..Settings::default() }.configured_ms()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// How long the asker's heartbeat is waited for.
const HEARTBEAT_WAIT_MAX: Duration = Duration::from_secs(1);
