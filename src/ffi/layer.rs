//! Layers for C: `peerbeat_layer`, and the [`Layer`] that its functions make.
//!
//! Of what they return, statuses, texts and null are checked here, because only C has them; counts
//! are checked with those of every other layer. Invariant: a state that `create` has made is given
//! to `destroy` once, after its last call.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io;
use std::ptr::{null, null_mut};

use super::alive::One;
use super::callback::call;
use super::fault::{E_IO, Fault, OK};
use super::guard::guard;
use super::pointer::{SizedStruct, bytes, is_null, read_sized};
use crate::link::{Layer, Opened};
use crate::protocol::Escaped;

/// `peerbeat_layer`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the header has them
pub struct PeerbeatLayer {
    pub struct_size: u32,
    pub reserved: u32,
    pub create: Option<LayerCreate>,
    pub seal: Option<LayerSeal>,
    pub open: Option<LayerOpen>,
    pub close: Option<LayerClose>,
    pub is_ready: Option<LayerIsReady>,
    pub verified_name: Option<LayerVerifiedName>,
    pub destroy: Option<LayerDestroy>,
    pub user_data: *mut c_void,
}

/// `peerbeat_layer.create`.
pub type LayerCreate = unsafe extern "C" fn(
    user_data: *mut c_void,
    of: *const PeerbeatLayerConnection,
    state: *mut *mut c_void,
    out: *mut PeerbeatLayerOut,
) -> c_int;
/// `peerbeat_layer.seal`.
pub type LayerSeal = unsafe extern "C" fn(
    state: *mut c_void,
    plain: *const c_void,
    len: usize,
    taken: *mut usize,
    out: *mut PeerbeatLayerOut,
) -> c_int;
/// `peerbeat_layer.open`.
pub type LayerOpen = unsafe extern "C" fn(
    state: *mut c_void,
    sealed: *const c_void,
    len: usize,
    taken: *mut usize,
    plain: *mut c_void,
    cap: usize,
    given: *mut usize,
    out: *mut PeerbeatLayerOut,
) -> c_int;
/// `peerbeat_layer.close`.
pub type LayerClose = unsafe extern "C" fn(state: *mut c_void, out: *mut PeerbeatLayerOut) -> c_int;
/// `peerbeat_layer.is_ready`.
pub type LayerIsReady = unsafe extern "C" fn(state: *mut c_void) -> c_int;
/// `peerbeat_layer.verified_name`.
pub type LayerVerifiedName = unsafe extern "C" fn(
    state: *mut c_void,
    name: *mut *const c_char,
    out: *mut PeerbeatLayerOut,
) -> c_int;
/// `peerbeat_layer.destroy`.
pub type LayerDestroy = unsafe extern "C" fn(state: *mut c_void);

impl Default for PeerbeatLayer {
    fn default() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            reserved: 0,
            create: None,
            seal: None,
            open: None,
            close: None,
            is_ready: None,
            verified_name: None,
            destroy: None,
            user_data: null_mut(),
        }
    }
}

// SAFETY: `repr(C)`, the size first, numbers and pointers; an optional function may be null.
unsafe impl SizedStruct for PeerbeatLayer {}
// SAFETY: the header says that its functions are called by any thread; `user_data` is the host's to
// keep fit for that.
unsafe impl Send for PeerbeatLayer {}
// SAFETY: as above.
unsafe impl Sync for PeerbeatLayer {}

/// `peerbeat_layer_connection`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the header has them
pub struct PeerbeatLayerConnection {
    pub struct_size: u32,
    pub direction: i32,
    pub peer: *const c_char,
    pub remote_name: *const c_char,
    pub host: *const c_char,
}

/// The connection that a layer is for, in Rust.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of<'a> {
    pub(super) direction: c_int,
    pub(super) peer: &'a CStr,
    pub(super) remote_name: &'a CStr,
    pub(super) host: &'a CStr,
}

/// `PEERBEAT_DIRECTION_DIALLED`.
pub(super) const DIALLED: c_int = 1;
/// `PEERBEAT_DIRECTION_ACCEPTED`.
pub(super) const ACCEPTED: c_int = 2;

