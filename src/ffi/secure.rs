//! Connections with a layer of the host's on them: those of links, and those of a node.
//!
//! A link's layer lives as long as the link, which the host frees. A node makes connections on its
//! own, so its layers are counted: freeing the node interrupts handshakes that are under way, and
//! waits for the last layer, after which no function of the host's is called.

use std::ffi::{CStr, c_int};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use super::fault::{E_HANDSHAKE, E_IO, Fault};
use super::handle::lock;
use super::layer::{ACCEPTED, CLayer, DIALLED, Of, PeerbeatLayer};
use super::pointer::c_text;
use crate::config::Address;
use crate::link::{Layer, Layered, Opened, Socket, Stream};
use crate::node::{Connected, Dial, Transport};
use crate::recover::Recover;

/// What a link runs on: a socket, or a layer over one.
pub(super) type AnyStream = Arc<dyn Stream>;

/// A connection, and the name that the other side has proven.
pub(super) struct Secured {
    pub(super) stream: AnyStream,
    pub(super) verified_name: Option<String>,
}

/// Puts the layer, if there is one, on a link's socket and makes its handshake by `deadline`.
pub(super) fn secure(
    stream: TcpStream,
    layer: Option<PeerbeatLayer>,
    direction: c_int,
    host: &CStr,
    deadline: Instant,
) -> Result<Secured, Fault> {
    let Some(functions) = layer else {
        return Ok(Secured { stream: Arc::new(stream), verified_name: None });
    };
    let of = Of { direction, peer: c"", remote_name: c"", host };
    let made = CLayer::new(functions, of).and_then(|layer| {
        let layered = Layered::open(stream, layer, deadline)?;
        let verified_name = layered.with_layer(CLayer::verified_name)?;
        Ok(Secured { stream: Arc::new(layered), verified_name })
    });
    made.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => Fault::new(E_HANDSHAKE, "the layer was not ready in time"),
        _ if error.raw_os_error().is_some() => Fault::io(E_IO, "the layer's handshake", &error),
        _ => Fault::new(E_HANDSHAKE, format!("the layer's handshake: {error}")),
    })
}

/// The connections of a node whose host has a layer.
#[derive(Debug)]
pub(super) struct LayerTransport {
    functions: PeerbeatLayer,
    alive: Arc<Alive>,
}

/// The layers of a node that there are.
#[derive(Debug, Default)]
pub(super) struct Alive {
    state: Mutex<State>,
    fewer: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_ending: bool,
    layers: usize,
    /// The sockets on which handshakes are under way.
    shaking: Vec<(u64, Socket)>,
    next_number: u64,
}

impl Alive {
    /// Interrupts handshakes; none begins any more.
    pub(super) fn end(&self) {
        let mut state = lock(&self.state);
        state.is_ending = true;
        for (_, socket) in &state.shaking {
            let _gone = Stream::shutdown(socket, Shutdown::Both);
        }
    }

    /// Waits until no handshake is under way, or until `deadline`; returns whether none is.
    pub(super) fn wait_shaken(&self, deadline: Option<Instant>) -> bool {
        self.wait(deadline, |state| state.shaking.is_empty())
    }

    /// Waits until there is no layer any more.
    pub(super) fn wait_gone(&self) {
        self.wait(None, |state| state.layers == 0);
    }

    fn wait(&self, deadline: Option<Instant>, is_over: impl Fn(&State) -> bool) -> bool {
        let mut state = lock(&self.state);
        while !is_over(&state) {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            state = match left {
                Some(left) if left.is_zero() => return false,
                Some(left) => {
                    let woken = self.fewer.wait_timeout(state, left);
                    woken.recover().0
                }
                None => self.fewer.wait(state).recover(),
            };
        }
        true
    }

    /// Enters a handshake.
    fn begin(&self, socket: &Socket) -> io::Result<u64> {
        let mut state = lock(&self.state);
        if state.is_ending {
            return Err(io::Error::other("the node stops"));
        }
        let number = state.next_number;
        state.next_number += 1;
        state.layers += 1;
        state.shaking.push((number, socket.clone()));
        Ok(number)
    }

    fn leave(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.fewer.notify_all();
    }
}

/// A layer that is counted.
struct Counted {
    /// Dropped before the count, as fields are in their order.
    layer: CLayer,
    _one: One,
}

struct One(Arc<Alive>);

impl Drop for One {
    fn drop(&mut self) {
        self.0.leave(|state| state.layers -= 1);
    }
}

/// A handshake that is under way.
struct Shaking<'a>(&'a Alive, u64);

impl Drop for Shaking<'_> {
    fn drop(&mut self) {
        self.0.leave(|state| state.shaking.retain(|(number, _)| *number != self.1));
    }
}

impl Layer for Counted {
    fn seal(&mut self, plain: &[u8], sealed: &mut Vec<u8>) -> io::Result<usize> {
        self.layer.seal(plain, sealed)
    }

    fn open(
        &mut self,
        sealed: &[u8],
        plain: &mut [u8],
        replies: &mut Vec<u8>,
    ) -> io::Result<Opened> {
        self.layer.open(sealed, plain, replies)
    }

    fn close(&mut self, sealed: &mut Vec<u8>) -> io::Result<()> {
        self.layer.close(sealed)
    }

    fn is_ready(&self) -> bool {
        self.layer.is_ready()
    }
}

impl LayerTransport {
    pub(super) fn new(functions: PeerbeatLayer, alive: Arc<Alive>) -> Self {
        Self { functions, alive }
    }

    fn secure(&self, socket: Socket, of: Of<'_>, deadline: Instant) -> io::Result<Connected> {
        let alive = &self.alive;
        let number = alive.begin(&socket)?;
        // Dropped after what follows, so that a layer that fails is gone before its handshake is.
        let _shaking = Shaking(alive, number);
        let one = One(Arc::clone(alive));
        let layer = Counted { layer: CLayer::new(self.functions, of)?, _one: one };
        let layered = Layered::open(socket, layer, deadline)?;
        let name = layered.with_layer(|counted| counted.layer.verified_name())?;
        let connected = Connected::new(layered);
        Ok(match name {
            Some(name) => connected.verified_name(name),
            None => connected,
        })
    }
}

impl Transport for LayerTransport {
    fn connect(&self, dial: &Dial<'_>) -> io::Result<Connected> {
        let [peer, remote_name] = [dial.peer, dial.remote_name.unwrap_or_default()].map(c_text);
        let host = match dial.address {
            Address::Tcp { host, .. } => c_text(host),
            Address::Unix(path) => c_text(&path.to_string_lossy()),
        };
        let of = Of { direction: DIALLED, peer: &peer, remote_name: &remote_name, host: &host };
        self.secure(dial.connect()?, of, dial.deadline)
    }

    fn accept(&self, socket: Socket, deadline: Instant) -> io::Result<Connected> {
        let of = Of { direction: ACCEPTED, peer: c"", remote_name: c"", host: c"" };
        self.secure(socket, of, deadline)
    }
}
