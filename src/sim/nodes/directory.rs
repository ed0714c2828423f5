//! Which machine is meant by a name or an address: the name service and the routes of the net.
//!
//! Every machine has a name and an address of its own, and others that it is given. An address of
//! the loopback network is the machine that listens on that port, so that a configuration made for
//! one machine works here too.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::config::{Address, Config, Port};
use crate::node::Endpoint;
use crate::node::driven::no_address;
use crate::sim::Host;

/// Names and addresses of all machines.
#[derive(Debug, Default)]
pub(super) struct Directory {
    names: Vec<(String, Host)>,
    addrs: Vec<(IpAddr, Host)>,
    ports: Vec<(u16, Host)>,
}

impl Directory {
    /// Adds a machine with a name and an address of its own.
    pub(super) fn add(&mut self, name: &str, host: Host) {
        self.names.push((name.to_owned(), host));
        self.addrs.push((own(host), host));
    }

    /// Gives a machine another name, or another address.
    pub(super) fn also(&mut self, name: &str, host: Host) {
        match name.parse::<IpAddr>() {
            Ok(ip) if ip.is_loopback() || ip.is_unspecified() => {}
            Ok(ip) => self.addrs.push((ip, host)),
            Err(_) if name == LOCALHOST => {}
            Err(_) => self.names.push((name.to_owned(), host)),
        }
    }

    /// Where a node with this configuration listens: its port, and what it shows.
    pub(super) fn listen(&mut self, host: Host, config: &Config) -> (Option<u16>, Vec<Endpoint>) {
        let tcp = config.port().map(|port| match port {
            Port::Fixed(number) => number,
            Port::Auto => AUTO_PORT,
        });
        let mut endpoints: Vec<_> =
            tcp.map(|port| SocketAddr::new(own(host), port).into()).into_iter().collect();
        for interface in config.interfaces() {
            self.also(interface, host);
            let path = interface.strip_prefix("unix:");
            endpoints.extend(path.map(|path| Endpoint::Unix(Path::new(path).into())));
        }
        // A Unix socket has no port; a program that dials it takes what there is.
        let port = tcp.or_else(|| (!endpoints.is_empty()).then_some(AUTO_PORT));
        self.ports.retain(|(_, other)| *other != host);
        self.ports.extend(port.map(|port| (port, host)));
        (port, endpoints)
    }

    /// The address that a machine shows to others.
    pub(super) fn ip(&self, host: Host) -> IpAddr {
        own(host)
    }

    pub(super) fn resolve(&self, address: &Address) -> io::Result<Vec<Endpoint>> {
        let (name, port) = match address {
            Address::Tcp { host, port } => (host, *port),
            Address::Unix(path) => return Ok(vec![Endpoint::Unix(path.as_path().into())]),
        };
        if name == LOCALHOST {
            return Ok(vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port).into()]);
        }
        let known = self.names.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let addr = |host| Endpoint::from(SocketAddr::new(own(host), port));
        let found: Vec<_> = known.map(|(_, host)| addr(*host)).collect();
        if found.is_empty() { Err(no_address()) } else { Ok(found) }
    }

    /// The machine behind an address, and the port there; `None` = nothing answers.
    pub(super) fn find(&self, addr: &Endpoint) -> Option<(Host, u16)> {
        let addr = match addr {
            Endpoint::Tcp(addr) => addr,
            other => {
                let name = other.to_string();
                let (_, host) = self.names.iter().find(|(known, _)| *known == name)?;
                let (port, _) = self.ports.iter().find(|(_, listens)| listens == host)?;
                return Some((*host, *port));
            }
        };
        if addr.ip().is_loopback() {
            let (port, host) = self.ports.iter().find(|(port, _)| *port == addr.port())?;
            return Some((*host, *port));
        }
        let (_, host) = self.addrs.iter().rev().find(|(ip, _)| *ip == addr.ip())?;
        Some((*host, addr.port()))
    }
}

fn own(host: Host) -> IpAddr {
    Ipv4Addr::from_bits(FIRST.to_bits() + host.0 as u32).into()
}

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The port of a node whose configuration leaves it to the system.
const AUTO_PORT: u16 = 49_152;
const LOCALHOST: &str = "localhost";
