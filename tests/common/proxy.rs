//! A cable made of two sockets, which a test can freeze, squeeze, slice, cut and reset.
//!
//! It carries every connection that comes on to one address. Each direction has a mode of its own,
//! which may change at any time; what a mode holds back is not lost unless the connection ends.
//!
//! Invariant: no thread of a proxy outlives it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What a direction does with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Carries them.
    Pass,
    /// Takes none: they wait where they are.
    Freeze,
    /// Carries so many, then rests for so long.
    Trickle(usize, Duration),
    /// Carries them one byte a write.
    Slice,
    /// Ends the connection in order: both sides see the end of the stream.
    Cut,
    /// Ends it with bytes that nobody has read: the kernel then sends a reset.
    Reset,
}

/// The modes of both directions, from the side that dialled and towards it.
#[derive(Debug)]
struct Modes([Mutex<Mode>; 2]);

/// A listening proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    addr: SocketAddr,
    modes: Arc<Modes>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens, and carries what comes to `target`.
    pub(crate) fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let modes = Arc::new(Modes([Mutex::new(Mode::Pass), Mutex::new(Mode::Pass)]));
        let stop = Arc::new(AtomicBool::new(false));
        let (modes_too, stop_too) = (Arc::clone(&modes), Arc::clone(&stop));
        let thread = spawn(move || accept(&listener, target, &modes_too, &stop_too));
        Self { addr, modes, stop, thread: Some(thread) }
    }

    /// Where to dial.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sets the mode of both directions, from the dialling side first.
    pub(crate) fn set(&self, from_dialler: Mode, to_dialler: Mode) {
        for (slot, mode) in self.modes.0.iter().zip([from_dialler, to_dialler]) {
            *slot.lock().unwrap() = mode;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _woken = TcpStream::connect(self.addr);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// Threads with small stacks: there may be hundreds.
fn spawn(body: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name("proxy".to_owned()).stack_size(128 << 10).spawn(body).unwrap()
}

fn accept(listener: &TcpListener, target: SocketAddr, modes: &Arc<Modes>, stop: &Arc<AtomicBool>) {
    let mut pumps: Vec<JoinHandle<()>> = Vec::new();
    for near in listener.incoming() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        pumps.retain(|pump| !pump.is_finished());
        let (Ok(near), Ok(far)) = (near, TcpStream::connect(target)) else { continue };
        let (near, far) = (Arc::new(near), Arc::new(far));
        for stream in [&near, &far] {
            let _refused = stream.set_nodelay(true);
            let _refused = stream.set_read_timeout(Some(LOOK));
            let _refused = stream.set_write_timeout(Some(LOOK));
        }
        let over = Arc::new(AtomicBool::new(false));
        for (index, from, to) in [(0, &near, &far), (1, &far, &near)] {
            let (from, to, modes) = (Arc::clone(from), Arc::clone(to), Arc::clone(modes));
            let (stop, over) = (Arc::clone(stop), Arc::clone(&over));
            pumps.push(spawn(move || {
                let is_over = || stop.load(Ordering::Relaxed) || over.load(Ordering::Relaxed);
                pump(&from, &to, &modes.0[index], is_over);
                over.store(true, Ordering::Relaxed);
            }));
        }
    }
    for pump in pumps {
        let _ended = pump.join();
    }
}

/// Carries one direction until it ends or is ended.
fn pump(mut from: &TcpStream, to: &TcpStream, mode: &Mutex<Mode>, is_over: impl Fn() -> bool) {
    let mut buffer = vec![0; 64 << 10];
    while !is_over() {
        let now = *mode.lock().unwrap();
        let most = match now {
            Mode::Pass | Mode::Slice => buffer.len(),
            Mode::Trickle(most, _) => most.min(buffer.len()),
            Mode::Freeze => {
                thread::sleep(STEP);
                continue;
            }
            Mode::Cut => {
                let _gone = from.shutdown(Shutdown::Both);
                let _gone = to.shutdown(Shutdown::Both);
                return;
            }
            Mode::Reset => return wait_unread(from),
        };
        match from.read(&mut buffer[..most]) {
            Ok(0) => break,
            Ok(count) if !carry(to, &buffer[..count], now, &is_over) => break,
            Ok(_) => {}
            Err(e) if is_timeout(e.kind()) => {}
            Err(_) => break,
        }
        if let Mode::Trickle(_, rest) = now {
            thread::sleep(rest);
        }
    }
    if *mode.lock().unwrap() == Mode::Reset {
        return;
    }
    // The other direction may have more to carry, but a link that ends one ends both.
    let _gone = to.shutdown(Shutdown::Both);
    let _gone = from.shutdown(Shutdown::Both);
}

/// Writes all of it and says whether that could be done.
fn carry(mut to: &TcpStream, bytes: &[u8], mode: Mode, is_over: impl Fn() -> bool) -> bool {
    let step = if mode == Mode::Slice { 1 } else { bytes.len() };
    let mut rest = bytes;
    while !rest.is_empty() {
        if is_over() {
            return false;
        }
        match to.write(&rest[..step.min(rest.len())]) {
            Ok(count) => rest = &rest[count..],
            Err(e) if is_timeout(e.kind()) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Waits for a byte that then nobody reads; the socket is closed by whoever lets go of it last.
fn wait_unread(from: &TcpStream) {
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        match from.peek(&mut [0]) {
            Err(e) if is_timeout(e.kind()) => {}
            _ => return,
        }
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// How often a pump looks whether its mode has changed, at the least.
const LOOK: Duration = Duration::from_millis(50);
const STEP: Duration = Duration::from_millis(10);
