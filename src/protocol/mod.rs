//! The wire format: frames, and how bytes become frames and frames bytes.
//!
//! This module owns HELLO, HEARTBEAT, DATA and BYE, the incremental [`Decoder`] and the [`Framing`]
//! trait that lets other protocols take the place of the [`Native`] one. It never reads a clock,
//! never does I/O, and never allocates for a length that has only been announced.
//!
//! ```
//! use peerbeat::protocol::{Decoder, Frame, Framing, Native};
//!
//! let mut wire = Vec::new();
//! Native::default().encode_data(b"tick", &mut wire)?;
//! assert_eq!(wire, b"\x00\x00\x00\x05\x03tick");
//!
//! let mut decoder = Decoder::new(Native::default());
//! decoder.spare()[..wire.len()].copy_from_slice(&wire);
//! decoder.handle_filled(wire.len());
//! assert_eq!(decoder.poll_frame()?, Some(Frame::Data(b"tick")));
//! assert_eq!(decoder.poll_frame()?, None);
//! # Ok::<(), peerbeat::protocol::ProtocolError>(())
//! ```

#![doc = include_str!("wire.md")]
#![doc = concat!("```text\n", include_str!("vectors.txt"), "```")]

mod decoder;
mod error;
mod escaped;
mod frame;
mod framing;

pub use decoder::Decoder;
pub use error::ProtocolError;
pub use escaped::Escaped;
pub use frame::{Bye, ByeCode, Frame, Heartbeat, Hello, TEXT_MAX, Timing, VERSION};
pub use framing::{CONTROL_MAX, Decoded, FRAME_MAX, Framing, Native};
