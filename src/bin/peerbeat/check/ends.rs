//! Two files, one link: which `add-peer` of one meets which of the other, and what the two ends
//! agree on.
//!
//! A host name does not show which file runs there, so a dialled peer is looked for in every file
//! that listens on the dialled port; an application with the name that is dialled comes first. A
//! match that is only a guess gives a note, not a warning.

use std::collections::HashMap;
use std::time::Duration;

use peerbeat::config::{Address, Config, PeerConfig, Port};
use peerbeat::liveness::{Settings, agree};
use peerbeat::protocol::Escaped;

use super::{Diagnostic, File};

/// What comparing the files showed.
pub(super) struct Compared {
    pub(super) links: Vec<Link>,
    pub(super) unmet: Vec<Unmet>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// One link that two of the files make.
pub(super) struct Link {
    pub(super) dialler: End,
    pub(super) acceptor: End,
    /// The address that meets, as the dialling file has it.
    pub(super) address: String,
    /// The name that the dialled side was expected to have and does not; guessed if names are made
    /// of the application and the host.
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

/// A peer that none of the files meets.
pub(super) struct Unmet {
    /// Index of its file.
    pub(super) file: usize,
    /// Index of its peer.
    pub(super) peer: usize,
    /// In words.
    pub(super) why: String,
}

/// Finds the links between the files, and what is wrong with them.
pub(super) fn compare(files: &[File]) -> Compared {
    let mut compared = Compared { links: Vec::new(), unmet: Vec::new(), diagnostics: Vec::new() };
    for (file, dialling) in files.iter().enumerate() {
        for (peer, config) in dialling.config.peers().iter().enumerate() {
            if !config.addresses().is_empty() {
                compared.follow(files, file, peer);
            }
        }
    }
    compared.find_unmet(files);
    let silent = compared.links.iter().filter_map(|link| silent(files, link));
    let mut found: Vec<Diagnostic> = silent.collect();
    found.extend(compared.contested(files));
    compared.diagnostics.extend(found);
    compared
}

impl Compared {
    /// Looks for who answers when `peer` of `file` is dialled.
    fn follow(&mut self, files: &[File], file: usize, peer: usize) {
        let config = &files[file].config.peers()[peer];
        let mut stranger = None;
        let mut met = Vec::new();
        for (other, answering) in files.iter().enumerate() {
            let Some((address, port)) = listening(config, answering, other == file) else {
                continue;
            };
            match recognise(&answering.config, config) {
                Some(found) => met.push((other, found, address.to_string())),
                None => stranger = stranger.or(Some((other, port))),
            }
        }
        if let (true, Some((other, port))) = (met.is_empty(), stranger) {
            let name = &files[other].name;
            self.diagnostics.push(refused(config, port, name));
            let why = format!("dials port {port}, where {} refuses it", Escaped(name));
            self.unmet.push(Unmet { file, peer, why });
        }
        let is_named = |other: usize| Some(files[other].config.name()) == config.remote_name();
        if met.iter().any(|(other, ..)| is_named(*other)) {
            met.retain(|(other, ..)| is_named(*other));
        }
        for (other, found, address) in met {
            if !self.has((other, found), (file, peer)) {
                self.links.push(link(files, (file, peer), (other, found), address));
            }
        }
    }

    /// Returns true if the link is known already, found from its other end.
    fn has(&self, dialler: (usize, usize), acceptor: (usize, usize)) -> bool {
        let is = |end: &End, (file, peer)| end.file == file && end.peer == peer;
        self.links.iter().any(|link| is(&link.dialler, dialler) && is(&link.acceptor, acceptor))
    }

