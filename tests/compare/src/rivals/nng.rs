//! nng: PUSH and PULL for one way, PAIR for round trips. No heartbeats of its own.
//!
//! Its sockets may be used from several threads, so four senders share one.

use std::thread;
use std::time::Instant;

use nng::options::{Options, RecvBufferSize, SendBufferSize};
use nng::{Message, Protocol, Socket};

use super::free_address;
use crate::common::trips::{Trips, WARM_UP, micros_since};
use crate::common::{Cost, Tally, number};

pub(crate) fn one_way(threads: u64, size: usize, messages: u64) -> Cost {
    let (near, far) = sockets(Protocol::Push0, Protocol::Pull0);
    // The largest that it takes.
    near.set_opt::<SendBufferSize>(8192).expect("a known option");
    far.set_opt::<RecvBufferSize>(8192).expect("a known option");
    let cost = Cost::of(messages, || {
        thread::scope(|scope| {
            for mine in 0..threads {
                let near = &near;
                scope.spawn(move || {
                    let mut payload = vec![7; size];
                    for sequence in (mine..messages).step_by(threads as usize) {
                        number(&mut payload, sequence);
                        near.send(&payload[..]).expect("the peer reads on");
                    }
                });
            }
            let mut tally = Tally::new(size, messages);
            while !tally.count(&far.recv().expect("a message arrives")) {}
        });
    });
    near.close();
    far.close();
    cost
}

pub(crate) fn round_trip(trips: usize) -> Trips {
    let (near, far) = sockets(Protocol::Pair0, Protocol::Pair0);
    let echo = thread::spawn(move || {
        for _ in 0..trips + WARM_UP {
            let message = far.recv().expect("a message arrives");
            far.send(message).expect("the other end reads");
        }
        far
    });
    let mut micros = Vec::with_capacity(trips + WARM_UP);
    for _ in 0..trips + WARM_UP {
        let began = Instant::now();
        near.send(Message::from(&[7; 64][..])).expect("the other end reads");
        near.recv().expect("the message returns");
        micros.push(micros_since(began));
    }
    let far = echo.join().expect("the echo read all");
    near.close();
    far.close();
    Trips::of(micros.split_off(WARM_UP))
}

fn sockets(near: Protocol, far: Protocol) -> (Socket, Socket) {
    let address = free_address();
    let make = |kind| Socket::new(kind).expect("nng makes sockets");
    let (near, far) = (make(near), make(far));
    far.listen(&address).expect("the port is still free");
    near.dial(&address).expect("the other end listens");
    (near, far)
}
