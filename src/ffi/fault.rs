//! Status codes, their words, why a call failed, and the details of a thread's last failure.
//!
//! The numbers are part of the ABI: never changed and never reused. Details are kept per thread, so
//! that no thread reads another's, and copied out, so that nothing has to be freed.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::{CStr, c_int};
use std::fmt::{self, Display};
use std::io;

use crate::link::handshake::HandshakeError;
use crate::link::{RecvError, SendError, is_out_of_descriptors};
use crate::node::{ReloadError, StartError};

macro_rules! codes {
    ($($name:ident = $number:literal $words:literal,)*) => {
        $(
            #[doc = concat!("`PEERBEAT_", stringify!($name), "`.")]
            pub const $name: c_int = $number;
        )*

        pub(super) fn words(code: c_int) -> &'static CStr {
            match code {
                $($number => $words,)*
                _ => c"not a status of peerbeat",
            }
        }
    };
}

codes! {
    OK = 0 c"success",
    E_INVALID = -1 c"invalid argument",
    E_CONFIG = -2 c"the configuration has errors",
    E_NOT_FOUND = -3 c"no such peer",
    E_TIMEOUT = -4 c"timed out",
    E_FULL = -5 c"the send queue is full",
    E_TOO_SMALL = -6 c"the buffer is too small for the message",
    E_TOO_LONG = -7 c"the message is too long for a frame",
    E_DOWN = -8 c"the link is down",
    E_NOT_CONNECTED = -9 c"the peer is not connected",
    E_CONNECT = -10 c"cannot connect",
    E_REFUSED = -11 c"refused by the other side",
    E_HANDSHAKE = -12 c"the handshake failed",
    E_LISTEN = -13 c"cannot listen",
    E_IO = -14 c"socket error",
    E_LIMIT = -15 c"out of threads, descriptors or memory",
    E_OWN_THREAD = -16 c"not possible from inside a callback",
    E_FORKED = -17 c"the handle belongs to the parent process",
    E_BUSY = -18 c"a borrowed message has not been released",
    E_CLOSED = -19 c"the listener is being freed",
    E_NEXT_CONNECTION = -20 c"a larger heartbeat-time waits for the next connection",
    E_PANIC = -21 c"internal error in peerbeat",
}

/// Why a call failed: the code that it returns, the details for `peerbeat_last_error`, and the
/// system's number for `peerbeat_last_errno`, 0 if there is none.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) code: c_int,
    detail: Detail,
    errno: c_int,
}

/// Details, put into words only when they are asked for: a full queue is reported very often.
#[derive(Debug)]
enum Detail {
    /// The argument of this name was null.
    Null(&'static str),
    Text(Cow<'static, str>),
    Send(SendError),
    Recv(RecvError),
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null(name) => write!(f, "{name} is NULL"),
            Self::Text(text) => f.write_str(text),
            Self::Send(error) => error.fmt(f),
            Self::Recv(error) => error.fmt(f),
        }
    }
}

impl Fault {
    pub(super) fn new(code: c_int, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: Detail::Text(detail.into()), errno: 0 }
    }

    pub(super) fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(E_INVALID, detail)
    }

    pub(super) fn null(name: &'static str) -> Self {
        Self { code: E_INVALID, detail: Detail::Null(name), errno: 0 }
    }

    /// A failed system call: `E_LIMIT` if a limit is behind it, which is named, else `code`.
    pub(super) fn io(code: c_int, doing: impl Display, error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(0);
        match limit(error) {
            Some(limit) => {
                let detail = format!("{doing}: {error}; {limit}");
                Self { errno, ..Self::new(E_LIMIT, detail) }
            }
            None => Self { errno, ..Self::new(code, format!("{doing}: {error}")) },
        }
    }

    /// A thread that could not be made.
    pub(super) fn thread(error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(0);
        Self { errno, ..Self::new(E_LIMIT, error.to_string()) }
    }
}

impl From<SendError> for Fault {
    fn from(error: SendError) -> Self {
        let code = match &error {
            SendError::Full => E_FULL,
            SendError::TimedOut => E_TIMEOUT,
            SendError::Unfit(_) => E_TOO_LONG,
            SendError::Down(_) => E_DOWN,
            SendError::NotConnected => E_NOT_CONNECTED,
        };
        Self { code, detail: Detail::Send(error), errno: 0 }
    }
}

impl From<RecvError> for Fault {
    fn from(error: RecvError) -> Self {
        let code = match error {
            RecvError::TimedOut => E_TIMEOUT,
            RecvError::TooSmall { .. } => E_TOO_SMALL,
            RecvError::Borrowed => E_BUSY,
            RecvError::Closed => return Self::new(E_DOWN, "the link is down: closed by this side"),
            RecvError::Down(_) => E_DOWN,
        };
        Self { code, detail: Detail::Recv(error), errno: 0 }
    }
}

impl From<HandshakeError> for Fault {
    fn from(error: HandshakeError) -> Self {
        match error {
            // Without a number it is an error of a layer, not of the system.
            HandshakeError::Io(error) => {
                let code = if error.raw_os_error().is_some() { E_IO } else { E_HANDSHAKE };
                Self::io(code, "HELLO", &error)
            }
            HandshakeError::Refused { .. } => Self::new(E_REFUSED, error.to_string()),
            other => Self::new(E_HANDSHAKE, other.to_string()),
        }
    }
}

impl From<StartError> for Fault {
    fn from(error: StartError) -> Self {
        let (code, system) = match &error {
            StartError::Address { .. } => return Self::new(E_CONFIG, error.to_string()),
            StartError::Thread { error, .. } => (E_LIMIT, error),
            StartError::Listen { error, .. } if limit(error).is_some() => (E_LIMIT, error),
            StartError::Listen { error, .. } => (E_LISTEN, error),
        };
        Self { errno: system.raw_os_error().unwrap_or(0), ..Self::new(code, error.to_string()) }
    }
}

impl From<ReloadError> for Fault {
    fn from(error: ReloadError) -> Self {
        let code = match &error {
            ReloadError::Thread { .. } => E_LIMIT,
            ReloadError::NotRunning => E_DOWN,
            _ => E_CONFIG,
        };
        Self::new(code, error.to_string())
    }
}

/// The limit behind an error, and how to raise it; std has kinds for neither.
fn limit(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        _ if is_out_of_descriptors(error) => Some(match cfg!(windows) {
            true => "no socket or memory for one is left; close some",
            false => "the limit of open files (ulimit -n) is reached",
        }),
        io::ErrorKind::OutOfMemory => Some("the limit of memory (ulimit -v) is reached"),
        _ => None,
    }
}

thread_local! {
    static LAST: RefCell<Option<Fault>> = const { RefCell::new(None) };
}

/// Keeps a failure for the calling thread; drops it while the thread is ending.
pub(super) fn keep(fault: Fault) {
    let _ending = LAST.try_with(|last| last.replace(Some(fault)));
}

/// The details of the calling thread's last failure; empty while the thread is ending.
pub(super) fn last() -> String {
    let words = |last: &RefCell<Option<Fault>>| {
        last.borrow().as_ref().map(|fault| fault.detail.to_string())
    };
    LAST.try_with(words).ok().flatten().unwrap_or_default()
}

/// The system's error number of the calling thread's last failure; 0 if it had none.
pub(super) fn last_errno() -> c_int {
    let errno = |last: &RefCell<Option<Fault>>| last.borrow().as_ref().map(|fault| fault.errno);
    LAST.try_with(errno).ok().flatten().unwrap_or(0)
}
