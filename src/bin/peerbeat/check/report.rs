//! The findings of `check` as text for people.
//!
//! Every value is printed with its unit, the place where it was set, and what it means.

use std::time::Duration;

use peerbeat::config::{Config, Origin, PeerConfig, Port, RecognisedBy, TlsItem};
use peerbeat::liveness::Mode;
use peerbeat::protocol::Escaped;
use peerbeat::text::Seconds;

use super::ends::{End, Link, Unmet};
use super::{Diagnostic, Estate, File};

/// The whole text.
pub(super) fn of(estate: &Estate) -> String {
    let Estate { files, compared, parts } = estate;
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
    if !compared.unmet.is_empty() {
        text += "peers that none of these files meets\n\n";
        for unmet in &compared.unmet {
            tell_unmet(&mut text, files, unmet);
        }
        text.push('\n');
    }
    if !parts.is_empty() {
        text += "files that are no applications\n\n";
        for (name, why) in parts {
            text += &wrapped("  ", "    ", &format!("{}: {why}", Escaped(name)));
        }
        text.push('\n');
    }
    let mut warnings: Vec<Diagnostic> = files.iter().flat_map(File::diagnostics).collect();
    warnings.extend(compared.diagnostics.iter().cloned());
    tell_warnings(&mut text, &warnings);
    text
}

fn tell_node(text: &mut String, file: &File) {
    let config = &file.config;
    *text += &format!("{}\n", Escaped(&file.name));
    tell(text, "node", &identity(config.name(), config.label(), config.id()));
    tell_application(text, config);
    tell(text, "listens", &listens(config));
    for note in node_notes(config) {
        tell(text, "note", &note);
    }
    tell_conditions(text, config);
    for over in config.overrides() {
        let (item, now, before) = (Escaped(&over.item), &over.now, &over.before);
        tell(text, "overridden", &format!("{item}: {now} wins over {before}"));
    }
    if config.peers().is_empty() {
        tell(text, "peers", "none: no peer is dialled, and any that dials is refused");
    }
}

/// What the application is called and where its root is, if anything but the default.
fn tell_application(text: &mut String, config: &Config) {
    let (name, root) = (config.application_name(), config.application_root());
    let origin = match &name.origin {
        Origin::Default => "name by default".to_owned(),
        Origin::Given => "--app-name".to_owned(),
        Origin::At(location) => location.to_string(),
    };
    tell(text, "application", &format!("{} ({origin})", Escaped(&name.value)));
    match &root.origin {
        Origin::Default => {}
        Origin::Given => tell(text, "root", &format!("{} (--app-root)", Escaped(&root.value))),
        Origin::At(at) => tell(text, "root", &format!("{} ({at})", Escaped(&root.value))),
    }
    if config.is_part() {
        let line = "looks like a file that others include: it has no datasrc-name and no \
                    datasrc-port, so it is not checked as a whole";
        tell(text, "note", line);
    }
}

/// Which names of an `os` condition held.
fn tell_conditions(text: &mut String, config: &Config) {
    let mut what = "conditions";
    for condition in config.os_conditions() {
        let holds = if condition.held { "holds" } else { "does not hold" };
        let line = format!("os {} {holds} ({})", Escaped(&condition.name), condition.location);
        tell(text, std::mem::take(&mut what), &line);
    }
}

fn tell_unmet(text: &mut String, files: &[File], unmet: &Unmet) {
    let file = &files[unmet.file];
    let peer = &file.config.peers()[unmet.peer];
    let (name, peer) = (Escaped(&file.name), Escaped(peer.name()));
    *text += &wrapped("  ", "    ", &format!("{name} peer \"{peer}\" {}", unmet.why));
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
    for note in notes(config, peer) {
        tell(text, "  note", &note);
    }
}

fn tell_link(text: &mut String, files: &[File], link: &Link) {
    let peer = |end: &End| &files[end.file].config.peers()[end.peer];
    let side = |end: &End| Escaped(&files[end.file].name).to_string();
    let line = format!(
        "{} peer \"{}\" dials {}, which is {} peer \"{}\"",
        side(&link.dialler),
        Escaped(peer(&link.dialler).name()),
        Escaped(&link.address),
        side(&link.acceptor),
        Escaped(peer(&link.acceptor).name()),
    );
    text.push('\n');
    *text += &wrapped("  ", "    ", &line);
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

fn tell_warnings(text: &mut String, warnings: &[Diagnostic]) {
    if warnings.is_empty() {
        *text += "no warnings\n";
        return;
    }
    *text += &format!("warnings: {}\n", warnings.len());
    for warning in warnings {
        *text += &format!("  {}: {}\n", warning.location, warning.text);
    }
}

fn tell(text: &mut String, what: &str, line: &str) {
    *text += &wrapped(&format!("  {what:<16}  "), &" ".repeat(20), line);
}

/// A sentence in lines of a terminal's width, the first behind `first`, the others behind `rest`.
fn wrapped(first: &str, rest: &str, sentence: &str) -> String {
    let mut text = first.to_owned();
    let mut column = first.chars().count();
    let mut is_first_word = true;
    for word in sentence.split(' ') {
        let width = word.chars().count();
        if !is_first_word && column + 1 + width > COLUMNS {
            text = text + "\n" + rest;
            column = rest.chars().count();
        } else if !is_first_word {
            text.push(' ');
            column += 1;
        }
        text += word;
        column += width;
        is_first_word = false;
    }
    text + "\n"
}

/// A node's identity in words.
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
        None if config.listens() => return format!("on {}", Escaped(&unix(config).join(", "))),
        None => return "no (datasrc-port is 0 or not set)".to_owned(),
        Some(Port::Fixed(port)) => format!("on port {port}"),
        Some(Port::Auto) => "on any free port (auto)".to_owned(),
    };
    match config.interfaces() {
        [] => format!("{port}, all addresses of this machine"),
        all => format!("{port}, {}", Escaped(&all.join(", "))),
    }
}

