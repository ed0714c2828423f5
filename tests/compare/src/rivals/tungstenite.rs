//! tungstenite: WebSocket frames over a blocking socket. No heartbeats of its own.
//!
//! The sender has the server's role, whose frames need no masking, and writes into the library's
//! own 128 KiB buffer; it flushes at the end. Four threads share it under a lock.

use std::net::TcpStream;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use crate::common::trips::{Trips, WARM_UP, micros_since};
use crate::common::{Cost, Tally, number, pair};

pub(crate) fn one_way(threads: u64, size: usize, messages: u64) -> Cost {
    let (near, far) = pair();
    Cost::of(messages, || {
        let reader = thread::spawn(move || {
            let mut far = socket(far, Role::Client);
            let mut tally = Tally::new(size, messages);
            while !tally.count(&far.read().expect("a message arrives").into_data()) {}
        });
        let near = Mutex::new(socket(near, Role::Server));
        thread::scope(|scope| {
            for mine in 0..threads {
                let near = &near;
                scope.spawn(move || {
                    let mut payload = vec![7; size];
                    for sequence in (mine..messages).step_by(threads as usize) {
                        number(&mut payload, sequence);
                        let message = Message::Binary(Bytes::copy_from_slice(&payload));
                        let mut near = near.lock().expect("no sender panics");
                        near.write(message).expect("the reader reads on");
                    }
                });
            }
        });
        near.lock().expect("no sender panicked").flush().expect("the reader reads on");
        reader.join().expect("the reader found what was sent");
    })
}

pub(crate) fn round_trip(trips: usize) -> Trips {
    let (near, far) = pair();
    let echo = thread::spawn(move || {
        let mut far = socket(far, Role::Server);
        for _ in 0..trips + WARM_UP {
            let message = far.read().expect("a message arrives");
            far.send(message).expect("the other end reads");
        }
    });
    let mut near = socket(near, Role::Client);
    let mut micros = Vec::with_capacity(trips + WARM_UP);
    for _ in 0..trips + WARM_UP {
        let began = Instant::now();
        let message = Message::Binary(Bytes::from_static(&[7; 64]));
        near.send(message).expect("the other end reads");
        near.read().expect("the message returns");
        micros.push(micros_since(began));
    }
    echo.join().expect("the echo read all");
    Trips::of(micros.split_off(WARM_UP))
}

fn socket(stream: TcpStream, role: Role) -> WebSocket<TcpStream> {
    WebSocket::from_raw_socket(stream, role, None)
}