    /// Lists the peers that no file meets, if there are several to meet.
    fn find_unmet(&mut self, files: &[File]) {
        for (file, own) in files.iter().enumerate().filter(|_| files.len() > 1) {
            for (peer, config) in own.config.peers().iter().enumerate() {
                let is = |end: &End| end.file == file && end.peer == peer;
                let is_met = self.links.iter().any(|link| is(&link.dialler) || is(&link.acceptor));
                let is_reported = self.unmet.iter().any(|met| met.file == file && met.peer == peer);
                if is_met || is_reported {
                    continue;
                }
                let addresses: Vec<String> =
                    config.addresses().iter().map(ToString::to_string).collect();
                let why = match addresses.is_empty() {
                    true => "waits to be dialled, but none of these files dials it".to_owned(),
                    false => {
                        let addresses = addresses.join(", then ");
                        format!("dials {}, where none of these files listens", Escaped(&addresses))
                    }
                };
                self.unmet.push(Unmet { file, peer, why });
            }
        }
        self.unmet.sort_by_key(|unmet| (unmet.file, unmet.peer));
    }

    /// Two that dial as the same peer take the link from each other.
    fn contested(&self, files: &[File]) -> Vec<Diagnostic> {
        let mut first: HashMap<(usize, usize), &End> = HashMap::new();
        let mut found = Vec::new();
        for link in &self.links {
            let acceptor = (link.acceptor.file, link.acceptor.peer);
            let Some(other) = first.get(&acceptor) else {
                first.insert(acceptor, &link.dialler);
                continue;
            };
            let peer = |end: &End| &files[end.file].config.peers()[end.peer];
            let text = format!(
                "add-peer: dials as the same peer as that of {}, \"{}\" of {}; they would take \
                 the link from each other, give them different labels",
                peer(other).origin(),
                Escaped(peer(&link.acceptor).name()),
                Escaped(&files[link.acceptor.file].name)
            );
            found.push(Diagnostic { location: peer(&link.dialler).origin().clone(), text });
        }
        found
    }
}

/// The peer of `config` that `dialling` would be taken for: in the strongest way, then the first.
fn recognise(config: &Config, dialling: &PeerConfig) -> Option<usize> {
    let (name, label) = (dialling.local_name(), dialling.local_label());
    let ways = config.peers().iter().enumerate().filter_map(|(index, peer)| {
        Some((peer.recognise(name, label, dialling.local_id())?, index))
    });
    ways.min().map(|(_, index)| index)
}

/// The first address of the peer at which the other file may listen, with its port. A file meets
/// itself only if the address shows that.
fn listening<'a>(peer: &'a PeerConfig, other: &File, itself: bool) -> Option<(&'a Address, u16)> {
    let Some(Port::Fixed(port)) = other.config.port() else { return None };
    let is_here = |address: &&Address| address.port() == Some(port);
    let is_here = |address: &&Address| is_here(address) && (!itself || is_local(address));
    peer.addresses().iter().find(is_here).map(|address| (address, port))
}

fn is_local(address: &Address) -> bool {
    let Address::Tcp { host, .. } = address else { return false };
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

fn link(files: &[File], from: (usize, usize), to: (usize, usize), address: String) -> Link {
    let p = &files[from.0].config.peers()[from.1];
    let q = &files[to.0].config.peers()[to.1];
    let (near, far) = agree(&settings(p), &settings(q));
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

/// What counts for the heartbeat-times that two ends agree on.
fn settings(peer: &PeerConfig) -> Settings {
    Settings::default()
        .heartbeat_time(peer.heartbeat_time().value)
        .heartbeat_time_min(peer.heartbeat_time_min().value)
}

/// The warning of a link of which neither end asks for heartbeats.
fn silent(files: &[File], link: &Link) -> Option<Diagnostic> {
    if link.dialler.heartbeat_time.is_some() {
        return None;
    }
    let location = |end: &End| {
        let peer = &files[end.file].config.peers()[end.peer];
        peer.heartbeat_time().origin.location().unwrap_or(peer.origin()).clone()
    };
    let other = location(&link.acceptor);
    let text = format!(
        "heartbeat-time: 0 on both known ends, here and at {other}: neither will notice that the \
         other is gone; set it on one of them"
    );
    Some(Diagnostic { location: location(&link.dialler), text })
}

fn refused(peer: &PeerConfig, port: u16, other: &str) -> Diagnostic {
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
    Diagnostic { location: peer.origin().clone(), text }
}