/// `peerbeat_layer_out`: the output of a layer's function besides its status.
#[derive(Debug)]
pub struct PeerbeatLayerOut {
    sealed: Vec<u8>,
    failure: Option<String>,
    /// Nothing can be put: it would never go out.
    is_shut: bool,
}

/// Appends bytes that go to the other side.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_layer_put(
    out: *mut PeerbeatLayerOut,
    data: *const u8,
    len: usize,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let out = unsafe { out.as_mut() }.ok_or_else(|| is_null("out"))?;
        if out.is_shut {
            return Err(Fault::invalid("this function of a layer cannot put bytes"));
        }
        // SAFETY: as the header says.
        out.sealed.extend_from_slice(unsafe { bytes(data, len, "data") }?);
        Ok(())
    })
}

/// Sets the reason why a function fails; returns a status for it to return.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_layer_fail(
    out: *mut PeerbeatLayerOut,
    text: *const c_char,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let out = unsafe { out.as_mut() }.ok_or_else(|| is_null("out"))?;
        if text.is_null() {
            return Err::<(), _>(is_null("text"));
        }
        // SAFETY: not null, and a text as the header says.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        let kept: String = text.chars().take(TEXT_MAX).collect();
        out.failure = Some(Escaped(&kept).to_string());
        Err(Fault::new(E_IO, "the layer's function fails"))
    })
}

impl PeerbeatLayer {
    /// Reads and checks the host's layer; null is none.
    ///
    /// # Safety
    /// `layer` is null or a `peerbeat_layer` as the header says.
    pub(super) unsafe fn read(layer: *const Self) -> Result<Option<Self>, Fault> {
        if layer.is_null() {
            return Ok(None);
        }
        // SAFETY: passed on.
        let layer = unsafe { read_sized(layer) }.map_err(|unfit| unfit.named("layer"))?;
        match (layer.seal, layer.open) {
            (None, _) => Err(is_null("layer->seal")),
            (_, None) => Err(is_null("layer->open")),
            _ => Ok(Some(layer)),
        }
    }
}

/// A layer of the host on one connection.
#[derive(Debug)]
pub(super) struct CLayer {
    functions: PeerbeatLayer,
    state: *mut c_void,
    /// The bytes that `create` has put; they go out before the first sealed bytes.
    begun: Vec<u8>,
    /// Dropped after the state is destroyed, as fields are.
    counted: Option<One>,
}

// SAFETY: the header says that the functions are called by any thread, one at a time.
unsafe impl Send for CLayer {}

impl CLayer {
    /// Makes the state for a connection.
    ///
    /// # Errors
    /// The result of `create`.
    pub(super) fn new(functions: PeerbeatLayer, of: Of<'_>) -> io::Result<Self> {
        let state = functions.user_data;
        let mut made = Self { functions, state, begun: Vec::new(), counted: None };
        let Some(create) = functions.create else { return Ok(made) };
        let of = PeerbeatLayerConnection {
            struct_size: size_of::<PeerbeatLayerConnection>() as u32,
            direction: of.direction,
            peer: of.peer.as_ptr(),
            remote_name: of.remote_name.as_ptr(),
            host: of.host.as_ptr(),
        };
        let mut state = null_mut();
        let created = run("create", &mut made.begun, |out| {
            // SAFETY: the host's function, as the header has it; the pointers outlive the call.
            unsafe { create(functions.user_data, &raw const of, &raw mut state, out) }
        });
        if let Err(error) = created {
            // There is no state to destroy.
            made.functions.destroy = None;
            return Err(error);
        }
        made.state = state;
        Ok(made)
    }

    /// The same, counted while it exists.
    pub(super) fn counted(mut self, one: One) -> Self {
        self.counted = Some(one);
        self
    }

    /// The name that the other side has proven; `None` = none is asked for.
    ///
    /// # Errors
    /// The result of `verified_name`.
    pub(super) fn verified_name(&mut self) -> io::Result<Option<String>> {
        let Some(verified_name) = self.functions.verified_name else { return Ok(None) };
        let mut name = null();
        run_shut("verified_name", |out| {
            // SAFETY: the host's function, as the header has it; the pointers outlive the call.
            unsafe { verified_name(self.state, &raw mut name, out) }
        })?;
        if name.is_null() {
            return Ok(None);
        }
        // SAFETY: not null, and a text as the header says.
        let name = unsafe { CStr::from_ptr(name) };
        let text = name.to_str().map_err(|_| invalid("the name that was proven is not UTF-8"))?;
        match text.is_empty() {
            true => Err(invalid("the name that was proven is empty")),
            false => Ok(Some(text.to_owned())),
        }
    }
}

