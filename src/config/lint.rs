//! Lints: settings of a finished configuration that are valid but probably not intended.
//!
//! Only problems that one side can see. Those that need both ends, such as two heartbeat-times of
//! 0, are for a reader that has both files; and a file that is only a part of a configuration is
//! not checked for what the whole may define.

use std::collections::HashMap;
use std::time::Duration;

use super::globals::{Globals, Timing};
use super::location::Location;
use super::peer::PeerConfig;
use super::report::Report;
use super::tls::TlsItem;
use super::value::Port;
use super::warning::WarningKind;

/// `is_part`: the file says nothing about who it is, as files that are included.
pub(super) fn lint(globals: &Globals, peers: &[PeerConfig], is_part: bool, report: &mut Report) {
    if !is_part {
        lint_listening(globals, peers, report);
    }
    lint_duplicates(peers, report);
    lint_identity(globals, peers, report);
    for peer in peers {
        lint_times(peer, report);
    }
}

/// A peer that waits to be dialled, but the program that would dial it finds nothing listening.
fn lint_listening(globals: &Globals, peers: &[PeerConfig], report: &mut Report) {
    if globals.listens() {
        return;
    }
    let waits = |peer: &&PeerConfig| peer.addresses().is_empty() && !peer.ways().is_empty();
    if let Some(peer) = peers.iter().find(waits) {
        let kind = WarningKind::NotListening { peer: peer.name().to_owned() };
        report.warn(peer.origin(), kind);
    }
}

/// A port on which nothing listens, and one that is to take plain TCP and TLS. `port_at` is where
/// `datasrc-port` was set.
pub(super) fn lint_ports(
    globals: &Globals,
    port_at: Option<&Location>,
    tls: Option<&(TlsItem, u16)>,
    report: &mut Report,
) {
    let interfaces = &globals.interfaces;
    let listens_on_paths_alone =
        !interfaces.is_empty() && interfaces.iter().all(|host| host.starts_with("unix:"));
    if let Some(at) = port_at.filter(|_| globals.port.is_some() && listens_on_paths_alone) {
        report.warn(at, WarningKind::PortWithoutInterface);
    }
    if let Some((item, number)) = tls.filter(|(_, port)| globals.port == Some(Port::Fixed(*port))) {
        let kind = WarningKind::TlsPort { item: item.item.clone(), port: *number };
        report.warn(&item.location, kind);
    }
}

/// The same peer twice: each link replaces the other.
fn lint_duplicates(peers: &[PeerConfig], report: &mut Report) {
    let mut first: HashMap<String, &Location> = HashMap::new();
    for peer in peers.iter().filter(|peer| !peer.addresses().is_empty()) {
        let ours = (&peer.local_name, &peer.local_label, peer.local_id);
        let key = format!("{:?} {:?} {ours:?}", peer.identity, peer.addresses);
        match first.get(&key) {
            Some(other) => {
                report.warn(peer.origin(), WarningKind::Duplicate { other: (*other).clone() });
            }
            None => {
                first.insert(key, peer.origin());
            }
        }
    }
}

/// Peers that only accept, and that no HELLO can reach, or one that is another's as well. Peers we
/// dial are who they were dialled as.
fn lint_identity(globals: &Globals, peers: &[PeerConfig], report: &mut Report) {
    for (index, peer) in peers.iter().enumerate() {
        let accepts = |peer: &PeerConfig| peer.addresses().is_empty();
        if accepts(peer) && peer.ways().is_empty() {
            report.warn(peer.origin(), WarningKind::NeverMatches);
            continue;
        }
        if globals.port.is_none() {
            continue;
        }
        let earlier = peers[..index].iter().filter(|other| accepts(peer) || accepts(other));
        let mut both = earlier.filter_map(|other| Some((shared(other, peer)?, other)));
        if let Some((by, other)) = both.next() {
            let kind = WarningKind::Indistinguishable { by, other: other.origin().clone() };
            report.warn(peer.origin(), kind);
        }
    }
}

/// By what one who is `peer` or `other` in every respect can be taken for the other one too.
fn shared(other: &PeerConfig, peer: &PeerConfig) -> Option<String> {
    let say = |by: super::peer::RecognisedBy, of: &PeerConfig| {
        let ways = of.ways();
        let value = ways.iter().find(|(way, _)| *way == by).map(|(_, value)| &**value);
        format!("{} {}", by.as_str(), value.unwrap_or_default())
    };
    let by = other.identity.recognise_other(&peer.identity).map(|by| say(by, other));
    by.or_else(|| peer.identity.recognise_other(&other.identity).map(|by| say(by, peer)))
}

fn lint_times(peer: &PeerConfig, report: &mut Report) {
    let (slack, time) = (peer.slack(), peer.heartbeat_time());
    // Named where it was written, so that one global value is one warning and not one a peer.
    let slack_at = slack.origin.location().or(time.origin.location()).unwrap_or(peer.origin());
    let is_zero = report.warnings().iter().any(|warning| {
        matches!(warning.kind(), WarningKind::SlackZero { .. }) && warning.location() == slack_at
    });
    if let Some(heartbeat_time) = time.value {
        if slack.value < heartbeat_time / 10 && !is_zero {
            let kind = WarningKind::SlackUnderTenth { slack: slack.value, heartbeat_time };
            report.warn(slack_at, kind);
        }
        if heartbeat_time < Timing::default().heartbeat_time_min.value {
            let at = time.origin.location().unwrap_or(peer.origin());
            report.warn(at, WarningKind::HeartbeatTimeTiny { heartbeat_time });
        }
    }
    if slack.value < TINY_SLACK && !is_zero {
        report.warn(slack_at, WarningKind::SlackTiny { slack: slack.value });
    }
}

const TINY_SLACK: Duration = Duration::from_millis(50);
