//! Retrofit an adapter in an afternoon: what to keep, what to hand over, and which way fits.
//!
//! # Which way
//!
//! | you have | take | you keep | you give up |
//! |---|---|---|---|
//! | nothing yet, and both ends are yours | [`Node`] | your messages | - |
//! | an adapter with a protocol of its own on a blocking socket | [`Link`] with your [`Framing`] | protocol, dialling, handshake | reading and writing the socket yourself |
//! | the same, and the socket is not TCP | the same, with your [`Stream`] | the layer too, such as TLS | as above |
//! | an event loop, or more than some hundred peers a process | [`Liveness`] | everything: sockets, loop, threads | - |
//! | a protocol whose peer never sends when idle | [`Link`], `expect: None`, or a probe at [`Event::Late`] | all of the above | see [below](#a-peer-that-has-no-heartbeats) |
//!
//! A `Node` finds, dials and reconnects; a `Link` is one connection, with two threads; a `Liveness` is
//! a value of some hundred bytes that is told what happened and asked what is due.
//!
//! # The adapter as it is
//!
//! Prices as lines of text, `NAME=VALUE`. An empty line is a heartbeat, in both directions, and who
//! says nothing for a while is gone. In std, and in nearly every adapter that grew:
//!
//! ```
//! use std::io::{self, BufRead, BufReader, Write};
//! use std::net::TcpStream;
//! use std::thread;
//! use std::time::Duration;
//!
//! fn adapter(feed: &str, heartbeat: Duration, mut take: impl FnMut(&str)) -> io::Result<()> {
//!     let stream = TcpStream::connect(feed)?;
//!     stream.set_read_timeout(Some(heartbeat * 2))?;
//!     let mut reader = BufReader::new(&stream);
//!     let mut line = String::new();
//!
//!     (&stream).write_all(b"LOGIN adapter\n")?;
//!     reader.read_line(&mut line)?;
//!     if line != "WELCOME\n" {
//!         return Err(io::Error::other(line));
//!     }
//!     (&stream).write_all(b"SUBSCRIBE *\n")?;
//!
//!     let mut beating = stream.try_clone()?;
//!     thread::spawn(move || {
//!         while beating.write_all(b"\n").is_ok() {
//!             thread::sleep(heartbeat);
//!         }
//!     });
//!
//!     loop {
//!         line.clear();
//!         if reader.read_line(&mut line)? == 0 {
//!             return Err(io::ErrorKind::UnexpectedEof.into());
//!         }
//!         match line.trim_end() {
//!             "" => {}
//!             price => take(price),
//!         }
//!     }
//! }
//! # let feed = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let addr = feed.local_addr()?.to_string();
//! # thread::spawn(move || {
//! #     let (mut peer, _) = feed.accept().unwrap();
//! #     peer.write_all(b"WELCOME\nA=1\n\nB=2\n").unwrap();
//! #     BufReader::new(peer).read_line(&mut String::new()).unwrap(); // and closes
//! # });
//! # let mut prices = Vec::new();
//! # adapter(&addr, Duration::from_secs(1), |price| prices.push(price.to_owned())).unwrap_err();
//! # assert_eq!(prices, ["A=1", "B=2"]);
//! # Ok::<(), io::Error>(())
//! ```
//!
//! It works on the desk. In the field it has these faults, each of them seen in a dozen libraries:
//!
//! - The feed stops reading: `write_all` blocks, heartbeats with it, and nobody notices for a quarter
//!   of an hour.
//! - A second thread that sends orders shares the socket with the heartbeats, and one day an empty
//!   line lands inside an order.
//! - Every reconnect leaves a heartbeat thread behind for up to a heartbeat, or for ever where its
//!   write blocks.
//! - The process is stopped for a minute (a snapshot, a debugger, a starved host), and wakes to call
//!   a healthy feed dead.
//! - `take` is slow, and then a feed is called dead that has said plenty: it waits in the kernel.
//! - The error says `WouldBlock`. How long was the silence, and what was not sent?
//!
//! # The same with peerbeat
//!
//! First, say what the frames are. This is the only new code:
//!
//! ```
//! use peerbeat::link::{Down, Link, Options};
//! use peerbeat::liveness::Settings;
//! use peerbeat::protocol::{Decoded, Frame, Framing, Heartbeat, ProtocolError};
//! use std::io::{self, BufRead, BufReader, Write};
//! use std::net::TcpStream;
//! use std::time::Duration;
//!
//! struct Lines;
//!
//! impl Framing for Lines {
//!     const NEGOTIATES: bool = false; // an empty line carries no value
//!
//!     fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
//!         Ok(match bytes.iter().position(|&byte| byte == b'\n') {
//!             Some(0) => Decoded::Whole { length: 1, frame: Frame::Heartbeat(Heartbeat::default()) },
//!             Some(end) => Decoded::Whole { length: end + 1, frame: Frame::Data(&bytes[..end]) },
//!             None if bytes.len() < 4096 => Decoded::Partial,
//!             None => return Err(ProtocolError::Foreign { detail: "an endless line".to_owned() }),
//!         })
//!     }
//!
//!     fn encode_data(&self, line: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolError> {
//!         out.extend_from_slice(line);
//!         out.push(b'\n');
//!         Ok(())
//!     }
//!
//!     fn encode_heartbeat(&self, _: &Heartbeat, out: &mut Vec<u8>) {
//!         out.push(b'\n');
//!     }
//! }
//!
//! // Then the adapter: dialling and the handshake are what they were.
//! fn adapter(feed: &str, heartbeat: Duration, mut take: impl FnMut(&[u8])) -> io::Result<Down> {
//!     let stream = TcpStream::connect(feed)?;
//!     stream.set_nodelay(true)?;
//!     stream.set_read_timeout(Some(heartbeat * 2))?;
//!     let mut reader = BufReader::new(&stream);
//!     let mut line = String::new();
//!
//!     (&stream).write_all(b"LOGIN adapter\n")?;
//!     reader.read_line(&mut line)?;
//!     if line != "WELCOME\n" {
//!         return Err(io::Error::other(line));
//!     }
//!
//!     // From here on the stream is the link's. What the reader holds already was read off it.
//!     let received = reader.buffer().to_vec();
//!     let liveness = Settings { heartbeat_time: Some(heartbeat), ..Settings::default() };
//!     let options = Options { liveness, ..Options::default() };
//!     let (link, reader) = Link::establish(stream, Lines, &received, &options)?;
//!     link.send(b"SUBSCRIBE *").map_err(io::Error::other)?;
//!     Ok(reader.run(&mut |_: &Link<_, _>, price: &[u8]| take(price)))
//! }
//! # let feed = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let addr = feed.local_addr()?.to_string();
//! # let feed = std::thread::spawn(move || {
//! #     let (mut peer, _) = feed.accept().unwrap();
//! #     peer.write_all(b"WELCOME\nA=1\n\nB=2\n").unwrap();
//! #     std::io::read_to_string(peer).unwrap() // and says nothing any more
//! # });
//! # let mut prices = Vec::new();
//! # let down = adapter(&addr, Duration::from_millis(100), |price| prices.push(price.to_vec()))?;
//! # assert_eq!(prices, [b"A=1", b"B=2"]);
//! # assert_eq!(down.reason, peerbeat::link::DownReason::Silent);
//! # assert!(down.silence >= Duration::from_millis(2100));
//! # let heard = feed.join().unwrap();
//! # assert!(heard.starts_with("LOGIN adapter\nSUBSCRIBE *\n\n\n\n"), "{heard:?}");
//! # Ok::<(), io::Error>(())
//! ```
//!
//! `run` returns when the link has ended, and says why, with the numbers; the sender thread and the
//! socket are gone by then. [`Link::start`] is the same with a thread for the reader.
//!
//! An afternoon, in this order:
//!
//! 1. **The framing**, and a test that cuts a recorded stream at every byte: the frames must be the
//!    same. Limit what you wait for: the buffer grows for it.
//! 2. **The heartbeats.** One that carries a time goes into [`Heartbeat`], and both ends meet at the
//!    smaller. Without one set [`NEGOTIATES`] to false, and give the value that the handshake settled:
//!    `heartbeat_time` for both directions, or [`Given`] for each. Where the other side forgives
//!    nothing, send by three quarters of it.
//! 3. **The handshake** stays where it is, with its own deadline. What it has read too much goes into
//!    `received`.
//! 4. **Sending**: every `write_all` becomes [`Link::send`], from any thread. Messages that are framed
//!    already pass through, if `encode_data` appends them as they are.
//! 5. **Events and the end**: [`Handler::on_event`] for the log, [`Down`] for what to do next.
//! 6. **The test** that was never written: [`Faults`] makes a real link fall silent, and your program
//!    must do what it should.
//!
//! Where messages are numbered, heartbeats included, count in `encode_*` and set [`NUMBERED`]. Where
//! `decode` keeps state, write [`decode_own`] too: our own frames are looked at as well.
//! tests/examples has three protocols whole, each below 200 lines: STOMP, SoupBinTCP, FIX.
//!
//! # A peer that has no heartbeats
//!
//! Nobody can tell an idle peer from a dead one that never promised to speak. What can be had:
//!
//! - A ping that it answers. Set `expect` to how long a silence may be, and send the ping at
//!   [`Event::Late`]: any byte that comes back is life. The FIX example does that.
//! - Nothing of the kind: `expect: None`. A peer that stops reading is still found, where we send
//!   (`write-stalled`), and `send` keeps the firewalls in between awake.
//!
//! # A loop of your own
//!
//! Keep sockets and loop. A connection gets a [`Liveness`]; report what came and went, and ask:
//!
//! ```
//! use peerbeat::liveness::{Action, Liveness, Settings, Time};
//! use std::io::{self, Write};
//!
//! /// After every turn of the loop: first read what the kernel holds, then ask. Returns when to come
//! /// back at the latest, or `None` where the connection is to be closed.
//! fn ask(liveness: &mut Liveness, now: Time, peer: &mut impl Write) -> io::Result<Option<Time>> {
//!     loop {
//!         match liveness.poll(now) {
//!             Action::Wait { until } => return Ok(Some(until)),
//!             Action::SendHeartbeat { value_ms } => {
//!                 peer.write_all(b"\n")?; // a host with full buffers reports it once it is out
//!                 liveness.handle_heartbeat_sent(value_ms, now);
//!             }
//!             Action::Silent { .. } => return Ok(None),
//!             Action::Late { .. } | Action::Stalled { .. } => {} // for the log
//!         }
//!     }
//! }
//! # let (mut liveness, mut out) = (Liveness::new(&Settings::default(), Time::ZERO), Vec::new());
//! # let five = std::time::Duration::from_secs(5);
//! # assert_eq!(ask(&mut liveness, Time::ZERO, &mut out)?, Some(Time::ZERO + five));
//! # Ok::<(), io::Error>(())
//! ```
//!
//! tests/examples/poll.rs does this for any number of sockets in one thread.
//!
//! [`Node`]: crate::node::Node
//! [`Link`]: crate::link::Link
//! [`Link::start`]: crate::link::Link::start
//! [`Link::send`]: crate::link::Link::send
//! [`Handler::on_event`]: crate::link::Handler::on_event
//! [`Event::Late`]: crate::link::Event::Late
//! [`Down`]: crate::link::Down
//! [`Faults`]: crate::link::Faults
//! [`Stream`]: crate::link::Stream
//! [`Framing`]: crate::protocol::Framing
//! [`NEGOTIATES`]: crate::protocol::Framing::NEGOTIATES
//! [`NUMBERED`]: crate::protocol::Framing::NUMBERED
//! [`decode_own`]: crate::protocol::Framing::decode_own
//! [`Heartbeat`]: crate::protocol::Heartbeat
//! [`Given`]: crate::liveness::Given
//! [`Liveness`]: crate::liveness::Liveness