impl Layer for CLayer {
    fn seal(&mut self, plain: &[u8], sealed: &mut Vec<u8>) -> io::Result<usize> {
        let Some(seal) = self.functions.seal else { return Ok(0) };
        sealed.append(&mut self.begun);
        let (mut taken, data) = (0, start(plain));
        run("seal", sealed, |out| {
            // SAFETY: the host's function, as the header has it; the pointers outlive the call.
            unsafe { seal(self.state, data, plain.len(), &raw mut taken, out) }
        })?;
        Ok(taken)
    }

    fn open(
        &mut self,
        sealed: &[u8],
        plain: &mut [u8],
        replies: &mut Vec<u8>,
    ) -> io::Result<Opened> {
        let Some(open) = self.functions.open else { return Ok(Opened::default()) };
        let (mut taken, mut given) = (0, 0);
        let (data, len) = (start(sealed), sealed.len());
        let cap = plain.len();
        let room = if cap == 0 { null_mut() } else { plain.as_mut_ptr().cast() };
        let is_ended = run("open", replies, |out| {
            let (taken, given) = (&raw mut taken, &raw mut given);
            // SAFETY: the host's function, as the header has it; the pointers outlive the call.
            unsafe { open(self.state, data, len, taken, room, cap, given, out) }
        })?;
        let opened = Opened::new(taken, given);
        Ok(if is_ended { opened.ended() } else { opened })
    }

    fn close(&mut self, sealed: &mut Vec<u8>) -> io::Result<()> {
        let Some(close) = self.functions.close else { return Ok(()) };
        run("close", sealed, |out| {
            // SAFETY: the host's function, as the header has it.
            unsafe { close(self.state, out) }
        })
        .map(drop)
    }

    fn is_ready(&self) -> bool {
        self.functions.is_ready.is_none_or(|is_ready| {
            // SAFETY: the host's function, as the header has it.
            call(|| unsafe { is_ready(self.state) }) != 0
        })
    }
}

impl Drop for CLayer {
    fn drop(&mut self) {
        if let Some(destroy) = self.functions.destroy {
            // SAFETY: the host's function, as the header has it; this is the last call.
            call(|| unsafe { destroy(self.state) });
        }
    }
}

/// Calls a function of the host: what it puts is appended to `sealed`, even if it fails. Returns
/// whether the stream has ended.
fn run(
    name: &str,
    sealed: &mut Vec<u8>,
    function: impl FnOnce(*mut PeerbeatLayerOut) -> c_int,
) -> io::Result<bool> {
    let sealed_before = std::mem::take(sealed);
    let mut out = PeerbeatLayerOut { sealed: sealed_before, failure: None, is_shut: false };
    let status = call(|| function(&raw mut out));
    *sealed = out.sealed;
    judge(name, status, out.failure)
}

/// The same for a function that cannot put bytes.
fn run_shut(name: &str, function: impl FnOnce(*mut PeerbeatLayerOut) -> c_int) -> io::Result<bool> {
    let mut out = PeerbeatLayerOut { sealed: Vec::new(), failure: None, is_shut: true };
    let status = call(|| function(&raw mut out));
    judge(name, status, out.failure)
}

fn judge(name: &str, status: c_int, failure: Option<String>) -> io::Result<bool> {
    match (status, failure) {
        (OK, None) => Ok(false),
        (ENDED, None) if name == "open" => Ok(true),
        (_, Some(text)) => Err(invalid(&text)),
        (status, None) => Err(invalid(&format!("the layer's {name} returned {status}"))),
    }
}

/// Where bytes begin; null if there are none.
fn start(bytes: &[u8]) -> *const c_void {
    if bytes.is_empty() { null() } else { bytes.as_ptr().cast() }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// `PEERBEAT_LAYER_ENDED`.
pub const ENDED: c_int = 1;
/// How many characters of a failure's text are kept.
const TEXT_MAX: usize = 400;
