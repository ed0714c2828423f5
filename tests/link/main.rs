//! The link against real sockets and real faults.
//!
//! The other end is a [`mock::Mock`]: bytes written and parsed by hand, so that a mistake shared by
//! our encoder and our decoder shows. That nothing is early is asserted to the nanosecond, that
//! nothing is late only loosely: the machine may be busy. Tests that read `/proc` are for Linux
//! only.

// A test that cannot go on says so by panicking; clippy allows that only inside `#[test]`
// functions, and most of what is here are their helpers.
#![allow(clippy::unwrap_used)]

#[path = "../common/accept.rs"]
mod accept;
/// Methods of a stream that do what those of the socket in its field do.
macro_rules! as_socket {
    ($field:tt: $($method:ident)*) => { $(as_socket! { @ $method $field })* };
    (@ read $field:tt) => {
        fn read(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
            Stream::read(&self.$field, buffer)
        }
    };
    (@ write $field:tt) => {
        fn write(&self, bytes: &[u8]) -> std::io::Result<usize> {
            Stream::write(&self.$field, bytes)
        }
    };
    (@ timeouts $field:tt) => {
        as_socket! { @ set_read_timeout $field }
        as_socket! { @ set_write_timeout $field }
    };
    (@ set_read_timeout $field:tt) => {
        fn set_read_timeout(&self, timeout: std::time::Duration) -> std::io::Result<()> {
            Stream::set_read_timeout(&self.$field, timeout)
        }
    };
    (@ set_write_timeout $field:tt) => {
        fn set_write_timeout(&self, timeout: std::time::Duration) -> std::io::Result<()> {
            Stream::set_write_timeout(&self.$field, timeout)
        }
    };
    (@ shutdown $field:tt) => {
        fn shutdown(&self, how: std::net::Shutdown) -> std::io::Result<()> {
            Stream::shutdown(&self.$field, how)
        }
    };
}

#[cfg(target_os = "linux")]
mod alone;
#[path = "../common/basics.rs"]
mod basics;
#[path = "../common/frames.rs"]
mod frames;
#[allow(dead_code, reason = "the tests of faults use the rest")]
mod mock;
mod pipe;
mod rig;

mod batches;
mod closing;
mod delivery;
mod ends;
mod fans;
#[cfg(unix)]
mod frozen;
mod heartbeat_change;
mod heartbeats;
#[cfg(target_os = "linux")]
mod idle;
mod inbox;
mod layered;
#[cfg(target_os = "linux")]
mod leaks;
mod life;
mod numbers;
mod odd;
mod opening;
mod order;
mod pressure;
mod reasons;
mod resets;
mod schedules;
mod silence;
mod stalls;
mod stuck;
