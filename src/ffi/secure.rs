//! Connections with a layer of the host, for links and for nodes.
//!
//! A link's layer lives until the host frees the link; the layers of a node are counted.

use std::ffi::{CStr, c_int};
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use super::alive::Alive;
use super::fault::{E_HANDSHAKE, E_IO, Fault};
use super::layer::{ACCEPTED, CLayer, DIALLED, Of, PeerbeatLayer};
use super::pointer::c_text;
use crate::config::Address;
use crate::link::{Layered, Socket, Stream};
use crate::node::{Connected, Dial, Transport};

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

impl LayerTransport {
    pub(super) fn new(functions: PeerbeatLayer, alive: Arc<Alive>) -> Self {
        Self { functions, alive }
    }

    fn secure(&self, socket: Socket, of: Of<'_>, deadline: Instant) -> io::Result<Connected> {
        // Dropped after what follows, so that a layer that fails is gone before its handshake is.
        let (_shaking, one) = self.alive.begin(&socket)?;
        let layer = CLayer::new(self.functions, of)?.counted(one);
        let layered = Layered::open(socket, layer, deadline)?;
        let name = layered.with_layer(CLayer::verified_name)?;
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
