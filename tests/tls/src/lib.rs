//! TLS under links and nodes: the program of the page on encrypting, and what the tests share.

#[path = "../../common/accept.rs"]
mod accept;
mod certificates;
mod tls;
mod transports;

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accept::accept;
pub use certificates::{Authority, Parts, client_of};
use peerbeat::link::{Layered, LinkOptions};
use peerbeat::liveness::Settings;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConnection};
pub use tls::{Tls, TlsTransport};
pub use transports::{Socks5, SourceAddress};

/// A stream that a test can look into while a link runs on it.
pub type TlsStream = Arc<Layered<TcpStream, Tls>>;

/// How long what must come is waited for.
pub const LONG: Duration = Duration::from_secs(60);

/// The client's end over a connected socket; the server must be the one called "server".
///
/// # Panics
/// If the handshake fails.
pub fn client_end(authority: &Authority, socket: TcpStream) -> TlsStream {
    client_end_with(authority.client("client"), socket)
}

/// The same with an identity.
///
/// # Panics
/// If the handshake fails.
pub fn client_end_with(client: Arc<ClientConfig>, socket: TcpStream) -> TlsStream {
    let name = ServerName::try_from("server").expect("a name");
    let tls = ClientConnection::new(client, name).expect("a client");
    Arc::new(Layered::open(socket, Tls(tls.into()), Instant::now() + LONG).expect("a handshake"))
}

/// The server's end.
///
/// # Panics
/// If the handshake fails.
pub fn server_end(authority: &Authority, socket: TcpStream) -> TlsStream {
    let tls = ServerConnection::new(authority.server("server")).expect("a server");
    Arc::new(Layered::open(socket, Tls(tls.into()), Instant::now() + LONG).expect("a handshake"))
}

/// Both ends, with what `between` puts between them: it is given the server's address, and returns
/// the address that the client dials.
///
/// # Panics
/// If there is no connection.
pub fn ends<T>(
    authority: &Authority,
    between: impl FnOnce(std::net::SocketAddr) -> (std::net::SocketAddr, T),
) -> (TlsStream, TlsStream, T) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (addr, kept) = between(listener.local_addr().expect("an address"));
    std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            let socket = accept(&listener);
            socket.set_nodelay(true).expect("a socket");
            server_end(authority, socket)
        });
        let socket = TcpStream::connect(addr).expect("it listens");
        socket.set_nodelay(true).expect("a socket");
        let client = client_end(authority, socket);
        (client, server.join().expect("no panic"), kept)
    })
}

/// Options with these times, in milliseconds.
pub fn options(heartbeat_ms: u64, slack_ms: u64) -> LinkOptions {
    let liveness = Settings::default()
        .heartbeat_time(Some(Duration::from_millis(heartbeat_ms)))
        .slack(Duration::from_millis(slack_ms))
        .heartbeat_time_min(Duration::from_millis(20));
    LinkOptions::default().liveness(liveness)
}
