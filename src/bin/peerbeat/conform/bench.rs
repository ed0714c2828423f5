//! The address of the implementation under test, and how connections to it are made.
//!
//! Both roles look alike to a check: [`Bench::open`] returns a connection on which our first frame
//! is the next thing to happen.

use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use super::ConformOptions;
use super::conn::{Conn, Failure, Seen, hello};

/// What every check works with.
pub(crate) struct Bench<'a> {
    pub(crate) options: &'a ConformOptions,
    /// It dials us.
    listener: Option<TcpListener>,
}

impl<'a> Bench<'a> {
    /// # Errors
    /// The address cannot be listened on.
    pub(crate) fn new(options: &'a ConformOptions) -> io::Result<Self> {
        let listener = options.listen.then(|| TcpListener::bind(&options.addr)).transpose()?;
        if let Some(listener) = &listener {
            listener.set_nonblocking(true)?;
        }
        Ok(Self { options, listener })
    }

    /// Where it listens, if it does.
    pub(crate) fn listening(&self) -> Option<String> {
        Some(self.listener.as_ref()?.local_addr().ok()?.to_string())
    }

    pub(crate) fn is_listening(&self) -> bool {
        self.listener.is_some()
    }

    /// What "at once" may take.
    pub(crate) fn soon(&self) -> Duration {
        self.options.tolerance
    }

    /// A connection on which our first frame is the next thing to happen: the side that dials us
    /// has sent its HELLO.
    ///
    /// # Errors
    /// There is none to be had.
    pub(crate) fn open(&self) -> Result<Conn, Failure> {
        let Some(listener) = &self.listener else {
            return connect(&self.options.addr).and_then(Conn::new).map_err(no_connection);
        };
        loop {
            let mut conn = self.accept(listener).and_then(Conn::new).map_err(no_connection)?;
            conn.expect_hello(self.soon().max(WELCOME_MAX))?;
            match conn.next(Instant::now())? {
                Seen::Nothing => return Ok(conn),
                // It was dialled during the check before, and has been given up meanwhile.
                Seen::Bye(..) | Seen::End(_) => {}
                other => return Err(conn.failure("nothing before our HELLO", &other.to_string())),
            }
        }
    }

    fn accept(&self, listener: &TcpListener) -> io::Result<TcpStream> {
        let until = Instant::now() + self.options.wait;
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    return Ok(stream);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                    thread::sleep(POLL);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    let text = format!("no connection came within {:?}", self.options.wait);
                    return Err(io::Error::new(ErrorKind::TimedOut, text));
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// An established link; we announce `value` as our heartbeat-time.
    ///
    /// # Errors
    /// It was not welcome.
    pub(crate) fn link(&self, value: u32) -> Result<Conn, Failure> {
        let mut conn = self.open()?;
        conn.send(&hello(&self.options.name, Some(value), false))?;
        if !self.is_listening() {
            conn.expect_hello(self.soon().max(WELCOME_MAX))?;
        }
        Ok(conn)
    }

    /// An established link on which the side under test has announced its value in force, and that
    /// value: its own, or `value` if that is smaller or it has none.
    ///
    /// # Errors
    /// It announces nothing, or another value.
    pub(crate) fn settled(&self, value: u32) -> Result<(Conn, u32), Failure> {
        let mut conn = self.link(value)?;
        let smaller = match conn.hello.flatten() {
            Some(theirs @ 1..) => theirs.min(value),
            _ => value,
        };
        let expected = format!("HEARTBEAT {smaller} ms, or more if its floor is above {value} ms");
        let beat = conn.expect_beat(&expected, self.soon().max(WELCOME_MAX), |beat| {
            beat.heartbeat_time_ms >= smaller
        })?;
        Ok((conn, beat.heartbeat_time_ms))
    }
}

fn no_connection(error: io::Error) -> Failure {
    Failure { expected: "a connection".to_owned(), got: error.to_string(), bytes: Vec::new() }
}

fn connect(addr: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, format!("{addr} has no address"));
    for addr in addr.to_socket_addrs()? {
        match TcpStream::connect_timeout(&addr, WELCOME_MAX) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// How long a welcome may take in checks that are about something else.
const WELCOME_MAX: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(5);
