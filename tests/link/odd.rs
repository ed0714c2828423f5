//! Streams whose timeouts and buffers are not what was asked for, and how the link copes.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{DownReason, Link, LinkOptions, Stream};
use peerbeat::protocol::{Decoded, Framing, Heartbeat, Native, ProtocolError};

use crate::mock::{DATA, LONG, Mock, frame, heartbeat};
use crate::pipe::pipe;
use crate::rig::{Log, assert_soon, ms, notes, options, wait_for};

/// A socket whose writes panic, on whichever thread.
struct Panicking(TcpStream);

impl Stream for Panicking {
    as_socket! { 0: read shutdown timeouts }

    fn write(&self, _: &[u8]) -> io::Result<usize> {
        panic!("a mistake of the stream's")
    }
}

/// The protocol, but for heartbeats.
struct NoHeartbeats;

impl Framing for NoHeartbeats {
    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        Native::default().decode(bytes)
    }

    fn encode_data(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ProtocolError> {
        Native::default().encode_data(payload, out)
    }

    fn encode_heartbeat(&self, _: &Heartbeat, _: &mut Vec<u8>) {
        panic!("a mistake of the framing's")
    }
}

#[test]
fn a_stream_that_panics_in_a_write_ends_the_link_and_blocks_no_caller() {
    // The sender's thread writes first, or the program's.
    for heartbeat_ms in [100, 0] {
        let (stream, _mock) = Mock::pair();
        let options = options(heartbeat_ms, 60_000);
        let ignore = |_: &Link<Panicking>, _: &[u8]| {};
        let stream = Panicking(stream);
        let link = Link::start_with(stream, Native::default(), &options, ignore).unwrap();
        let program = link.clone();
        let _panics_there = thread::spawn(move || program.send(b"x")).join();
        let down = link.wait_down(LONG).expect("it ends");
        assert!(matches!(down.reason, DownReason::Io { .. }), "{down}");
        // What was accepted is counted, whichever thread wrote it.
        assert_eq!(down.unsent_frames, link.stats().messages_accepted, "{down}");
    }
}

#[test]
fn a_framing_that_panics_in_the_sender_ends_the_link() {
    let (stream, _mock) = Mock::pair();
    let ignore = |_: &Link<TcpStream, NoHeartbeats>, _: &[u8]| {};
    let link = Link::start_with(stream, NoHeartbeats, &options(100, 60_000), ignore).unwrap();
    let down = link.wait_down(LONG).expect("it ends");
    let DownReason::Local { detail } = &down.reason else { panic!("{down}") };
    assert_eq!(detail, "the framing panicked");
}

/// A socket whose reader has lost the processor, close to the limit: meanwhile a message arrives,
/// and only who asks the kernel at the limit can know.
struct Away {
    socket: TcpStream,
    peer: TcpStream,
    asked: (Mutex<bool>, Condvar),
}

impl Stream for Away {
    as_socket! { socket: read write shutdown timeouts }

    fn can_peek(&self) -> bool {
        true
    }

    fn wait_readable(&self) -> io::Result<()> {
        let asked = self.asked.0.lock().unwrap();
        let _back = self.asked.1.wait_timeout_while(asked, ms(1000), |asked| !*asked).unwrap();
        Ok(())
    }

    fn is_readable(&self) -> io::Result<bool> {
        (&self.peer).write_all(&frame(DATA, b"tick"))?;
        Stream::wait_readable(&self.socket)?;
        let seen = Stream::is_readable(&self.socket);
        *self.asked.0.lock().unwrap() = true;
        self.asked.1.notify_all();
        seen
    }
}

#[test]
fn what_arrived_while_the_reader_was_away_is_seen_by_the_sender() {
    // lesson 31
    let (socket, mock) = Mock::pair();
    let peer = mock.stream.try_clone().unwrap();
    let stream = Away { socket, peer, asked: Default::default() };
    let (notes, log) = notes(|_, _| {});
    let link = Link::start_with(stream, Native::default(), &options(100, 300), notes).unwrap();
    assert_eq!(log.message(), b"tick");
    assert!(link.is_up());
}

