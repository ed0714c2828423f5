use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use peerbeat::config::Address;
use peerbeat::link::{Socket, Until};
use peerbeat::node::{Connected, Dial, Transport};
use socket2::{Domain, SockRef, Type};

fn left(dial: &Dial<'_>) -> Duration {
    dial.deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
}

fn error(kind: io::ErrorKind, text: impl Into<String>) -> io::Error {
    io::Error::new(kind, text.into())
}

/// Dials from one of this machine's addresses, and sets options of the sockets.
pub struct SourceAddress(pub IpAddr);

impl Transport for SourceAddress {
    fn connect(&self, dial: &Dial<'_>) -> io::Result<Connected> {
        let Some(addr) = dial.addr else { return Ok(Connected::new(dial.connect()?)) };
        let socket = socket2::Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        socket.set_recv_buffer_size(1 << 20)?; // before it connects, so that TCP's window has room
        socket.bind(&SocketAddr::new(self.0, 0).into())?;
        socket.connect_timeout(&addr.into(), left(dial))?;
        let socket = TcpStream::from(socket);
        if socket.local_addr()? == socket.peer_addr()? {
            // TCP may connect a port with itself if nothing listens.
            return Err(error(io::ErrorKind::ConnectionRefused, "nothing listens there"));
        }
        Ok(Connected::new(Socket::from(socket)))
    }

    fn accept(&self, socket: Socket, _deadline: Instant) -> io::Result<Connected> {
        if let Some(tcp) = socket.as_tcp() {
            SockRef::from(tcp).set_tos_v4(0x10)?; // low delay
        }
        Ok(Connected::new(socket))
    }
}

/// Dials through a SOCKS5 proxy, which resolves the names.
pub struct Socks5(pub SocketAddr);

impl Transport for Socks5 {
    fn resolves(&self) -> bool {
        true
    }

    fn connect(&self, dial: &Dial<'_>) -> io::Result<Connected> {
        let Address::Tcp { host, port } = dial.address else {
            return Err(error(io::ErrorKind::Unsupported, "no TCP address"));
        };
        let proxy = TcpStream::connect_timeout(&self.0, left(dial))?;
        let mut asked = Until::new(&proxy, dial.deadline);
        asked.write_all(&[5, 1, 0])?; // version 5, one way to log in: none
        let mut way = [0; 2];
        asked.read_exact(&mut way)?;
        match way {
            [5, 0] => {}
            [5, _] => return Err(error(io::ErrorKind::PermissionDenied, "it wants a password")),
            _ => return Err(error(io::ErrorKind::InvalidData, "no SOCKS5 proxy")),
        }
        let length = u8::try_from(host.len()).map_err(io::Error::other)?;
        let connect = [&[5, 1, 0, 3, length], host.as_bytes(), &port.to_be_bytes()].concat();
        asked.write_all(&connect)?;
        let mut answer = [0; 4];
        asked.read_exact(&mut answer)?;
        if answer[1] != 0 {
            let text = format!("the proxy cannot connect: code {}", answer[1]);
            return Err(error(io::ErrorKind::ConnectionRefused, text));
        }
        let mut length = [4]; // of the address from which it has connected: IPv4,
        match answer[3] {
            1 => {}
            4 => length = [16],                  // IPv6,
            3 => asked.read_exact(&mut length)?, // or a name
            _ => return Err(error(io::ErrorKind::InvalidData, "no SOCKS5 proxy")),
        }
        asked.read_exact(&mut vec![0; usize::from(length[0]) + 2])?; // and its port
        Ok(Connected::new(Socket::from(proxy)))
    }
}
