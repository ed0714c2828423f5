//! What a cable between two ends saw: frames as they came, and bytes as they were forwarded.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use peerbeat::cable::{Cable, CableEvent, Way};

use crate::accept::accept;

/// A frame that an end sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Its value, and the sender's own clock when it was made.
    Heartbeat {
        value: Duration,
        stamp: Duration,
    },
    /// The first 16 bytes.
    Data(Vec<u8>),
    Bye,
}

/// Bytes that had been passed on by an instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk {
    pub(crate) after: Instant,
    /// How many bytes of the way had been passed on by then.
    pub(crate) total: usize,
}

/// What was seen of one way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) frames: Vec<Frame>,
    /// How many bytes of it the cable was given.
    pub(crate) total: usize,
    pub(crate) chunks: Vec<Chunk>,
}

/// The ways in the order of the ends that they come from.
pub(crate) const WAYS: [Way; 2] = [Way::Out, Way::In];

/// What is seen while it goes on.
#[derive(Debug, Default)]
struct State {
    seen: Seen,
    held: Vec<u8>,
}

/// The notes of a cable, which writes them from its own threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notebook(Arc<Mutex<[State; 2]>>);

impl Notebook {
    /// A cable that is noted down, and the sockets of the two ends.
    pub(crate) fn lay(&self) -> (Cable, [TcpStream; 2]) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let notes = self.clone();
        let target = listener.local_addr().unwrap();
        let cable = Cable::tapped("127.0.0.1:0", target, move |_, event| notes.note(event));
        let cable = cable.unwrap();
        let left = TcpStream::connect(cable.addr()).unwrap();
        let right = accept(&listener);
        for socket in [&left, &right] {
            socket.set_nodelay(true).unwrap();
        }
        (cable, [left, right])
    }

    /// What was seen of each way.
    pub(crate) fn take(&self) -> [Seen; 2] {
        let mut states = self.0.lock().unwrap();
        [0, 1].map(|way| std::mem::take(&mut states[way].seen))
    }

    fn note(&self, event: CableEvent<'_>) {
        let mut states = self.0.lock().unwrap();
        match event {
            CableEvent::Arrived { way, bytes, .. } => states[way as usize].note(bytes),
            CableEvent::Passed { way, after, bytes, .. } => {
                let chunks = &mut states[way as usize].seen.chunks;
                let total = chunks.last().map_or(0, |chunk| chunk.total) + bytes.len();
                chunks.push(Chunk { after, total });
            }
            _ => {}
        }
    }
}

impl State {
    /// Takes the frames out of what an end wrote.
    fn note(&mut self, bytes: &[u8]) {
        self.seen.total += bytes.len();
        self.held.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(head) = self.held.get(start..start + 5) {
            let length = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
            let Some(payload) = self.held.get(start + 5..start + 4 + length) else { break };
            let frame = match head[4] {
                2 => {
                    let value = u32::from_be_bytes(payload[..4].try_into().unwrap());
                    let stamp = u64::from_be_bytes(payload[4..12].try_into().unwrap());
                    let value = Duration::from_millis(value.into());
                    Frame::Heartbeat { value, stamp: Duration::from_micros(stamp - 1) }
                }
                3 => Frame::Data(payload[..16].to_vec()),
                4 => Frame::Bye,
                other => panic!("an end wrote a frame of type {other}"),
            };
            start += 4 + length;
            self.seen.frames.push(frame);
        }
        self.held.drain(..start);
    }
}
