//! The same seam with another library: a layer for OpenSSL, whose connection reads and writes
//! memory, against rustls at the other end. `cargo test --features openssl` (it needs libssl-dev).

#[path = "../../common/accept.rs"]
mod accept;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use accept::accept;
use openssl::pkey::PKey;
use openssl::ssl::{Error, ErrorCode, SslConnector, SslMethod, SslStream};
use openssl::x509::X509;
use peerbeat::link::{Layer, Layered, Opened, RecvError, Role, open};
use peerbeat_tls::{Authority, LONG, options, server_end};

/// What OpenSSL takes for its socket.
#[derive(Debug, Default)]
struct Memory {
    arrived: Vec<u8>,
    written: Vec<u8>,
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.arrived.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = buffer.len().min(self.arrived.len());
        buffer[..count].copy_from_slice(&self.arrived[..count]);
        self.arrived.drain(..count);
        Ok(count)
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct OpenSsl {
    tls: SslStream<Memory>,
    is_ready: bool,
}

/// `None` = OpenSSL waits for more bytes.
fn now<T>(result: Result<T, Error>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if [ErrorCode::WANT_READ, ErrorCode::WANT_WRITE].contains(&e.code()) => Ok(None),
        Err(e) => Err(io::Error::new(io::ErrorKind::InvalidData, e)),
    }
}

impl OpenSsl {
    /// Goes on with the handshake until it waits for the other side.
    fn shake(&mut self) -> io::Result<()> {
        self.is_ready = self.is_ready || now(self.tls.do_handshake())?.is_some();
        Ok(())
    }

    fn read(&mut self, plain: &mut [u8]) -> io::Result<Opened> {
        let mut opened = Opened::default();
        while self.is_ready && opened.given < plain.len() {
            match self.tls.ssl_read(&mut plain[opened.given..]) {
                Err(e) if e.code() == ErrorCode::ZERO_RETURN => return Ok(opened.ended()),
                read => match now(read)? {
                    Some(count @ 1..) => opened.given += count,
                    _ => break,
                },
            }
        }
        Ok(opened)
    }
}

impl Layer for OpenSsl {
    fn seal(&mut self, plain: &[u8], sealed: &mut Vec<u8>) -> io::Result<usize> {
        let done = self.shake().and_then(|()| match self.is_ready && !plain.is_empty() {
            true => Ok(now(self.tls.ssl_write(plain))?.unwrap_or(0)),
            false => Ok(0),
        });
        sealed.append(&mut self.tls.get_mut().written);
        done
    }

    fn open(
        &mut self,
        sealed: &[u8],
        plain: &mut [u8],
        replies: &mut Vec<u8>,
    ) -> io::Result<Opened> {
        // What is plain already comes first: no more is taken in while OpenSSL has some left.
        let taken = if self.tls.get_ref().arrived.is_empty() { sealed.len() } else { 0 };
        self.tls.get_mut().arrived.extend_from_slice(&sealed[..taken]);
        let opened = self.shake().and_then(|()| self.read(plain));
        replies.append(&mut self.tls.get_mut().written);
        opened.map(|mut opened| {
            opened.taken = taken;
            opened
        })
    }

    fn close(&mut self, sealed: &mut Vec<u8>) -> io::Result<()> {
        let _said_or_not = self.tls.shutdown();
        sealed.append(&mut self.tls.get_mut().written);
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.is_ready
    }
}

/// Dials the one called "server" as "client".
fn openssl_end(
    authority: &Authority,
    socket: TcpStream,
) -> io::Result<Layered<TcpStream, OpenSsl>> {
    let [root, certificate, key] = authority.parts("client");
    let mut builder = SslConnector::builder(SslMethod::tls())?;
    builder.cert_store_mut().add_cert(X509::from_der(&root)?)?;
    builder.set_certificate(&*X509::from_der(&certificate)?)?;
    builder.set_private_key(&*PKey::private_key_from_der(&key)?)?;
    let mut ssl = builder.build().configure()?.into_ssl("server")?;
    ssl.set_connect_state();
    let tls = SslStream::new(ssl, Memory::default())?;
    Layered::open(socket, OpenSsl { tls, is_ready: false }, Instant::now() + LONG)
}

#[test]
fn openssl_and_rustls_exchange_messages_of_all_lengths_and_close_in_order() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let lengths = [0, 1, 16_383, 16_384, 16_385, 262_144, 7];
    thread::scope(|scope| {
        scope.spawn(|| {
            let stream = server_end(&authority, accept(&listener));
            let (link, inbox) = open(stream, Role::Accept, &options(100, 60_000)).expect("a link");
            for length in lengths {
                let message = inbox.recv(Some(LONG)).expect("a message");
                assert!(message == vec![7; length], "{length}");
                link.send(&message).expect("room");
            }
            link.close();
            assert!(link.wait_down(LONG).is_some());
        });
        let socket = TcpStream::connect(addr).expect("it listens");
        let stream = openssl_end(&authority, socket).expect("a handshake");
        let (link, inbox) = open(stream, Role::Dial, &options(100, 60_000)).expect("a link");
        for length in lengths {
            link.send(&vec![7; length]).expect("room");
        }
        for length in lengths {
            assert!(inbox.recv(Some(LONG)).expect("a message") == vec![7; length], "{length}");
        }
        let Err(RecvError::Down(down)) = inbox.recv(Some(LONG)) else { panic!("it closed") };
        assert!(down.reason.is_orderly(), "{down}");
    });
}

#[test]
fn a_server_of_another_authority_is_refused() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let server = thread::spawn(move || drop(server_end(&theirs, accept(&listener))));
    let refused = openssl_end(&ours, TcpStream::connect(addr).expect("it listens"));
    let error = refused.map(drop).expect_err("no trust");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(server.join().is_err(), "the server got the alert");
}
