//! The items that stand both globally and in a peer: times, the heartbeat-mode, the queue.
//!
//! What a peer does not set it takes from the globals, wherever those stand in the files; what
//! they do not set has a default. So nothing is resolved before the last line was read.

use std::time::Duration;

use super::error::ErrorKind;
use super::place::Setting;
use super::value::Item;
use crate::liveness::Mode;

/// What one level sets.
#[derive(Debug, Default)]
pub(super) struct TimingItems {
    heartbeat_time: Option<Setting<Option<Duration>>>,
    slack: Option<Setting<Duration>>,
    mode: Option<Setting<Mode>>,
    heartbeat_time_min: Option<Setting<Duration>>,
    send_queue_bytes: Option<Setting<usize>>,
    reconnect_time_min: Option<Setting<Duration>>,
    reconnect_time_max: Option<Setting<Duration>>,
}

/// The values in force for a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    pub(super) heartbeat_time: Setting<Option<Duration>>,
    pub(super) slack: Setting<Duration>,
    pub(super) mode: Setting<Mode>,
    pub(super) heartbeat_time_min: Setting<Duration>,
    pub(super) send_queue_bytes: Setting<usize>,
    pub(super) reconnect_time_min: Setting<Duration>,
    pub(super) reconnect_time_max: Setting<Duration>,
}

impl TimingItems {
    /// Takes the item, whose name inside `add-peer` is `name`. The last one holds.
    pub(super) fn set(&mut self, name: &str, item: &Item<'_>) -> Result<(), ErrorKind> {
        let place = &item.place;
        match name {
            "heartbeat-time" => {
                self.heartbeat_time = Some(Setting::at(item.seconds_or_none()?, place));
            }
            "heartbeat-slack-time" => self.slack = Some(Setting::at(item.seconds()?, place)),
            "heartbeat-mode" => self.mode = Some(Setting::at(item.mode()?, place)),
            "heartbeat-time-min" => {
                self.heartbeat_time_min = Some(Setting::at(item.seconds()?, place));
            }
            "send-queue-bytes" => {
                self.send_queue_bytes = Some(Setting::at(item.queue_bytes()?, place));
            }
            "reconnect-time-min" => {
                self.reconnect_time_min = Some(Setting::at(item.seconds()?, place));
            }
            "reconnect-time-max" => {
                self.reconnect_time_max = Some(Setting::at(item.seconds()?, place));
            }
            _ => {}
        }
        Ok(())
    }

    /// These values, and those of `below` where there are none.
    pub(super) fn over(self, below: &Timing) -> Timing {
        fn pick<T: Clone>(own: Option<Setting<T>>, below: &Setting<T>) -> Setting<T> {
            own.unwrap_or_else(|| below.clone())
        }
        Timing {
            heartbeat_time: pick(self.heartbeat_time, &below.heartbeat_time),
            slack: pick(self.slack, &below.slack),
            mode: pick(self.mode, &below.mode),
            heartbeat_time_min: pick(self.heartbeat_time_min, &below.heartbeat_time_min),
            send_queue_bytes: pick(self.send_queue_bytes, &below.send_queue_bytes),
            reconnect_time_min: pick(self.reconnect_time_min, &below.reconnect_time_min),
            reconnect_time_max: pick(self.reconnect_time_max, &below.reconnect_time_max),
        }
    }
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            heartbeat_time: Setting::default_of(Some(Duration::from_secs(5))),
            slack: Setting::default_of(Duration::from_secs(2)),
            mode: Setting::default_of(Mode::Idle),
            heartbeat_time_min: Setting::default_of(Duration::from_millis(100)),
            send_queue_bytes: Setting::default_of(8 << 20),
            reconnect_time_min: Setting::default_of(Duration::from_millis(500)),
            reconnect_time_max: Setting::default_of(Duration::from_secs(30)),
        }
    }
}