/// What the timed reads of a stream do with the timeout they were given.
type Bend = fn(Duration) -> Duration;

/// A socket that bends its read timeouts and notes what it is asked.
struct Odd {
    stream: TcpStream,
    bend: Bend,
    noted: Arc<Mutex<Noted>>,
}

#[derive(Debug, Default)]
struct Noted {
    timeouts: Vec<Duration>,
    reads: usize,
    writes: Vec<usize>,
    /// Writes fail, and how many did.
    is_broken: bool,
    failed: usize,
}

impl Stream for Odd {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.noted.lock().unwrap().reads += 1;
        Stream::read(&self.stream, buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut noted = self.noted.lock().unwrap();
        if noted.is_broken {
            noted.failed += 1;
            return Err(ErrorKind::ConnectionReset.into());
        }
        drop(noted);
        let written = Stream::write(&self.stream, bytes);
        self.noted.lock().unwrap().writes.extend(written.as_ref().ok());
        written
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.noted.lock().unwrap().timeouts.push(timeout);
        if timeout.is_zero() {
            return Err(ErrorKind::InvalidInput.into());
        }
        Stream::set_read_timeout(&self.stream, (self.bend)(timeout))
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        Stream::set_write_timeout(&self.stream, timeout)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        Stream::shutdown(&self.stream, how)
    }
}

/// A link over such a socket, its mock and its notes.
struct Bent {
    link: Link<Odd>,
    mock: Mock,
    log: Log,
    noted: Arc<Mutex<Noted>>,
}

fn bent(options: &LinkOptions, bend: Bend) -> Bent {
    let (stream, mock) = Mock::pair();
    let noted = Arc::<Mutex<Noted>>::default();
    let (notes, log) = notes(|_, _| {});
    let stream = Odd { stream, bend, noted: Arc::clone(&noted) };
    let link = Link::start_with(stream, Native::default(), options, notes).unwrap();
    Bent { link, mock, log, noted }
}

// lessons 28, 38: a third of what was asked, what was asked, and more than any kernel adds to it
#[test]
fn timeouts_that_end_early_or_late_kill_no_link_early_and_do_not_spin() {
    let bends: [Bend; 3] = [|asked| asked / 3, |asked| asked, |asked| asked * 9 / 8 + ms(40)];
    for bend in bends {
        let bent = bent(&options(100, 500), bend);
        let last = bent.mock.say(&heartbeat(100));
        let (at, down) = bent.log.down();
        assert_eq!(down.reason, DownReason::Silent);
        assert!(at - last >= ms(600), "died {:?} early", ms(600) - (at - last));
        assert_soon(last + ms(600), at, "the verdict");
        let noted = bent.noted.lock().unwrap();
        assert!(noted.reads < 100, "{} reads for one silence", noted.reads);
        assert!(noted.timeouts.iter().all(|timeout| *timeout <= ms(600)), "{noted:?}");
    }
}

// lesson 38: rounded up, never to zero, which means no timeout or an error
#[test]
fn no_timeout_is_ever_zero() {
    let mut shortest = options(1, 0);
    shortest.liveness.heartbeat_time_min = ms(1);
    for _ in 0..20 {
        let bent = bent(&shortest, |asked| asked);
        assert_eq!(bent.log.down().1.reason, DownReason::Silent);
        let noted = bent.noted.lock().unwrap();
        assert!(noted.timeouts.iter().all(|timeout| !timeout.is_zero()), "{noted:?}");
        assert!(noted.reads < 50, "{} reads in one millisecond", noted.reads);
    }
}

// lesson 51
#[test]
fn head_and_body_leave_in_one_write() {
    let mut bent = bent(&options(60_000, 60_000), |asked| asked);
    bent.mock.frame();
    for size in [0, 1, 100, 5000] {
        thread::sleep(ms(20));
        bent.link.send(&vec![7; size]).unwrap();
        assert_eq!(bent.mock.frame().payload.len(), size);
        wait_for("the note", || bent.noted.lock().unwrap().writes.last() == Some(&(size + 5)));
    }
    assert_eq!(bent.noted.lock().unwrap().writes.len(), 5, "the announcement and four messages");
}

