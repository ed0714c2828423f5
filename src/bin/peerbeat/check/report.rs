//! The findings of `check` for a person.
//!
//! Every value stands with its unit and with where it was set; what a value means is said in words.

use std::time::Duration;

use peerbeat::config::{Config, PeerConfig, Port};
use peerbeat::liveness::Mode;
use peerbeat::protocol::Escaped;
use peerbeat::text::Seconds;

use super::ends::{Compared, End, Link};
use super::{File, Remark};

/// The whole text.
pub(super) fn of(files: &[File], compared: &Compared) -> String {
    let mut text = String::new();
    for file in files {
        tell_node(&mut text, file);
        for peer in file.config.peers() {
            tell_peer(&mut text, &file.config, peer);
        }
        text.push('\n');
    }
    if !compared.links.is_empty() {
        text += "links between these files\n";
        for link in &compared.links {
            tell_link(&mut text, files, link);
        }
        text.push('\n');
    }
    let mut remarks: Vec<Remark> = files.iter().flat_map(File::remarks).collect();
    let about_links = compared.remarks.iter();
    remarks.extend(about_links.map(|r| Remark { place: r.place.clone(), text: r.text.clone() }));
    tell_warnings(&mut text, &remarks);
    text
}

fn tell_node(text: &mut String, file: &File) {
    let config = &file.config;
    *text += &format!("{}\n", Escaped(&file.name));
    tell(text, "node", &identity(config.name(), config.label(), config.id()));
    tell(text, "listens", &listens(config));
    if config.peers().is_empty() {
        tell(text, "peers", "none: nobody is dialled, and whoever dials is refused");
    }
}

fn tell_peer(text: &mut String, config: &Config, peer: &PeerConfig) {
    *text += &format!("\n  peer \"{}\" ({})\n", Escaped(peer.name()), peer.origin());
    let mut what = "  link";
    for line in link_lines(config, peer) {
        tell(text, std::mem::take(&mut what), &line);
    }
    let own = identity(peer.local_name(), peer.local_label(), peer.local_id());
    if own != identity(config.name(), config.label(), config.id()) {
        tell(text, "  as", &format!("to it we are {own}"));
    }
    let (time, slack) = (peer.heartbeat_time(), peer.slack());
    let value = match time.value {
        Some(value) => format!("{} ({})", Seconds(value), time.origin),
        None => format!("0, undefined ({})", time.origin),
    };
    tell(text, "  heartbeat-time", &value);
    tell(text, "  slack", &format!("{} ({})", Seconds(slack.value), slack.origin));
    tell(text, "  limit", &limit_line(peer));
    let mode = peer.mode();
    if mode.value == Mode::Always {
        tell(
            text,
            "  mode",
            &format!("always: heartbeats also while data flows ({})", mode.origin),
        );
    }
    let floor = peer.heartbeat_time_min();
    let line = format!("a peer's heartbeat-time counts as {} at least", Seconds(floor.value));
    tell(text, "  floor", &format!("{line} ({})", floor.origin));
    for note in notes(peer) {
        tell(text, "  note", &note);
    }
}

fn tell_link(text: &mut String, files: &[File], link: &Link) {
    let peer = |end: &End| &files[end.file].config.peers()[end.peer];
    let side = |end: &End| Escaped(&files[end.file].name).to_string();
    *text += &format!(
        "\n  {} peer \"{}\" dials {}, which is {} peer \"{}\"\n",
        side(&link.dialler),
        Escaped(peer(&link.dialler).name()),
        Escaped(&link.address),
        side(&link.acceptor),
        Escaped(peer(&link.acceptor).name()),
    );
    let mut what = "  in force";
    for end in [&link.dialler, &link.acceptor] {
        let slack = peer(end).slack().value;
        let line = match end.heartbeat_time {
            Some(time) => format!(
                "{}: heartbeat-time {}, down after {} of silence",
                side(end),
                Seconds(time),
                Seconds(time.saturating_add(slack))
            ),
            None => format!("{}: no heartbeat-time, never down by silence", side(end)),
        };
        tell(text, std::mem::take(&mut what), &line);
    }
    if let Some((expected, real)) = &link.other_name {
        let line = format!(
            "dialled as \"{}\", but calls itself \"{}\": a warning at each connection",
            Escaped(expected),
            Escaped(real)
        );
        tell(text, "  note", &line);
    }
}

