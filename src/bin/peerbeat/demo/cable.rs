//! A cable that can be pulled: a small TCP proxy on this machine.
//!
//! While it is plugged in it carries bytes both ways, unchanged, and counts the frames among them.
//! Pulled, it swallows whatever comes, both ways, and closes nothing: neither end gets a FIN or a
//! RST, which is what a real pulled cable looks like. A connection that was cut stays cut.
//!
//! Invariant: a byte is passed on only with the state locked and the cable plugged in, and its time
//! was taken before, so that no end can have read it earlier than that.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::protocol::{Decoder, Frame, Native};

use super::stage::Side;

/// One frame that passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed {
    pub(super) at: Instant,
    pub(super) from: Side,
    pub(super) kind: Kind,
}

/// What a frame was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Heartbeat,
    Other,
}

/// The cable; clones are handles on the same one. Its threads end with the process.
#[derive(Clone)]
pub(super) struct Cable {
    shared: Arc<Mutex<State>>,
    addr: SocketAddr,
}

struct State {
    plugged: bool,
    /// Both streams of every connection, to end the cut ones when the cable is plugged in again.
    wires: Vec<TcpStream>,
    /// Counts how often the cable was pulled: a connection of an earlier count is cut.
    pulled: u32,
    passed: Vec<Passed>,
    /// When the last bytes were handed to each end.
    to_feed: Option<Instant>,
    to_hub: Option<Instant>,
    swallowed: u64,
}

impl Cable {
    /// Lays a cable to `hub`; the feed dials [`addr`](Self::addr).
    pub(super) fn lay(hub: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let addr = listener.local_addr()?;
        let state = State {
            plugged: true,
            wires: Vec::new(),
            pulled: 0,
            passed: Vec::new(),
            to_feed: None,
            to_hub: None,
            swallowed: 0,
        };
        let cable = Self { shared: Arc::new(Mutex::new(state)), addr };
        let accepting = cable.clone();
        thread::Builder::new().name("cable".to_owned()).spawn(move || {
            for stream in listener.incoming().flatten() {
                // A connection that cannot be carried is a broken cable: the demo sees it as such.
                let _ = accepting.connect(stream, hub);
            }
        })?;
        Ok(cable)
    }

    /// Where the feed dials.
    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Pulls the cable: from now on every byte vanishes, and nothing is closed.
    pub(super) fn pull(&self) {
        let mut state = self.lock();
        state.plugged = false;
        state.pulled += 1;
    }

    /// Plugs the cable in: new connections are carried. The cut ones end, as they do when an end
    /// that has given them up is reached again.
    pub(super) fn plug(&self) {
        let mut state = self.lock();
        state.plugged = true;
        for stream in state.wires.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// The frames that passed from `from` on.
    pub(super) fn passed_since(&self, from: Instant) -> Vec<Passed> {
        self.lock().passed.iter().copied().filter(|frame| frame.at >= from).collect()
    }

    /// When the last bytes were handed to this end.
    pub(super) fn last_to(&self, side: Side) -> Option<Instant> {
        let state = self.lock();
        match side {
            Side::Feed => state.to_feed,
            Side::Hub => state.to_hub,
        }
    }

    /// Bytes that vanished.
    pub(super) fn swallowed(&self) -> u64 {
        self.lock().swallowed
    }

    fn connect(&self, feed: TcpStream, hub: SocketAddr) -> io::Result<()> {
        let (plugged, pulled) = {
            let state = self.lock();
            (state.plugged, state.pulled)
        };
        let wire = |stream: &TcpStream| -> io::Result<TcpStream> {
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(Duration::from_secs(1)))?;
            stream.try_clone()
        };
        let mut kept = vec![wire(&feed)?];
        if plugged {
            let hub = TcpStream::connect(hub)?;
            kept.push(wire(&hub)?);
            self.carry(Side::Hub, hub.try_clone()?, feed.try_clone()?, pulled)?;
            self.carry(Side::Feed, feed, hub, pulled)?;
        } else {
            // The dial goes nowhere: its bytes vanish, and no answer comes.
            let nowhere = feed.try_clone()?;
            self.carry(Side::Feed, feed, nowhere, pulled.wrapping_sub(1))?;
        }
        self.lock().wires.append(&mut kept);
        Ok(())
    }

    fn carry(&self, side: Side, from: TcpStream, to: TcpStream, pulled: u32) -> io::Result<()> {
        let cable = self.clone();
        let name = format!("cable from {}", side.name());
        thread::Builder::new().name(name).spawn(move || {
            cable.carry_all(side, &from, &to, pulled);
        })?;
        Ok(())
    }

    fn carry_all(&self, side: Side, mut from: &TcpStream, to: &TcpStream, pulled: u32) {
        let mut decoder = Decoder::new(Native::default());
        let mut buffer = [0; 4096];
        loop {
            let count = match from.read(&mut buffer) {
                Ok(count) if count > 0 => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                _ => break,
            };
            if self.pass(side, to, pulled, &buffer[..count]).is_err() {
                break;
            }
            self.count(side, &mut decoder, &buffer[..count]);
        }
        // An end reaches the other only through a whole cable.
        let state = self.lock();
        if state.plugged && state.pulled == pulled {
            let _ = to.shutdown(Shutdown::Write);
        }
    }

    /// Hands bytes on, or lets them vanish.
    fn pass(&self, side: Side, mut to: &TcpStream, pulled: u32, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        if !state.plugged || state.pulled != pulled {
            state.swallowed += bytes.len() as u64;
            return Ok(());
        }
        let now = Some(Instant::now());
        match side {
            Side::Feed => state.to_hub = now,
            Side::Hub => state.to_feed = now,
        }
        to.write_all(bytes)
    }

    fn count(&self, from: Side, decoder: &mut Decoder<Native>, mut bytes: &[u8]) {
        let at = Instant::now();
        while !bytes.is_empty() {
            let spare = decoder.spare();
            let count = spare.len().min(bytes.len());
            spare[..count].copy_from_slice(&bytes[..count]);
            decoder.handle_filled(count);
            bytes = &bytes[count..];
            while let Ok(Some(frame)) = decoder.poll_frame() {
                let kind = match frame {
                    Frame::Data(_) => Kind::Data,
                    Frame::Heartbeat(_) => Kind::Heartbeat,
                    _ => Kind::Other,
                };
                self.lock().passed.push(Passed { at, from, kind });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
