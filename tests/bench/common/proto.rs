//! The designs that peerbeat's sender is measured against, each as small as it can be written.
//!
//! *Direct*: every message is one write by the caller, under a lock. *Swap*: the caller encodes
//! into one buffer under the lock and notifies only if it was empty; a thread swaps the buffer for
//! an empty one and writes it. Both read as the raw socket does, see [`Walk`]. Neither has
//! heartbeats, a bound, or an end that a program would want.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use super::raw::{Walk, frame};

/// Something that sends messages from any thread.
pub(crate) trait Sender: Send + Sync {
    fn send(&self, payload: &[u8]);
    fn close(self: Box<Self>);
}

/// Every message one write.
#[derive(Debug)]
pub(crate) struct Direct(Mutex<(TcpStream, Vec<u8>)>);

impl Direct {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(Mutex::new((stream, Vec::new())))
    }
}

impl Sender for Direct {
    fn send(&self, payload: &[u8]) {
        let mut held = self.0.lock().expect("no sender panics");
        let (stream, buffer) = &mut *held;
        buffer.clear();
        frame(payload, buffer);
        stream.write_all(buffer).expect("the other end reads");
    }

    fn close(self: Box<Self>) {
        let (stream, _) = self.0.into_inner().expect("no sender panicked");
        stream.shutdown(Shutdown::Both).expect("the stream is connected");
    }
}

/// One buffer, swapped and written by a thread.
#[derive(Debug)]
pub(crate) struct Swap {
    shared: Arc<(Mutex<Swapped>, Condvar)>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Swapped {
    queue: Vec<u8>,
    closed: bool,
}

impl Swap {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let shared = Arc::new((Mutex::new(Swapped::default()), Condvar::new()));
        let writing = Arc::clone(&shared);
        let writer = thread::spawn(move || write_swapped(&stream, &writing));
        Self { shared, writer: Some(writer) }
    }
}

fn write_swapped(mut stream: &TcpStream, (state, changed): &(Mutex<Swapped>, Condvar)) {
    let mut flight = Vec::new();
    loop {
        let mut state = state.lock().expect("no sender panics");
        while state.queue.is_empty() {
            if state.closed {
                stream.shutdown(Shutdown::Both).expect("the stream is connected");
                return;
            }
            state = changed.wait(state).expect("no sender panics");
        }
        std::mem::swap(&mut state.queue, &mut flight);
        drop(state);
        stream.write_all(&flight).expect("the other end reads");
        flight.clear();
    }
}

impl Sender for Swap {
    fn send(&self, payload: &[u8]) {
        let mut state = self.shared.0.lock().expect("no sender panics");
        let was_empty = state.queue.is_empty();
        frame(payload, &mut state.queue);
        drop(state);
        if was_empty {
            self.shared.1.notify_one();
        }
    }

    fn close(mut self: Box<Self>) {
        self.shared.0.lock().expect("no sender panics").closed = true;
        self.shared.1.notify_one();
        let writer = self.writer.take().expect("closed once");
        writer.join().expect("the writer ends");
    }
}

/// Hands every message that arrives to `handle`, on a thread of its own, until the end.
pub(crate) fn read(
    mut stream: TcpStream,
    mut handle: impl FnMut(&[u8]) + Send + 'static,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut walk = Walk::new(0);
        while let Ok(count @ 1..) = stream.read(walk.spare()) {
            walk.handle_filled(count, |payload| {
                handle(payload);
                false
            });
        }
    })
}
