//! Advice on a finished configuration: what is allowed but hardly meant.
//!
//! Only what one side can know. What needs both ends, as two heartbeat-times of 0, is for whoever
//! holds both files.

use std::collections::HashMap;
use std::time::Duration;

use super::globals::Globals;
use super::peer::PeerConfig;
use super::place::Place;
use super::report::Report;
use super::timing::Timing;
use super::warning::WarningKind;

pub(super) fn advise(globals: &Globals, peers: &[PeerConfig], report: &mut Report) {
    advise_on_listening(globals, peers, report);
    advise_on_identity(peers, report);
    for peer in peers {
        advise_on_times(peer, report);
    }
}

/// A peer that waits to be dialled by somebody who finds nobody listening.
fn advise_on_listening(globals: &Globals, peers: &[PeerConfig], report: &mut Report) {
    if globals.port.is_some() {
        return;
    }
    let waits = |peer: &&PeerConfig| peer.addresses().is_empty() && peer.known_by().is_some();
    if let Some(peer) = peers.iter().find(waits) {
        let kind = WarningKind::NotListening { peer: peer.name().to_owned() };
        report.warn(peer.origin(), kind);
    }
}

/// Peers that only accept, and that no HELLO can reach. Peers we dial are who they were dialled as.
fn advise_on_identity(peers: &[PeerConfig], report: &mut Report) {
    let mut first: HashMap<String, &Place> = HashMap::new();
    for peer in peers.iter().filter(|peer| peer.addresses().is_empty()) {
        let Some(by) = peer.known_by() else {
            report.warn(peer.origin(), WarningKind::NeverMatches);
            continue;
        };
        match first.get(&by) {
            Some(other) => {
                let kind = WarningKind::Indistinguishable { by, other: (*other).clone() };
                report.warn(peer.origin(), kind);
            }
            None => {
                first.insert(by, peer.origin());
            }
        }
    }
}

fn advise_on_times(peer: &PeerConfig, report: &mut Report) {
    let (slack, time) = (peer.slack(), peer.heartbeat_time());
    // Named where it was written, so that one global value is one warning and not one a peer.
    let slack_place = slack.origin.place().or(time.origin.place()).unwrap_or(peer.origin());
    if let Some(heartbeat_time) = time.value {
        if slack.value < heartbeat_time / 10 {
            let kind = WarningKind::SlackUnderTenth { slack: slack.value, heartbeat_time };
            report.warn(slack_place, kind);
        }
        if heartbeat_time < Timing::default().heartbeat_time_min.value {
            let place = time.origin.place().unwrap_or(peer.origin());
            report.warn(place, WarningKind::HeartbeatTimeTiny { heartbeat_time });
        }
    }
    if slack.value < TINY_SLACK {
        report.warn(slack_place, WarningKind::SlackTiny { slack: slack.value });
    }
}

const TINY_SLACK: Duration = Duration::from_millis(50);
