//! Waits for the next connection to a listener, with a deadline.
//!
//! The system's own `accept` waits for a connection that a test has broken as long as for one that
//! is late: forever. The house rules keep it out of the tests.
#![allow(clippy::unwrap_used)]

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// The next connection, which has to come within this time.
const PATIENCE: Duration = Duration::from_secs(30);

#[track_caller]
pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    let until = Instant::now() + PATIENCE;
    listener.set_nonblocking(true).unwrap();
    let accepted = loop {
        match listener.accept() {
            Err(e) if e.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                thread::sleep(Duration::from_millis(1));
            }
            accepted => break accepted,
        }
    };
    listener.set_nonblocking(false).unwrap();
    let (stream, _) = accepted.unwrap_or_else(|e| panic!("no connection came: {e}"));
    // On some systems it is as its listener was.
    stream.set_nonblocking(false).unwrap();
    stream
}