// lessons 14, 28
#[test]
fn only_what_the_kernel_takes_moves_the_sending_clock() {
    // The pipe takes ten bytes of the announcement; the rest is tried again and again.
    let (ours, theirs) = pipe(10);
    let (notes, _log) = notes(|_, _| {});
    let link = Link::start_with(ours, Native::default(), &options(60_000, 60_000), notes).unwrap();
    wait_for("the first bytes", || link.stats().bytes_sent == 10);
    let taken = Instant::now();
    for _ in 0..30 {
        // Neither attempts nor what is received.
        Stream::write(&theirs, &heartbeat(60_000)).unwrap();
        thread::sleep(ms(10));
    }
    wait_for("the peer's heartbeats", || link.stats().heartbeats_received == 30);
    let age = link.state().last_sent_age;
    assert!(age >= taken.elapsed() - ms(20) && age >= ms(250), "a byte left {age:?} ago");
    assert!(link.state().silence < age, "{:?}", link.state());
    // One more byte does.
    let before = Instant::now();
    assert_eq!(Stream::read(&theirs, &mut [0; 1]).unwrap(), 1);
    wait_for("one byte more", || link.stats().bytes_sent == 11);
    assert!(link.state().last_sent_age <= before.elapsed());
    drop(theirs);
    link.wait_down(LONG).expect("the pipe is gone");
}

/// A peer that writes without an end, and reads everything.
struct Endless {
    is_reading_shut: AtomicBool,
    read_after: Arc<AtomicUsize>,
}

impl Stream for Endless {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        thread::sleep(ms(5));
        if self.is_reading_shut.load(Ordering::SeqCst) {
            self.read_after.fetch_add(1, Ordering::SeqCst);
        }
        let message = frame(DATA, b"more");
        buffer[..message.len()].copy_from_slice(&message);
        Ok(message.len())
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn set_read_timeout(&self, _: Duration) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&self, _: Duration) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.is_reading_shut.fetch_or(how != Shutdown::Write, Ordering::SeqCst);
        Ok(())
    }
}

#[test]
fn a_close_reads_nothing_after_it_has_shut_reading() {
    // The kernel reopens no window for such a read: a peer that only writes is then stuck.
    let read_after = Arc::<AtomicUsize>::default();
    let stream =
        Endless { is_reading_shut: AtomicBool::new(false), read_after: Arc::clone(&read_after) };
    let (notes, log) = notes(|_, _| {});
    let options = options(60_000, 60_000).close_timeout(ms(50));
    let link = Link::start_with(stream, Native::default(), &options, notes).unwrap();
    log.message();
    link.close();
    assert!(matches!(log.until_down().1.reason, DownReason::Local { .. }));
    assert_eq!(read_after.load(Ordering::SeqCst), 0);
}

#[test]
fn a_write_that_fails_in_a_close_is_not_tried_again() {
    let (stream, mock) = Mock::pair();
    let noted = Arc::<Mutex<Noted>>::default();
    let stream = Odd { stream, bend: |asked| asked, noted: Arc::clone(&noted) };
    let seen = Arc::clone(&noted);
    // The handler keeps the reader, so the close is not over when its goodbye has failed.
    let (notes, log) = notes(move |link: &Link<Odd>, _| {
        seen.lock().unwrap().is_broken = true;
        link.close();
        wait_for("the goodbye is tried", || seen.lock().unwrap().failed > 0);
        thread::sleep(ms(50));
    });
    let link = Link::start_with(stream, Native::default(), &options(60_000, 60_000), notes);
    let _link = link.unwrap();
    mock.say(&frame(DATA, b"close"));
    log.until_down();
    assert_eq!(noted.lock().unwrap().failed, 1);
}
