//! libzmq: PUSH and PULL for one way, PAIR for round trips, a context and so an I/O thread an end.
//!
//! Its sockets belong to one thread each, so four sending threads have four sockets that connect to
//! the same PULL; a lock around one of them is slower. High-water marks are raised from 1,000 to
//! 100,000 messages, heartbeats every second.

use std::thread;
use std::time::Instant;

use zmq::{Context, Message, PAIR, PULL, PUSH, Socket, SocketType};

use crate::common::trips::{Trips, WARM_UP, micros_since};
use crate::common::{Cost, Tally, number};

pub(crate) fn one_way(threads: u64, size: usize, messages: u64) -> Cost {
    let (near, far) = (Context::new(), Context::new());
    let pull = socket(&far, PULL);
    let address = bind(&pull);
    let pushes: Vec<Socket> = (0..threads).map(|_| connect(&near, PUSH, &address)).collect();
    Cost::of(messages, || {
        thread::scope(|scope| {
            for (mine, push) in pushes.into_iter().enumerate() {
                scope.spawn(move || {
                    let mut payload = vec![7; size];
                    for sequence in (mine as u64..messages).step_by(threads as usize) {
                        number(&mut payload, sequence);
                        push.send(&payload[..], 0).expect("the peer reads on");
                    }
                    // Dropped here: the context sends what is left.
                });
            }
            let mut tally = Tally::new(size, messages);
            let mut message = Message::new();
            loop {
                pull.recv(&mut message, 0).expect("a message arrives");
                if tally.count(&message) {
                    break;
                }
            }
        });
    })
}

pub(crate) fn round_trip(trips: usize) -> Trips {
    let (near, far) = (Context::new(), Context::new());
    let echo = socket(&far, PAIR);
    let address = bind(&echo);
    let ping = connect(&near, PAIR, &address);
    let echo = thread::spawn(move || {
        let mut message = Message::new();
        for _ in 0..trips + WARM_UP {
            echo.recv(&mut message, 0).expect("a message arrives");
            echo.send(&message[..], 0).expect("the other end reads");
        }
        echo
    });
    let mut micros = Vec::with_capacity(trips + WARM_UP);
    let mut message = Message::new();
    for _ in 0..trips + WARM_UP {
        let began = Instant::now();
        ping.send(&[7; 64][..], 0).expect("the other end reads");
        ping.recv(&mut message, 0).expect("the message returns");
        micros.push(micros_since(began));
    }
    drop(echo.join().expect("the echo read all"));
    Trips::of(micros.split_off(WARM_UP))
}

/// A socket with heartbeats every second and room.
pub(crate) fn socket(context: &Context, kind: SocketType) -> Socket {
    let socket = context.socket(kind).expect("a context makes sockets");
    socket.set_heartbeat_ivl(1000).expect("a known option");
    // On a crowded machine 3 s ended the connection, and what was under way was lost with it.
    socket.set_heartbeat_timeout(30_000).expect("a known option");
    socket.set_rcvtimeo(60_000).expect("a known option");
    socket.set_sndhwm(100_000).expect("a known option");
    socket.set_rcvhwm(100_000).expect("a known option");
    socket
}

/// Binds to a free port and returns the address.
pub(crate) fn bind(socket: &Socket) -> String {
    socket.bind("tcp://127.0.0.1:*").expect("a port on loopback");
    socket.get_last_endpoint().expect("a bound socket has an address").expect("which is text")
}

fn connect(context: &Context, kind: SocketType, address: &str) -> Socket {
    let socket = socket(context, kind);
    socket.connect(address).expect("the other end is bound");
    socket
}
