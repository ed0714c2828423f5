//! What sits between a link and its socket and only transforms bytes, such as TLS.
//!
//! A [`Layer`] does no I/O, reads no clock and takes no lock: [`Layered`](super::Layered) does all
//! three, and so the layer of a TLS library is a few lines.

use std::io;

/// A transformation of bytes in both directions, with a state of its own: TLS, compression.
///
/// Every call returns at once. An error or a panic ends the link, with the error's text, and the
/// layer is not called again except for [`close`](Self::close), which says goodbye to the other
/// side.
///
/// ```
/// use peerbeat::link::{Layer, Layered, Link, Opened};
/// use std::io;
/// use std::net::{TcpListener, TcpStream};
/// use std::time::{Duration, Instant};
///
/// /// A toy in TLS's place. A byte of 0 ends the stream.
/// struct Rot13;
///
/// fn turn(byte: u8) -> u8 {
///     byte.wrapping_add(13)
/// }
///
/// impl Layer for Rot13 {
///     fn seal(&mut self, plain: &[u8], sealed: &mut Vec<u8>) -> io::Result<usize> {
///         sealed.extend(plain.iter().flat_map(|byte| [1, turn(*byte)]));
///         Ok(plain.len())
///     }
///
///     fn open(
///         &mut self,
///         sealed: &[u8],
///         plain: &mut [u8],
///         _replies: &mut Vec<u8>,
///     ) -> io::Result<Opened> {
///         let mut opened = Opened::default();
///         for (pair, place) in sealed.chunks(2).zip(plain) {
///             match *pair {
///                 [0, ..] => return Ok(opened.ended()),
///                 [1, byte] => *place = byte.wrapping_sub(13),
///                 [1] => break,
///                 _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "no pair")),
///             }
///             (opened.taken, opened.given) = (opened.taken + 2, opened.given + 1);
///         }
///         Ok(opened)
///     }
///
///     fn close(&mut self, sealed: &mut Vec<u8>) -> io::Result<()> {
///         sealed.push(0);
///         Ok(())
///     }
/// }
///
/// # let listener = TcpListener::bind("127.0.0.1:0")?;
/// # let there = TcpStream::connect(listener.local_addr()?)?;
/// # let here = listener.accept()?.0;
/// # let (send, received) = std::sync::mpsc::channel();
/// let deadline = Instant::now() + Duration::from_secs(10);
/// let stream = Layered::open(here, Rot13, deadline)?;
/// let link = Link::start(stream, |_: &Link<_>, message: &[u8]| println!("{message:?}"))?;
/// # let there = Layered::open(there, Rot13, deadline)?;
/// # let _there = Link::start(there, move |_: &Link<_>, m: &[u8]| send.send(m.to_vec()).unwrap())?;
/// link.send(b"tick").unwrap();
/// # assert_eq!(received.recv().unwrap(), b"tick");
/// # Ok::<(), io::Error>(())
/// ```
pub trait Layer: Send + 'static {
    /// Transforms bytes that are to be sent: appends what goes to the other side to `sealed`, and
    /// returns how many bytes of `plain` it took, 0 if it can take none now. It takes them in
    /// order, and what it took is its own. `plain` may be empty: then only what waits to be sent,
    /// such as a part of a handshake, is appended.
    ///
    /// # Errors
    /// Any kind, such as [`io::ErrorKind::InvalidData`]: nothing can be sent any more, and the link
    /// ends as [`DownReason::Io`](super::DownReason::Io) with the error's text.
    fn seal(&mut self, plain: &[u8], sealed: &mut Vec<u8>) -> io::Result<usize>;

    /// Transforms bytes that arrived: takes bytes from the front of `sealed`, and writes to the
    /// front of `plain`. What it does not take is offered again, with more behind it; plain bytes
    /// that have no room yet stay in the layer, and `sealed` may be empty to ask for them. What the
    /// layer itself answers, a reply of a handshake or an alert, is appended to `replies`, even if
    /// it returns an error.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] for bytes that the layer refuses, such as a bad record; any
    /// kind ends the link as [`DownReason::Io`](super::DownReason::Io) with the error's text.
    fn open(
        &mut self,
        sealed: &[u8],
        plain: &mut [u8],
        replies: &mut Vec<u8>,
    ) -> io::Result<Opened>;

    /// Appends what ends the stream in order, as `close_notify` of TLS does; nothing is sealed
    /// after it. Called once at most.
    ///
    /// # Errors
    /// Of any kind, such as [`io::ErrorKind::InvalidInput`]: it changes nothing, the socket is shut
    /// in any case.
    fn close(&mut self, sealed: &mut Vec<u8>) -> io::Result<()>;

    /// Whether its handshake is done, for [`Layered::open`](super::Layered::open). Default yes: it
    /// has none.
    fn is_ready(&self) -> bool {
        true
    }
}

/// What a [`Layer`] has opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// How many sealed bytes it took.
    pub taken: usize,
    /// How many plain bytes it wrote.
    pub given: usize,
    /// The other side has ended its stream in order, and all before it has been given.
    pub is_ended: bool,
}

impl Opened {
    /// So many sealed bytes taken, so many plain bytes given.
    pub fn new(taken: usize, given: usize) -> Self {
        Self { taken, given, is_ended: false }
    }

    /// The same, and the stream has ended behind it.
    #[must_use]
    pub fn ended(self) -> Self {
        Self { is_ended: true, ..self }
    }
}

/// A layer whose type is not known at compile time is a layer.
impl<L: Layer + ?Sized> Layer for Box<L> {
    fn seal(&mut self, plain: &[u8], sealed: &mut Vec<u8>) -> io::Result<usize> {
        (**self).seal(plain, sealed)
    }

    fn open(
        &mut self,
        sealed: &[u8],
        plain: &mut [u8],
        replies: &mut Vec<u8>,
    ) -> io::Result<Opened> {
        (**self).open(sealed, plain, replies)
    }

    fn close(&mut self, sealed: &mut Vec<u8>) -> io::Result<()> {
        (**self).close(sealed)
    }

    fn is_ready(&self) -> bool {
        (**self).is_ready()
    }
}
