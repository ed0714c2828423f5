//! The raw socket: what the machine gives to a program that does nothing but move bytes.
//!
//! *Batched*: a thread encodes messages into one 64 KiB buffer as peerbeat frames them (4 bytes of
//! length, 1 of kind, the payload) and writes it when the next one would not fit. *Pieces*: the
//! same number of bytes in writes of 64 KiB, nothing encoded. The other end reads 64 KiB at a time
//! and either only counts the bytes, or walks the frames and looks at every message.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::thread;

use super::{Cost, Tally, number, pair};

/// What the reading end does with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Counts them.
    Bytes,
    /// Walks the frames and checks every message.
    Frames,
}

/// `messages` of `size` bytes, batched by hand by each of `threads`, which share the buffer under a
/// lock if there are several.
pub(crate) fn batched(threads: u64, size: usize, messages: u64, reading: Reading) -> Cost {
    let (near, far) = pair();
    Cost::of(messages, || {
        let reader = thread::spawn(move || match reading {
            Reading::Bytes => count_bytes(far, messages * (HEAD + size) as u64),
            Reading::Frames => walk_frames(far, size, messages),
        });
        match threads {
            1 => send_batched(&near, size, messages),
            _ => send_shared(&near, threads, size, messages),
        }
        reader.join().expect("the reader found what was sent");
    })
}

/// As many bytes as `messages` of `size` are on the wire, in writes of 64 KiB.
pub(crate) fn pieces(size: usize, messages: u64) -> Cost {
    let (mut near, far) = pair();
    Cost::of(messages, || {
        let bytes = messages * (HEAD + size) as u64;
        let reader = thread::spawn(move || count_bytes(far, bytes));
        let piece = vec![7; BUFFER];
        let mut left = bytes as usize;
        while left > 0 {
            let now = left.min(BUFFER);
            near.write_all(&piece[..now]).expect("the reader reads on");
            left -= now;
        }
        reader.join().expect("the reader found what was sent");
    })
}

pub(crate) fn send_batched(mut near: &TcpStream, size: usize, messages: u64) {
    let mut payload = vec![7; size];
    let mut buffer = Vec::with_capacity(BUFFER.max(HEAD + size));
    for sequence in 0..messages {
        number(&mut payload, sequence);
        if buffer.len() + HEAD + size > BUFFER {
            near.write_all(&buffer).expect("the reader reads on");
            buffer.clear();
        }
        frame(&payload, &mut buffer);
    }
    near.write_all(&buffer).expect("the reader reads on");
}

fn send_shared(near: &TcpStream, threads: u64, size: usize, messages: u64) {
    let buffer = Mutex::new(Vec::with_capacity(BUFFER.max(HEAD + size)));
    let send = |mine: u64| {
        let mut payload = vec![7; size];
        for sequence in (mine..messages).step_by(threads as usize) {
            number(&mut payload, sequence);
            let mut buffer = buffer.lock().expect("no thread panics");
            if buffer.len() + HEAD + size > BUFFER {
                let mut near = near;
                near.write_all(&buffer).expect("the reader reads on");
                buffer.clear();
            }
            frame(&payload, &mut buffer);
        }
    };
    thread::scope(|scope| {
        for mine in 0..threads {
            scope.spawn(move || send(mine));
        }
    });
    let mut near = near;
    let buffer = buffer.into_inner().expect("no thread panicked");
    near.write_all(&buffer).expect("the reader reads on");
}

/// Appends a DATA frame.
#[inline]
pub(crate) fn frame(payload: &[u8], buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&(payload.len() as u32 + 1).to_be_bytes());
    buffer.push(DATA);
    buffer.extend_from_slice(payload);
}

fn count_bytes(mut far: TcpStream, bytes: u64) {
    let mut buffer = vec![0; BUFFER];
    let mut left = bytes;
    while left > 0 {
        let count = far.read(&mut buffer).expect("loopback does not fail");
        assert!(count > 0, "{left} bytes are missing");
        left -= count as u64;
    }
}

pub(crate) fn walk_frames(mut far: TcpStream, size: usize, messages: u64) {
    let mut tally = Tally::new(size, messages);
    let mut walk = Walk::new(HEAD + size);
    loop {
        let count = far.read(walk.spare()).expect("loopback does not fail");
        assert!(count > 0, "messages are missing");
        if walk.handle_filled(count, |payload| tally.count(payload)) {
            return;
        }
    }
}

/// Walks frames in a 64 KiB buffer (or one that holds the largest frame twice).
#[derive(Debug)]
pub(crate) struct Walk {
    buffer: Vec<u8>,
    end: usize,
}

impl Walk {
    pub(crate) fn new(frame_max: usize) -> Self {
        Self { buffer: vec![0; BUFFER.max(2 * frame_max)], end: 0 }
    }

    pub(crate) fn spare(&mut self) -> &mut [u8] {
        &mut self.buffer[self.end..]
    }

    /// Hands on the payload of every whole frame with data until `handle` returns true for the
    /// last one.
    #[inline]
    pub(crate) fn handle_filled(
        &mut self,
        count: usize,
        mut handle: impl FnMut(&[u8]) -> bool,
    ) -> bool {
        self.end += count;
        let mut at = 0;
        while let Some(length) = self.buffer[at..self.end].first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some(frame) = self.buffer[at..self.end].get(4..4 + length) else { break };
            if frame[0] == DATA && handle(&frame[1..]) {
                return true;
            }
            at += 4 + length;
        }
        self.buffer.copy_within(at..self.end, 0);
        self.end -= at;
        false
    }
}

/// The kind of a frame that carries a message.
const DATA: u8 = 3;
/// Bytes before a payload.
pub(crate) const HEAD: usize = 5;
/// Bytes a write and a read.
pub(crate) const BUFFER: usize = 64 << 10;