/// The interfaces that need no port.
fn unix(config: &Config) -> Vec<&str> {
    let all = config.interfaces().iter().map(String::as_str);
    all.filter(|interface| interface.starts_with("unix:")).collect()
}

/// Who dials whom.
fn link_lines(config: &Config, peer: &PeerConfig) -> Vec<String> {
    let mut lines = Vec::new();
    if !peer.addresses().is_empty() {
        let addresses: Vec<String> = peer.addresses().iter().map(|a| a.to_string()).collect();
        lines.push(format!("we dial {}", Escaped(&addresses.join(", then "))));
        let (min, max) = (peer.reconnect_time_min(), peer.reconnect_time_max());
        lines.push(format!("each try up to {}", Seconds(peer.connect_timeout())));
        lines.push(format!("between rounds up to {} growing to {}", Seconds(min), Seconds(max)));
    }
    let name = Escaped(peer.name());
    let accepts_only = peer.addresses().is_empty();
    match (recognised(peer), config.port()) {
        (Some(by), None) if config.listens() => {
            let unix = unix(config);
            let path = Escaped(unix.first().unwrap_or(&""));
            lines.push(match accepts_only {
                true => format!("waits for \"{name}\" to dial {path}"),
                false => format!("it may also dial {path}"),
            });
            lines.extend(by);
        }
        (None, _) if accepts_only => lines.push("no program can ever be it".to_owned()),
        (None, _) => {}
        (Some(by), None) if accepts_only => {
            let lack = if config.is_part() { "" } else { ", but we do not listen" };
            lines.push(format!("waits for \"{name}\" to dial{lack}"));
            lines.extend(by);
        }
        (Some(_), None) => {}
        (Some(by), Some(port)) => {
            let port = match port {
                Port::Fixed(port) => format!("port {port}"),
                Port::Auto => "our port".to_owned(),
            };
            let verb = match accepts_only {
                true => format!("waits for \"{name}\" to dial {port}"),
                false => format!("it may also dial {port}"),
            };
            lines.push(verb);
            lines.extend(by);
        }
    }
    lines
}

/// How a peer that dials us is recognised, in words: a line for each way, the strongest first.
fn recognised(peer: &PeerConfig) -> Option<Vec<String>> {
    let say = |(index, (by, value)): (usize, &(RecognisedBy, String))| {
        let value = match value.chars().all(|c| c.is_alphanumeric() || "_-.:".contains(c)) {
            true => value.clone(),
            false => format!("\"{}\"", Escaped(value)),
        };
        let word = if index == 0 { "recognised by" } else { "else by" };
        match by {
            RecognisedBy::Label => format!("{word} label {value} (the old name of remote-label)"),
            by => format!("{word} {} {value}", by.as_str()),
        }
    };
    let ways: Vec<String> = peer.ways().iter().enumerate().map(say).collect();
    (!ways.is_empty()).then_some(ways)
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
pub(super) fn notes(config: &Config, peer: &PeerConfig) -> Vec<String> {
    let mut notes = Vec::new();
    if peer.heartbeat_time().value.is_none() {
        notes.push(
            "heartbeat-time 0 asks for nothing: the link has no limit until the peer announces \
             one; if it has 0 too, its loss is never noticed"
                .to_owned(),
        );
    }
    let of_peer = |item: &&TlsItem| item.peer.as_ref() == Some(peer.origin());
    notes.extend(tls_note(config.tls_items().iter().filter(of_peer), "this link is plain TCP"));
    notes
}

/// The same of the node.
pub(super) fn node_notes(config: &Config) -> Vec<String> {
    let of_all = config.tls_items().iter().filter(|item| item.peer.is_none());
    tls_note(of_all, "what we listen on takes plain connections").into_iter().collect()
}

/// What becomes of items about TLS: the command has none, a program can have it.
fn tls_note<'a>(items: impl Iterator<Item = &'a TlsItem>, plain: &str) -> Option<String> {
    let said = items.map(|item| format!("{} ({})", Escaped(&item.item), item.location));
    let said: Vec<String> = said.collect();
    if said.is_empty() {
        return None;
    }
    Some(format!(
        "skipped: {}; the command has no TLS, {plain}, for the loopback or a tunnel (stunnel, \
         WireGuard, SSH); a program has TLS with this file by NodeOptions::transport, in C by \
         peerbeat_node_start_layered",
        said.join(", ")
    ))
}

/// Of a terminal.
const COLUMNS: usize = 80;