fn tell_warnings(text: &mut String, remarks: &[Remark]) {
    if remarks.is_empty() {
        *text += "no warnings\n";
        return;
    }
    *text += &format!("warnings: {}\n", remarks.len());
    for remark in remarks {
        *text += &format!("  {}: {}\n", remark.place, remark.text);
    }
}

fn tell(text: &mut String, what: &str, line: &str) {
    *text += &format!("  {what:<16}  {line}\n");
}

/// Who says it is who.
fn identity(name: &str, label: &str, id: u32) -> String {
    let mut text = format!("\"{}\"", Escaped(name));
    if !label.is_empty() {
        text += &format!(", label \"{}\"", Escaped(label));
    }
    if id != 0 {
        text += &format!(", id {id}");
    }
    text
}

fn listens(config: &Config) -> String {
    let port = match config.port() {
        None => return "no (datasrc-port is not set)".to_owned(),
        Some(Port::Fixed(port)) => format!("on port {port}"),
        Some(Port::Auto) => "on any free port (auto)".to_owned(),
    };
    match config.interfaces() {
        [] => format!("{port}, all addresses of this machine"),
        interfaces => format!("{port}, {}", Escaped(&interfaces.join(", "))),
    }
}

/// Who dials whom.
fn link_lines(config: &Config, peer: &PeerConfig) -> Vec<String> {
    let mut lines = Vec::new();
    if !peer.addresses().is_empty() {
        let addresses: Vec<String> = peer.addresses().iter().map(|a| a.to_string()).collect();
        lines.push(format!("we dial {}", Escaped(&addresses.join(", then "))));
        let (min, max) = (peer.reconnect_time_min(), peer.reconnect_time_max());
        lines.push(format!(
            "each try up to {}, between rounds up to {} growing to {}",
            Seconds(peer.connect_timeout()),
            Seconds(min),
            Seconds(max)
        ));
    }
    let name = Escaped(peer.name());
    match (recognised_by(peer), config.port()) {
        (None, _) if peer.addresses().is_empty() => lines.push("nobody can ever be it".to_owned()),
        (None, _) => {}
        (Some(_), None) if peer.addresses().is_empty() => {
            lines.push(format!("waits for \"{name}\" to dial, but we do not listen"));
        }
        (Some(_), None) => {}
        (Some((item, value)), Some(port)) => {
            let port = match port {
                Port::Fixed(port) => format!("port {port}"),
                Port::Auto => "our port".to_owned(),
            };
            let verb = match peer.addresses().is_empty() {
                true => format!("waits for \"{name}\" to dial {port}"),
                false => format!("it may also dial {port}"),
            };
            lines.push(format!("{verb}, recognised by {item} \"{}\"", Escaped(&value)));
        }
    }
    lines
}

/// What a connection to us is known by: one item, and its value.
pub(super) fn recognised_by(peer: &PeerConfig) -> Option<(&'static str, String)> {
    match (peer.remote_label(), peer.remote_id(), peer.remote_name()) {
        (Some(label), _, _) => Some(("remote-label", label.to_owned())),
        (None, Some(id), _) => Some(("remote-id", id.to_string())),
        (None, None, Some(name)) => Some(("remote-name", name.to_owned())),
        (None, None, None) => None,
    }
}

fn limit_line(peer: &PeerConfig) -> String {
    let slack = Seconds(peer.slack().value);
    match (limit(peer), late(peer)) {
        (Some(limit), Some(late)) => format!(
            "down after {} of silence, late warning after {}",
            Seconds(limit),
            Seconds(late)
        ),
        _ => format!("none until it announces a heartbeat-time, then that and {slack}"),
    }
}

/// Silence of this length means down; `None` = none is known before the peer speaks.
pub(super) fn limit(peer: &PeerConfig) -> Option<Duration> {
    Some(peer.heartbeat_time().value?.saturating_add(peer.slack().value))
}

/// Silence of this length is late.
pub(super) fn late(peer: &PeerConfig) -> Option<Duration> {
    Some(peer.heartbeat_time().value?.saturating_add(peer.slack().value / 2))
}

/// What is right and may still surprise.
pub(super) fn notes(peer: &PeerConfig) -> Vec<String> {
    match peer.heartbeat_time().value {
        Some(_) => Vec::new(),
        None => vec![
            "heartbeat-time 0 asks for nothing: the link has no limit until the peer announces \
             one; if it has 0 too, its loss is never noticed"
                .to_owned(),
        ],
    }
}
