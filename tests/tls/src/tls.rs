use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Instant;

use peerbeat::link::{Layer, Layered, Opened, Socket};
use peerbeat::node::{Connected, Dial, Transport};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};

pub struct Tls(pub Connection);

impl Layer for Tls {
    fn seal(&mut self, plain: &[u8], sealed: &mut Vec<u8>) -> io::Result<usize> {
        let count = self.0.writer().write(plain)?;
        while self.0.wants_write() {
            self.0.write_tls(sealed)?;
        }
        Ok(count)
    }

    fn open(&mut self, sealed: &[u8], plain: &mut [u8], out: &mut Vec<u8>) -> io::Result<Opened> {
        let (mut rest, mut sound) = (sealed, Ok(()));
        while !rest.is_empty() && self.0.wants_read() && sound.is_ok() {
            self.0.read_tls(&mut rest)?;
            sound = self.0.process_new_packets().map(drop);
            self.seal(&[], out)?; // answers and alerts
        }
        sound.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let given = match self.0.reader().read(plain) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
            Ok(0) if !plain.is_empty() => return Ok(Opened::new(sealed.len(), 0).ended()),
            read => read?,
        };
        Ok(Opened::new(sealed.len() - rest.len(), given))
    }

    fn close(&mut self, sealed: &mut Vec<u8>) -> io::Result<()> {
        self.0.send_close_notify();
        self.seal(&[], sealed).map(drop)
    }

    fn is_ready(&self) -> bool {
        !self.0.is_handshaking()
    }
}

pub struct TlsTransport(pub Arc<ClientConfig>, pub Arc<ServerConfig>);

fn secure(socket: Socket, tls: Connection, deadline: Instant) -> io::Result<Connected> {
    let stream = Layered::open(socket, Tls(tls), deadline)?;
    let chain = stream.with_layer(|tls| tls.0.peer_certificates().map(<[_]>::to_vec));
    let chain = chain.ok_or_else(|| io::Error::other("no certificate"))?;
    let certificate = webpki::EndEntityCert::try_from(&chain[0]).map_err(io::Error::other)?;
    let name = certificate.valid_dns_names().next().unwrap_or_default().to_owned();
    Ok(Connected::new(stream).verified_name(name))
}

impl Transport for TlsTransport {
    fn connect(&self, dial: &Dial<'_>) -> io::Result<Connected> {
        let name = ServerName::try_from(dial.peer.to_owned()).map_err(io::Error::other)?;
        let tls = ClientConnection::new(self.0.clone(), name).map_err(io::Error::other)?;
        secure(dial.connect()?, tls.into(), dial.deadline)
    }

    fn accept(&self, socket: Socket, deadline: Instant) -> io::Result<Connected> {
        let tls = ServerConnection::new(self.1.clone()).map_err(io::Error::other)?;
        secure(socket, tls.into(), deadline)
    }
}
