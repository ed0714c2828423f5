//! The wire format: frames, and how bytes become frames and frames bytes.
//!
//! This room owns HELLO, HEARTBEAT, DATA and BYE, the incremental [`Decoder`] and the [`Framing`]
//! trait that lets other protocols take the place of the [`Native`] one. It never reads a clock,
//! never does I/O, and never allocates on the word of a length that has only been announced.
//!
//! # Wire protocol, version 1
//!
//! All integers are big-endian. It runs over any ordered byte stream.
//!
//! ```text
//!  0        4      5
//!  +--------+------+------------------+
//!  | length | type | payload ...      |   length = 1 + payload bytes, u32, 1 ..= frame_max
//!  +--------+------+------------------+   type   = u8
//! ```
//!
//! `frame_max` is local policy (default 16 MiB, [`FRAME_MAX`]). A length of 0 or above
//! max(`frame_max`, 1024) is a protocol error, decided from the four bytes alone; a DATA frame
//! above `frame_max` is one once its type is read; nothing is allocated on the word of a length. A
//! receiver skips a frame whose type it does not know (it still counts as life), and ignores bytes
//! after the fields it knows in HELLO, HEARTBEAT and BYE: this is how version 1 grows. A payload
//! too short for its fields, text that is not UTF-8, or a wrong magic is a protocol error.
//!
//! | type | name | payload |
//! |---|---|---|
//! | 0x01 | HELLO | magic `PBHB` (4), version u8 = 1, flags u8, id u32, name, label, then optionally heartbeat_time_ms u32 (1 to 3 bytes there are ignored; of 4 and more the first 4 are it) |
//! | 0x02 | HEARTBEAT | heartbeat_time_ms u32, then optionally sent_us u64, echo_us u64, echo_age_us u64 |
//! | 0x03 | DATA | application bytes, any number, zero included |
//! | 0x04 | BYE | code u8, then text (UTF-8, to the end of the frame, at most 255 bytes) |
//!
//! `name` and `label` are each a u8 count and that many UTF-8 bytes. `name` is 1 to 255 bytes
//! without control characters; `label` may be empty. `id` is 0 when unset. Bit 0 of flags: this
//! side always sends heartbeats, data or not (informative). Bit 1: a probe, which only asks who is
//! there. The other bits are sent as 0 and ignored.
//!
//! `heartbeat_time_ms` in HELLO is the sender's configured value, 0 = none; one that is not there
//! says nothing. It is taken as a heartbeat that arrives with the HELLO would be (H2): both ends of
//! a link start at the smaller value, whatever their handlers do in the first seconds.
//!
//! `heartbeat_time_ms` in HEARTBEAT is the sender's value in force; 0 = it has none.
//! The three timing fields come together or not at all. `sent_us`: the sender's own clock, any
//! origin, in microseconds. `echo_us`: the `sent_us` of the last heartbeat it received that carried
//! one (0 = none yet). `echo_age_us`: how long ago it received that one. The round trip is
//! now - echo_us - echo_age_us, on one clock, with no extra packet.
//!
//! BYE codes: 0 orderly close · 1 refused: peer not known here · 2 refused: already connected ·
//! 3 refused: version · 4 protocol error · 5 handshake too slow · 6 shutting down · 7 refused: too
//! many connections. An unknown code reads as "closed, code N".
//!
//! # Handshake
//!
//! 1. The dialling side sends HELLO as its first frame.
//! 2. The accepting side checks it against its peers and answers HELLO (welcome), or BYE with the
//!    reason and closes. It sends nothing before the dialling side's HELLO has been accepted.
//! 3. The link is established for a side once it has received the other's HELLO. The first frame
//!    must be HELLO (or BYE from the accepting side); anything else is a protocol error, and so is
//!    a second HELLO.
//! 4. Each side gives the handshake a deadline of its own (default 10 s), from TCP connect or
//!    accept to the last byte of HELLO. No heartbeat and no data before the link is established.
//!
//! # Heartbeats
//!
//! Per connection each side holds `configured` (may be undefined), `in force` (starts as
//! configured, dies with the connection) and `slack` (local, never sent).
//!
//! - **H1 Announce.** A side whose value in force is defined sends a HEARTBEAT at once when the
//!   link is established, and at once whenever that value changes, even while it is busy sending
//!   data: otherwise a busy sender would never tell a silent receiver its value.
//! - **H2 Adopt.** On a HEARTBEAT or HELLO carrying v > 0: v' = max(v, local floor); where the
//!   value in force is undefined or greater than v', it becomes v'. v = 0 changes nothing. So one
//!   configured side is enough, and both ends meet at the smaller value.
//! - **H3 Send when idle.** A HEARTBEAT is due when no byte has been handed to the kernel for the
//!   value in force. Never earlier, at most one after any stall, never inside another frame. In
//!   mode `always`: one every value in force, data or not.
//! - **H4 Silence kills.** Any byte received is life, also part of a frame. When none arrived for
//!   value in force + slack, the link is down. Before a value was received and with no configured
//!   value there is no limit.
//! - **H5 Death is abrupt.** Both directions are shut down, no BYE. An orderly close sends BYE 0,
//!   then closes.
//! - **H6** A heartbeat is never queued behind unsent data of the same side for longer than one
//!   frame; where bytes are on their way the heartbeat is not needed at all.
//!
//! # Vectors
//!
//! ```text
//! HELLO  id 0, name "fxpriceadapter1", label "fx1"
//!   0000001f 01 50424842 01 00 00000000 0f 667870726963656164617074657231 03 667831
//! HELLO the same with heartbeat-time 5000 ms
//!   00000023 01 50424842 01 00 00000000 0f 667870726963656164617074657231 03 667831 00001388
//! HEARTBEAT 5000 ms, short form
//!   00000005 02 00001388
//! HEARTBEAT 15000 ms, sent 1000000, echo 0, age 0
//!   0000001d 02 00003a98 00000000000f4240 0000000000000000 0000000000000000
//! DATA "tick"
//!   00000005 03 7469636b
//! DATA empty
//!   00000001 03
//! BYE 1 "peer not known here"
//!   00000015 04 01 70656572206e6f74206b6e6f776e2068657265
//! ```
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
