//! Configuration files for C: load, read, free.
//!
//! Texts are made when the configuration is read and live as long as it does. The errors of a run
//! belong to the thread that asked for it, because on failure there is no handle that could own
//! them.

use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int};
use std::ptr::null;

use super::convert::millis;
use super::fault::{E_CONFIG, E_NOT_FOUND, Fault};
use super::guard::guard;
use super::handle::{handle, take};
use super::pointer::{Output, c_text, optional_text, output, text, write_sized};
use super::structs::{NONE, PeerbeatPeer};
use crate::config::{Config, ConfigOptions, Errors, PeerConfig, Port};
use crate::liveness::Mode;

/// `peerbeat_config`.
#[derive(Debug)]
pub struct PeerbeatConfig {
    pub(super) config: Config,
    name: CString,
    peers: Vec<PeerTexts>,
    warnings: Vec<CString>,
}

#[derive(Debug)]
struct PeerTexts {
    name: CString,
    addresses: CString,
}

thread_local! {
    static ERRORS: RefCell<Vec<CString>> = const { RefCell::new(Vec::new()) };
}

/// Reads a configuration from a file and the files it includes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_config_load(
    path: *const c_char,
    app_name: *const c_char,
    config: *mut *mut PeerbeatConfig,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let path = unsafe { text(path, "path") }?;
        // SAFETY: as the header says.
        let options = unsafe { options(app_name) }?;
        // SAFETY: as the header says.
        let out = unsafe { output(config, "config") }?;
        finish(Config::load(path, &options), out)
    })
}

/// Reads a configuration from a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_config_parse(
    text: *const c_char,
    app_name: *const c_char,
    config: *mut *mut PeerbeatConfig,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let text = unsafe { self::text(text, "text") }?;
        // SAFETY: as the header says.
        let options = unsafe { options(app_name) }?;
        // SAFETY: as the header says.
        let out = unsafe { output(config, "config") }?;
        finish(Config::parse(text, &options), out)
    })
}

/// Frees a configuration; nodes that were started from it go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_config_free(config: *mut PeerbeatConfig) {
    guard(|| {
        if !config.is_null() {
            // SAFETY: it came from `finish`, and is not used after this.
            drop(unsafe { take(config) });
        }
    });
}

/// How many errors this thread's last load or parse had.
#[unsafe(no_mangle)]
pub extern "C" fn peerbeat_config_error_count() -> usize {
    guard(|| ERRORS.try_with(|errors| errors.borrow().len()).unwrap_or(0))
}

/// One of them; null beyond the last.
#[unsafe(no_mangle)]
pub extern "C" fn peerbeat_config_error(index: usize) -> *const c_char {
    guard(|| {
        let found = ERRORS.try_with(|errors| errors.borrow().get(index).map(|text| text.as_ptr()));
        found.ok().flatten().unwrap_or(null())
    })
}

/// Our name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_config_name(config: *const PeerbeatConfig) -> *const c_char {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { handle(config, "config") }.map_or(null(), |config| config.name.as_ptr())
    })
}

/// The port to listen on: 0 = any free one, -1 = none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_config_port(config: *const PeerbeatConfig) -> i32 {
    guard(|| {
        // SAFETY: as the header says.
        let Ok(config) = (unsafe { handle(config, "config") }) else { return 0 };
        match config.config.port() {
            None => -1,
            Some(Port::Auto) => 0,
            Some(Port::Fixed(port)) => i32::from(port),
        }
    })
}

/// How many peers there are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_config_peer_count(config: *const PeerbeatConfig) -> usize {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { handle(config, "config") }.map_or(0, |config| config.peers.len())
    })
}

/// The name of a peer; null beyond the last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_config_peer_name(
    config: *const PeerbeatConfig,
    index: usize,
) -> *const c_char {
    guard(|| {
        // SAFETY: as the header says.
        let Ok(config) = (unsafe { handle(config, "config") }) else { return null() };
        config.peers.get(index).map_or(null(), |peer| peer.name.as_ptr())
    })
}

/// What is in force for a peer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_config_peer(
    config: *const PeerbeatConfig,
    index: usize,
    peer: *mut PeerbeatPeer,
) -> c_int {
    guard(|| {
        // SAFETY: as the header says.
        let config = unsafe { handle(config, "config") }?;
        let (Some(values), Some(texts)) =
            (config.config.peers().get(index), config.peers.get(index))
        else {
            let count = config.peers.len();
            return Err(Fault::new(E_NOT_FOUND, format!("peer {index} of {count}")));
        };
        // SAFETY: as the header says.
        unsafe { write_sized(peer, &values_of(values, texts), "peer") }
    })
}

/// How many warnings there are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_config_warning_count(config: *const PeerbeatConfig) -> usize {
    guard(|| {
        // SAFETY: as the header says.
        unsafe { handle(config, "config") }.map_or(0, |config| config.warnings.len())
    })
}

/// One of them; null beyond the last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_config_warning(
    config: *const PeerbeatConfig,
    index: usize,
) -> *const c_char {
    guard(|| {
        // SAFETY: as the header says.
        let Ok(config) = (unsafe { handle(config, "config") }) else { return null() };
        config.warnings.get(index).map_or(null(), |warning| warning.as_ptr())
    })
}

unsafe fn options(app_name: *const c_char) -> Result<ConfigOptions, Fault> {
    let mut options = ConfigOptions::default();
    // SAFETY: passed on.
    if let Some(app_name) = unsafe { optional_text(app_name, "app_name") }? {
        options.app_name = Some(app_name.to_owned());
    }
    Ok(options)
}

fn finish(read: Result<Config, Errors>, out: Output<*mut PeerbeatConfig>) -> Result<(), Fault> {
    let errors: Vec<_> = match &read {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(|error| c_text(&error.to_string())).collect(),
    };
    let _ending = ERRORS.try_with(|kept| kept.replace(errors));
    let config = read.map_err(|errors| Fault::new(E_CONFIG, errors.to_string()))?;
    let texts = |peer: &PeerConfig| {
        let addresses: Vec<_> = peer.addresses().iter().map(ToString::to_string).collect();
        PeerTexts { name: c_text(peer.name()), addresses: c_text(&addresses.join(" ")) }
    };
    let made = PeerbeatConfig {
        name: c_text(config.name()),
        peers: config.peers().iter().map(texts).collect(),
        warnings: config.warnings().iter().map(|text| c_text(&text.to_string())).collect(),
        config,
    };
    out.set(Box::into_raw(Box::new(made)));
    Ok(())
}

fn values_of(peer: &PeerConfig, texts: &PeerTexts) -> PeerbeatPeer {
    PeerbeatPeer {
        heartbeat_mode: match peer.mode().value {
            Mode::Idle => 0,
            Mode::Always => 1,
        },
        name: texts.name.as_ptr(),
        addresses: texts.addresses.as_ptr(),
        heartbeat_time_ms: peer.heartbeat_time().value.map_or(NONE, millis),
        slack_ms: millis(peer.slack().value),
        heartbeat_time_min_ms: millis(peer.heartbeat_time_min().value),
        connect_timeout_ms: millis(peer.connect_timeout()),
        reconnect_time_min_ms: millis(peer.reconnect_time_min()),
        reconnect_time_max_ms: millis(peer.reconnect_time_max()),
        send_queue_bytes: peer.send_queue_bytes() as u64,
        ..PeerbeatPeer::default()
    }
}
