//! `peerbeat_options`: defaults, and how the numbers are converted.
//!
//! Enumerations arrive as integers and are checked, as is everything that a later step would have
//! to refuse. For all other fields any number is valid.

use std::ffi::{c_char, c_int};
use std::ptr::null;
use std::time::Duration;

use super::fault::Fault;
use super::guard::guard;
use super::layer::PeerbeatLayer;
use super::pointer::{SizedStruct, Unfit, check_size, is_null, optional_text, read_sized};
use super::stack;
use crate::link::LinkOptions;
use crate::liveness::{Mode, Settings};
use crate::protocol::{FRAME_MAX, Hello, Native, ProtocolError};

/// `peerbeat_options`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the header has them
pub struct PeerbeatOptions {
    pub struct_size: u32,
    pub heartbeat_time_ms: u32,
    pub slack_ms: u32,
    pub heartbeat_time_min_ms: u32,
    pub heartbeat_mode: i32,
    pub handshake: i32,
    pub connect_timeout_ms: u32,
    pub handshake_timeout_ms: u32,
    pub send_timeout_ms: u32,
    pub close_timeout_ms: u32,
    pub local_id: u32,
    pub nagle: u32,
    pub frame_max: u64,
    pub queue_bytes: u64,
    pub inbox_bytes: u64,
    pub stack_size: u64,
    pub local_name: *const c_char,
    pub local_label: *const c_char,
    pub thread_name: *const c_char,
    pub close_max_ms: u32,
    pub reserved: u32,
}

impl Default for PeerbeatOptions {
    fn default() -> Self {
        super::options::defaults()
    }
}

// SAFETY: `repr(C)`, the size first, numbers and pointers.
unsafe impl SizedStruct for PeerbeatOptions {}

/// Options whose texts were copied and whose numbers were checked.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) link: LinkOptions,
    pub(super) framing: Native,
    pub(super) inbox_bytes: usize,
    pub(super) handshake: Handshake,
    pub(super) connect_timeout: Duration,
    pub(super) handshake_timeout: Duration,
    pub(super) local_name: String,
    pub(super) local_label: String,
    pub(super) local_id: u32,
    pub(super) thread_name: Option<String>,
    pub(super) layer: Option<PeerbeatLayer>,
}

/// Who says HELLO first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handshake {
    Default,
    Dial,
    Accept,
    None,
}

impl Checked {
    /// Reads and checks the host's options.
    ///
    /// # Safety
    /// `options` is null or a `peerbeat_options` as the header says.
    pub(super) unsafe fn read(options: *const PeerbeatOptions) -> Result<Self, Fault> {
        // SAFETY: passed on.
        let raw = unsafe { read_options(options) }.map_err(|unfit| unfit.named("options"))?;
        let liveness = settings(&raw)
            .ok_or_else(|| not_one("heartbeat_mode", raw.heartbeat_mode, "PEERBEAT_MODE_"))?;
        // SAFETY: a text from the host or from us.
        let local_name = unsafe { optional_text(raw.local_name, "options->local_name") }?;
        // SAFETY: as above.
        let local_label = unsafe { optional_text(raw.local_label, "options->local_label") }?;
        // SAFETY: as above.
        let thread_name = unsafe { optional_text(raw.thread_name, "options->thread_name") }?;
        let checked = Self {
            link: LinkOptions {
                liveness,
                queue_bytes: size(raw.queue_bytes),
                send_timeout: millis(raw.send_timeout_ms),
                close_timeout: millis(raw.close_timeout_ms),
                close_max: millis(raw.close_max_ms),
                tcp_nodelay: raw.nagle == 0,
                stack_size: stack_size(
                    raw.stack_size,
                    LinkOptions::default().stack_size,
                    "options",
                )?,
                ..LinkOptions::default()
            },
            framing: Native::with_frame_max(frame_max(raw.frame_max)?),
            inbox_bytes: size(raw.inbox_bytes),
            handshake: handshake(raw.handshake)?,
            connect_timeout: millis(raw.connect_timeout_ms).max(Duration::from_millis(1)),
            handshake_timeout: millis(raw.handshake_timeout_ms),
            local_name: local_name.unwrap_or("peerbeat").to_owned(),
            local_label: local_label.unwrap_or_default().to_owned(),
            local_id: raw.local_id,
            thread_name: thread_name.map(str::to_owned),
            layer: None,
        };
        checked.check_hello().map_err(|error| Fault::invalid(format!("options: {error}")))?;
        Ok(checked)
    }

    /// The same for links on which the host's layer is, if it is not null.
    ///
    /// # Safety
    /// As [`read`](Self::read), and `layer` is null or a `peerbeat_layer` as the header says.
    pub(super) unsafe fn read_layered(
        options: *const PeerbeatOptions,
        layer: *const PeerbeatLayer,
    ) -> Result<Self, Fault> {
        // SAFETY: passed on.
        let mut checked = unsafe { Self::read(options) }?;
        // SAFETY: passed on.
        checked.layer = unsafe { PeerbeatLayer::read(layer) }?;
        if checked.layer.is_some() {
            // Its functions run on the link's threads.
            let stack_size = stack::with_thread_locals(FOREIGN_STACK);
            checked.link.stack_size = checked.link.stack_size.max(stack_size);
        }
        Ok(checked)
    }

