//! A reset that a stream reports once, to whichever thread happens to ask.

use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{Link, Stream};
use peerbeat::protocol::Native;

use crate::mock::{DATA, LONG, Mock, frame};
use crate::rig::{Seen, ms, notes, options};

/// A socket that is reset while its reader waits, close to the limit, and reports that only to the
/// first thread that asks: the sender.
struct ResetOnce {
    socket: TcpStream,
    asked: (Mutex<bool>, Condvar),
}

impl Stream for ResetOnce {
    as_socket! { socket: write shutdown timeouts }

    fn can_peek(&self) -> bool {
        true
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match *self.asked.0.lock().unwrap() {
            true => Ok(0),
            false => Stream::read(&self.socket, buffer),
        }
    }

    fn wait_readable(&self) -> io::Result<()> {
        let asked = self.asked.0.lock().unwrap();
        // A sender that wakes too late asks nothing, and grants a slack: the reader parks again.
        let second = Duration::from_secs(1);
        match *self.asked.1.wait_timeout_while(asked, second, |asked| !*asked).unwrap().0 {
            true => Ok(()),
            false => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn is_readable(&self) -> io::Result<bool> {
        *self.asked.0.lock().unwrap() = true;
        self.asked.1.notify_all();
        Err(ErrorKind::ConnectionReset.into())
    }
}

#[test]
fn a_reset_that_the_sender_finds_is_the_reason() {
    let (socket, _mock) = Mock::pair();
    let stream = ResetOnce { socket, asked: Default::default() };
    let ignore = |_: &Link<ResetOnce>, _: &[u8]| {};
    let link = Link::start_with(stream, Native::default(), &options(100, 300), ignore).unwrap();
    let down = link.wait_down(LONG).expect("it ends");
    assert_eq!(down.reason.as_str(), "io", "{down}");
}

/// A stream with two messages and nothing behind them, which the reader reads while the sender
/// looks and finds a reset that is not repeated.
#[derive(Debug, Default)]
struct ReadMeanwhile {
    looks: AtomicBool,
    has_read: AtomicBool,
}

impl ReadMeanwhile {
    fn wait(flag: &AtomicBool) -> bool {
        let until = Instant::now() + Duration::from_secs(1);
        while !flag.load(SeqCst) && Instant::now() < until {
            thread::sleep(ms(1));
        }
        flag.load(SeqCst)
    }
}

impl Stream for ReadMeanwhile {
    fn can_peek(&self) -> bool {
        true
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.looks.load(SeqCst) {
            thread::sleep(ms(5));
            return Err(ErrorKind::WouldBlock.into());
        }
        if self.has_read.swap(true, SeqCst) {
            return Ok(0);
        }
        let bytes = [frame(DATA, b"one"), frame(DATA, b"two")].concat();
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
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

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }

    fn wait_readable(&self) -> io::Result<()> {
        match Self::wait(&self.looks) {
            true => Ok(()),
            false => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn is_readable(&self) -> io::Result<bool> {
        self.looks.store(true, SeqCst);
        Self::wait(&self.has_read);
        Err(ErrorKind::ConnectionReset.into())
    }
}

#[test]
fn a_reset_that_the_sender_finds_comes_behind_what_was_read() {
    // The first message waits long enough for a link that is cut off to have ended.
    let handler = notes(|link: &Link<_>, seen| {
        let until = Instant::now() + ms(300);
        while matches!(seen, Seen::Message(_)) && link.is_up() && Instant::now() < until {
            thread::sleep(ms(1));
        }
    });
    let (notes, log) = handler;
    let stream = ReadMeanwhile::default();
    let link = Link::start_with(stream, Native::default(), &options(100, 300), notes).unwrap();
    let (seen, down) = log.until_down();
    let messages = seen.iter().filter(|seen| matches!(seen, Seen::Message(_))).count();
    assert_eq!((messages, down.reason.as_str()), (2, "io"), "{down}");
    drop(link);
}
