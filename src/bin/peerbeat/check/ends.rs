//! Two files, one link: which `add-peer` of one meets which of the other, and what the two ends
//! agree on.
//!
//! A host's name does not tell which file runs there, so a peer that is dialled is looked for
//! behind every file that listens on the dialled port. What can only be guessed is a note, not a
//! warning.

use std::time::Duration;

use peerbeat::config::{Address, PeerConfig, Port};
use peerbeat::protocol::Escaped;

use super::{File, Remark};

/// What comparing the files showed.
pub(super) struct Compared {
    pub(super) links: Vec<Link>,
    pub(super) remarks: Vec<Remark>,
}

/// One link that two of the files make.
pub(super) struct Link {
    pub(super) dialler: End,
    pub(super) acceptor: End,
    /// The address that meets, as the dialling file has it.
    pub(super) address: String,
    /// The name that the dialled side was expected to have and does not; guessed where names are
    /// made of the application's and the host's.
    pub(super) other_name: Option<(String, String)>,
}

/// One end of a link.
pub(super) struct End {
    /// Index of its file.
    pub(super) file: usize,
    /// Index of its peer.
    pub(super) peer: usize,
    /// In force once each end has heard the other; `None` = never any.
    pub(super) heartbeat_time: Option<Duration>,
}

/// Finds the links between the files, and what is wrong with them.
pub(super) fn compare(files: &[File]) -> Compared {
    let mut compared = Compared { links: Vec::new(), remarks: Vec::new() };
    for (file, dialling) in files.iter().enumerate() {
        for (peer, config) in dialling.config.peers().iter().enumerate() {
            if !config.addresses().is_empty() {
                compared.follow(files, file, peer);
            }
        }
    }
    let silent: Vec<Remark> =
        compared.links.iter().filter_map(|link| silent(files, link)).collect();
    compared.remarks.extend(silent);
    compared
}

impl Compared {
    /// Looks for who answers when `peer` of `file` is dialled.
    fn follow(&mut self, files: &[File], file: usize, peer: usize) {
        let config = &files[file].config.peers()[peer];
        let mut stranger = None;
        let mut met = false;
        for (other, answering) in files.iter().enumerate() {
            let Some(address) = listening(config, answering, other == file) else { continue };
            let known = |q: &PeerConfig| {
                q.matches(config.local_name(), config.local_label(), config.local_id())
            };
            match answering.config.peers().iter().position(known) {
                Some(found) => {
                    met = true;
                    if !self.has((other, found), (file, peer)) {
                        let address = address.to_string();
                        self.links.push(link(files, (file, peer), (other, found), address));
                    }
                }
                None => stranger = stranger.or(Some((other, address.port))),
            }
        }
        if let (false, Some((other, port))) = (met, stranger) {
            self.remarks.push(refused(config, port, &files[other].name));
        }
    }

    /// Whether the link is known already, found from its other end.
    fn has(&self, dialler: (usize, usize), acceptor: (usize, usize)) -> bool {
        let is = |end: &End, (file, peer)| end.file == file && end.peer == peer;
        self.links.iter().any(|link| is(&link.dialler, dialler) && is(&link.acceptor, acceptor))
    }
}

/// The first address of the peer at which the other file may listen. A file meets itself only where
/// the address says so.
fn listening<'a>(peer: &'a PeerConfig, other: &File, itself: bool) -> Option<&'a Address> {
    let Some(Port::Fixed(port)) = other.config.port() else { return None };
    let is_here = |address: &&Address| !itself || is_local(&address.host);
    peer.addresses().iter().filter(|address| address.port == port).find(is_here)
}

fn is_local(host: &str) -> bool {
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

fn link(files: &[File], from: (usize, usize), to: (usize, usize), address: String) -> Link {
    let p = &files[from.0].config.peers()[from.1];
    let q = &files[to.0].config.peers()[to.1];
    let (near, far) = in_force(p, q);
    let named = p.remote_label().is_none() && p.remote_id().is_none();
    let other_name = p
        .remote_name()
        .filter(|name| named && *name != q.local_name())
        .map(|name| (name.to_owned(), q.local_name().to_owned()));
    Link {
        dialler: End { file: from.0, peer: from.1, heartbeat_time: near },
        acceptor: End { file: to.0, peer: to.1, heartbeat_time: far },
        address,
        other_name,
    }
}

/// The heartbeat-times in force once nothing changes any more: each end takes the smaller value it
/// hears, but none under its floor (PROTOCOL H2).
fn in_force(p: &PeerConfig, q: &PeerConfig) -> (Option<Duration>, Option<Duration>) {
    let hear = |own: Option<Duration>, said: Option<Duration>, floor: Duration| match (own, said) {
        (own, None) => own,
        (None, Some(said)) => Some(said.max(floor)),
        (Some(own), Some(said)) => Some(own.min(said.max(floor))),
    };
    let (mut near, mut far) = (p.heartbeat_time().value, q.heartbeat_time().value);
    // Values only fall and stop at a floor: after both have heard both there is nothing new.
    for _ in 0..3 {
        near = hear(near, far, p.heartbeat_time_min().value);
        far = hear(far, near, q.heartbeat_time_min().value);
    }
    (near, far)
}

/// The warning of a link of which neither end asks for heartbeats.
fn silent(files: &[File], link: &Link) -> Option<Remark> {
    if link.dialler.heartbeat_time.is_some() {
        return None;
    }
    let place = |end: &End| {
        let peer = &files[end.file].config.peers()[end.peer];
        peer.heartbeat_time().origin.place().unwrap_or(peer.origin()).clone()
    };
    let other = place(&link.acceptor);
    let text = format!(
        "heartbeat-time: 0 on both known ends, here and at {other}: neither will notice that the \
         other is gone; set it on one of them"
    );
    Some(Remark { place: place(&link.dialler), text })
}

fn refused(peer: &PeerConfig, port: u16, other: &str) -> Remark {
    let mut who = format!("name \"{}\"", Escaped(peer.local_name()));
    if !peer.local_label().is_empty() {
        who += &format!(", label \"{}\"", Escaped(peer.local_label()));
    }
    if peer.local_id() != 0 {
        who += &format!(", id {}", peer.local_id());
    }
    let text = format!(
        "add-peer: dials port {port}, where {} listens, but no add-peer there knows {who}: it will \
         be refused; set datasrc-local-label here and the same remote-label there",
        Escaped(other)
    );
    Remark { place: peer.origin().clone(), text }
}