    pub(super) fn hello(&self) -> Hello<'_> {
        Hello {
            name: &self.local_name,
            label: &self.local_label,
            id: self.local_id,
            always: self.link.liveness.mode == Mode::Always,
            heartbeat_time_ms: Some(self.link.liveness.configured_ms()),
            ..Hello::default()
        }
    }

    fn check_hello(&self) -> Result<(), ProtocolError> {
        self.hello().encode(&mut Vec::new())
    }
}

/// The options of a host, null meaning the defaults.
///
/// # Safety
/// As [`read_sized`].
pub(super) unsafe fn read_options(
    options: *const PeerbeatOptions,
) -> Result<PeerbeatOptions, Unfit> {
    if options.is_null() {
        return Ok(defaults());
    }
    // SAFETY: passed on.
    unsafe { read_sized(options) }
}

/// The settings of liveness; `None` for a mode that there is not. Makes no use of the heap.
pub(super) fn settings(raw: &PeerbeatOptions) -> Option<Settings> {
    let mode = match raw.heartbeat_mode {
        0 => Mode::Idle,
        1 => Mode::Always,
        _ => return None,
    };
    Some(Settings {
        heartbeat_time: (raw.heartbeat_time_ms > 0).then(|| millis(raw.heartbeat_time_ms)),
        slack: millis(raw.slack_ms),
        mode,
        heartbeat_time_min: millis(raw.heartbeat_time_min_ms),
        given: None,
    })
}

/// A stack that our own code fits on, and that a system could have, beside the host's thread-local
/// variables; `default` replaces 0.
pub(super) fn stack_size(bytes: u64, default: usize, of: &str) -> Result<usize, Fault> {
    let bytes = match usize::try_from(bytes) {
        Ok(0) => default,
        Ok(bytes) if bytes <= STACK_MAX => bytes.max(STACK_MIN),
        _ => {
            let detail = format!("{of}->stack_size is {bytes}, allowed: to {STACK_MAX}");
            return Err(Fault::invalid(detail));
        }
    };
    Ok(stack::with_thread_locals(bytes))
}

pub(super) fn defaults() -> PeerbeatOptions {
    let (link, settings) = (LinkOptions::default(), Settings::default());
    PeerbeatOptions {
        struct_size: size_of::<PeerbeatOptions>() as u32,
        heartbeat_time_ms: settings.heartbeat_time.map_or(0, to_millis),
        slack_ms: to_millis(settings.slack),
        heartbeat_time_min_ms: to_millis(settings.heartbeat_time_min),
        heartbeat_mode: 0,
        handshake: 0,
        connect_timeout_ms: to_millis(link.connect_timeout),
        handshake_timeout_ms: to_millis(link.handshake_timeout),
        send_timeout_ms: to_millis(link.send_timeout),
        close_timeout_ms: to_millis(link.close_timeout),
        local_id: 0,
        nagle: 0,
        frame_max: FRAME_MAX as u64,
        queue_bytes: link.queue_bytes as u64,
        inbox_bytes: link.inbox_bytes as u64,
        stack_size: link.stack_size as u64,
        local_name: null(),
        local_label: null(),
        thread_name: null(),
        close_max_ms: to_millis(link.close_max),
        reserved: 0,
    }
}

/// Fills options with the defaults, as far as `struct_size` goes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_options_init(
    options: *mut PeerbeatOptions,
    struct_size: usize,
) -> c_int {
    guard(|| {
        if options.is_null() {
            return Err(is_null("options"));
        }
        check_size::<PeerbeatOptions>(struct_size).map_err(|unfit| unfit.named("options"))?;
        let mut values = defaults();
        values.struct_size = struct_size as u32;
        let begin = options.cast::<u8>();
        // SAFETY: `struct_size` bytes are there; what we do not know of becomes zero.
        unsafe { begin.write_bytes(0, struct_size) };
        let count = struct_size.min(size_of::<PeerbeatOptions>());
        // SAFETY: both are at least that long.
        unsafe { begin.copy_from_nonoverlapping((&raw const values).cast(), count) };
        Ok(())
    })
}

fn handshake(number: i32) -> Result<Handshake, Fault> {
    Ok(match number {
        0 => Handshake::Default,
        1 => Handshake::Dial,
        2 => Handshake::Accept,
        3 => Handshake::None,
        other => return Err(not_one("handshake", other, "PEERBEAT_HANDSHAKE_")),
    })
}

fn frame_max(bytes: u64) -> Result<usize, Fault> {
    match usize::try_from(bytes) {
        Ok(bytes) if (FRAME_MIN..=u32::MAX as usize).contains(&bytes) => Ok(bytes),
        _ => Err(Fault::invalid(format!(
            "options->frame_max is {bytes}, allowed: {FRAME_MIN} to {}",
            u32::MAX
        ))),
    }
}

fn not_one(name: &str, number: i32, prefix: &str) -> Fault {
    Fault::invalid(format!("options->{name} is {number}, allowed: one of {prefix}"))
}

fn millis(count: u32) -> Duration {
    Duration::from_millis(count.into())
}

fn to_millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The stack of a thread that runs functions of the host: they expect more than ours need.
pub(super) const FOREIGN_STACK: usize = 1 << 20;
/// A goodbye with its longest text fits into this.
const FRAME_MIN: usize = 512;
const STACK_MIN: usize = 64 << 10;
const STACK_MAX: usize = if usize::BITS > 32 { 1 << 40 } else { 1 << 30 };
