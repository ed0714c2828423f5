//! What stands between two ends: it passes bytes on, or does not, and notes what it saw and when.
//!
//! Two threads a way: one reads, the other writes, with a queue between them for what is delayed.
//! Both are woken by bytes or by the sockets' end; nothing polls.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A frame that an end sent.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// When the proxy had read its last byte: it was written before that.
    pub(crate) arrived: Instant,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Its value, and the sender's own clock when it was made.
    Heartbeat {
        value: Duration,
        stamp: Duration,
    },
    /// The first 16 bytes.
    Data(Vec<u8>),
    Bye,
}

/// Bytes that were passed on: none before the one instant, all by the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunk {
    pub(crate) before: Instant,
    pub(crate) after: Instant,
    /// How many bytes of the way had been passed on by then.
    pub(crate) total: usize,
}

/// What was seen of one way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) frames: Vec<Frame>,
    /// When each frame's last byte stood in the stream.
    pub(crate) frame_ends: Vec<usize>,
    pub(crate) chunks: Vec<Chunk>,
}

#[derive(Debug, Default)]
struct State {
    delay: Duration,
    split: usize,
    frozen: bool,
    cut: bool,
    /// Nothing is read any more.
    gone: bool,
    seen: Seen,
    held: Vec<u8>,
    total: usize,
}

/// One way through the proxy.
#[derive(Debug, Default)]
struct Way {
    state: Mutex<State>,
    changed: Condvar,
}

/// The proxy of one connection. Dropped, it drops the connection.
#[derive(Debug)]
pub(crate) struct Proxy {
    ways: [Arc<Way>; 2],
    sockets: Mutex<Vec<TcpStream>>,
    threads: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy, and the sockets of the two ends.
    pub(crate) fn new() -> (Self, [TcpStream; 2]) {
        let [(left, a), (right, b)] = [(); 2].map(|()| connected());
        let ways = [(); 2].map(|()| Arc::new(Way::default()));
        let mut threads = Vec::new();
        for (way, from, to) in [(&ways[0], &a, &b), (&ways[1], &b, &a)] {
            let (queue, queued) = channel();
            let clone = |socket: &TcpStream| socket.try_clone().unwrap();
            let (reads, from, back) = (Arc::clone(way), clone(from), clone(from));
            let (writes, to) = (Arc::clone(way), clone(to));
            threads.push(thread::spawn(move || reads.read(from, &queue)));
            threads.push(thread::spawn(move || writes.write(&to, &back, &queued)));
        }
        (Self { ways, sockets: Mutex::new(vec![a, b]), threads }, [left, right])
    }

    pub(crate) fn delay(&self, way: usize, by: Duration) {
        self.ways[way].change(|state| state.delay = by);
    }

    pub(crate) fn split(&self, way: usize, bytes: usize) {
        self.ways[way].change(|state| state.split = bytes);
    }

    pub(crate) fn freeze(&self, way: usize, on: bool) {
        self.ways[way].change(|state| state.frozen = on);
    }

    pub(crate) fn cut(&self, way: usize) {
        self.ways[way].change(|state| state.cut = true);
    }

    /// Ends both connections, which are reset where bytes are unread.
    pub(crate) fn drop_both(&self) {
        for way in &self.ways {
            way.change(|state| (state.cut, state.gone) = (true, true));
        }
        // A reader that waits for bytes holds its socket open: it has nothing unread.
        let until = Instant::now() + Duration::from_millis(20);
        while Instant::now() < until && !self.threads.iter().all(JoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(1));
        }
        let waits = !self.threads.iter().all(JoinHandle::is_finished);
        for socket in self.sockets.lock().unwrap().drain(..).filter(|_| waits) {
            let _gone = socket.shutdown(Shutdown::Both);
        }
    }

    /// Ends what is left, and says what was seen.
    pub(crate) fn finish(mut self) -> [Seen; 2] {
        self.drop_both();
        for thread in self.threads.drain(..) {
            thread.join().expect("a proxy does not panic");
        }
        [0, 1].map(|way| std::mem::take(&mut self.ways[way].lock().seen))
    }
}

impl Way {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until it is not frozen.
    fn thawed(&self) -> MutexGuard<'_, State> {
        self.changed.wait_while(self.lock(), |state| state.frozen && !state.gone).unwrap()
    }

    fn read(&self, mut from: TcpStream, queue: &Sender<(Instant, Vec<u8>)>) {
        let mut piece = vec![0; 64 << 10];
        loop {
            if self.thawed().gone {
                return;
            }
            let count = match from.read(&mut piece) {
                Ok(count) if count > 0 => count,
                // The writer notices that the queue has ended.
                _ => return,
            };
            let arrived = Instant::now();
            let mut state = self.lock();
            state.note(&piece[..count], arrived);
            let due = arrived + state.delay;
            drop(state);
            if queue.send((due, piece[..count].to_vec())).is_err() {
                return;
            }
        }
    }

    fn write(&self, to: &TcpStream, back: &TcpStream, queued: &Receiver<(Instant, Vec<u8>)>) {
        while let Ok((due, bytes)) = queued.recv() {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let split = self.lock().split;
            let size = if split == 0 { bytes.len() } else { split.max(bytes.len() / 200) };
            for piece in bytes.chunks(size) {
                if !self.pass_on(to, piece) {
                    let _gone = back.shutdown(Shutdown::Both);
                    return;
                }
            }
        }
        if !self.thawed().cut {
            let _gone = to.shutdown(Shutdown::Write);
        }
    }

    fn pass_on(&self, mut to: &TcpStream, piece: &[u8]) -> bool {
        let before = Instant::now();
        let before = match self.thawed() {
            state if state.cut => return true,
            _ => before.max(Instant::now()),
        };
        let is_written = to.write_all(piece).is_ok();
        let mut state = self.lock();
        let total = state.seen.chunks.last().map_or(0, |chunk| chunk.total) + piece.len();
        if is_written {
            state.seen.chunks.push(Chunk { before, after: Instant::now(), total });
        }
        is_written
    }
}

impl State {
    /// Takes the frames out of what an end wrote.
    fn note(&mut self, bytes: &[u8], arrived: Instant) {
        self.held.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(head) = self.held.get(start..start + 5) {
            let length = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
            let Some(payload) = self.held.get(start + 5..start + 4 + length) else { break };
            let what = match head[4] {
                2 => {
                    let value = u32::from_be_bytes(payload[..4].try_into().unwrap());
                    let stamp = u64::from_be_bytes(payload[4..12].try_into().unwrap());
                    let value = Duration::from_millis(value.into());
                    What::Heartbeat { value, stamp: Duration::from_micros(stamp - 1) }
                }
                3 => What::Data(payload[..16].to_vec()),
                4 => What::Bye,
                other => panic!("an end wrote a frame of type {other}"),
            };
            start += 4 + length;
            self.total += 4 + length;
            self.seen.frames.push(Frame { arrived, what });
            self.seen.frame_ends.push(self.total);
        }
        self.held.drain(..start);
    }
}

fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    for socket in [&ours, &theirs] {
        socket.set_nodelay(true).unwrap();
    }
    (ours, theirs)
}
