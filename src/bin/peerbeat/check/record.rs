//! The findings of `check` as one JSON object.
//!
//! For one file: `node`, `peers`, `warnings`. For several: `files`, each such an object, `links`
//! between them, `unmet` peers, `parts` that are not applications, and the `warnings` that come
//! from comparing them. Times are in milliseconds; `x_origin` is the place where `x` was set.

use peerbeat::config::{Config, PeerConfig, Port, RecognisedBy};
use peerbeat::liveness::Mode;

use super::ends::{End, Link, Unmet};
use super::{Diagnostic, Estate, File, report};
use crate::json::{Object, array, quoted};

/// The whole line.
pub(super) fn of(estate: &Estate) -> String {
    let Estate { files, compared, parts } = estate;
    let about_links = || compared.diagnostics.iter().map(Diagnostic::record);
    let warnings = |file: &File| file.diagnostics().map(|found| found.record()).collect();
    let object = match &**files {
        [file] if parts.is_empty() => {
            let mut warnings: Vec<String> = warnings(file);
            warnings.extend(about_links());
            file_record(file, warnings)
        }
        _ => {
            let links = compared.links.iter().map(|link| link_record(files, link));
            let unmet = compared.unmet.iter().map(|unmet| unmet_record(files, unmet));
            Object::new()
                .raw("files", &array(files.iter().map(|file| file_record(file, warnings(file)))))
                .raw("links", &array(links))
                .raw("unmet", &array(unmet))
                .raw("parts", &array(parts.iter().map(|(name, _)| quoted(name))))
                .raw("warnings", &array(about_links()))
                .finish()
        }
    };
    format!("{object}\n")
}

fn unmet_record(files: &[File], unmet: &Unmet) -> String {
    let file = &files[unmet.file];
    Object::new()
        .string("file", &file.name)
        .string("peer", file.config.peers()[unmet.peer].name())
        .string("why", &unmet.why)
        .finish()
}

fn file_record(file: &File, warnings: Vec<String>) -> String {
    let config = &file.config;
    let peers = config.peers().iter().map(|peer| peer_record(config, peer));
    Object::new()
        .raw("node", &node_record(file))
        .raw("peers", &array(peers))
        .raw("warnings", &array(warnings))
        .finish()
}

fn node_record(file: &File) -> String {
    let config = &file.config;
    let object = Object::new()
        .string("file", &file.name)
        .string("name", config.name())
        .string("label", config.label())
        .number("id", config.id());
    let object = match config.port() {
        None => object.null("port"),
        Some(Port::Fixed(port)) => object.number("port", port),
        Some(Port::Auto) => object.string("port", "auto"),
    };
    let os = config.os_conditions().iter().map(|condition| {
        Object::new()
            .string("os", &condition.name)
            .bool("held", condition.held)
            .string("origin", &condition.location.to_string())
            .finish()
    });
    let overrides = config.overrides().iter().map(|over| {
        Object::new()
            .string("item", &over.item)
            .string("origin", &over.now.to_string())
            .string("before", &over.before.to_string())
            .finish()
    });
    object
        .raw("interfaces", &array(config.interfaces().iter().map(quoted)))
        .string("application", &config.application_name().value)
        .string("application_origin", &config.application_name().origin.to_string())
        .string("root", &config.application_root().value)
        .string("root_origin", &config.application_root().origin.to_string())
        .number("node_queue_bytes", config.node_queue_bytes().value as u64)
        .bool("is_part", config.is_part())
        .raw("os_conditions", &array(os))
        .raw("overrides", &array(overrides))
        .raw("notes", &array(report::node_notes(config).iter().map(quoted)))
        .finish()
}

fn peer_record(config: &Config, peer: &PeerConfig) -> String {
    let ways = peer.ways();
    let way = |(by, value): &(RecognisedBy, String)| {
        Object::new().string("item", by.as_str()).string("value", value).finish()
    };
    let object = Object::new()
        .string("name", peer.name())
        .string("origin", &peer.origin().to_string())
        .raw("dials", &array(peer.addresses().iter().map(quoted)))
        .bool("accepts", config.listens() && !ways.is_empty());
    let object = match ways.first() {
        Some(first) => object.raw("recognised_by", &way(first)),
        None => object.null("recognised_by"),
    };
    let object = object.raw("else_by", &array(ways.iter().skip(1).map(way)));
    let object = object
        .string("local_name", peer.local_name())
        .string("local_label", peer.local_label())
        .number("local_id", peer.local_id());
    let (time, slack) = (peer.heartbeat_time(), peer.slack());
    let (mode, floor) = (peer.mode(), peer.heartbeat_time_min());
    let mode_word = match mode.value {
        Mode::Idle => "idle",
        Mode::Always => "always",
    };
    object
        .ms("heartbeat_time_ms", time.value)
        .string("heartbeat_time_origin", &time.origin.to_string())
        .ms("slack_ms", slack.value)
        .string("slack_origin", &slack.origin.to_string())
        .ms("limit_ms", report::limit(peer))
        .ms("late_ms", report::late(peer))
        .string("mode", mode_word)
        .string("mode_origin", &mode.origin.to_string())
        .ms("heartbeat_time_min_ms", floor.value)
        .string("heartbeat_time_min_origin", &floor.origin.to_string())
        .ms("connect_timeout_ms", peer.connect_timeout())
        .number("send_queue_bytes", peer.send_queue_bytes() as u64)
        .ms("reconnect_time_min_ms", peer.reconnect_time_min())
        .ms("reconnect_time_max_ms", peer.reconnect_time_max())
        .raw("notes", &array(report::notes(config, peer).iter().map(quoted)))
        .finish()
}

fn link_record(files: &[File], link: &Link) -> String {
    let end = |end: &End| {
        let file = &files[end.file];
        let peer = &file.config.peers()[end.peer];
        let limit = end.heartbeat_time.map(|time| time.saturating_add(peer.slack().value));
        Object::new()
            .string("file", &file.name)
            .string("peer", peer.name())
            .ms("heartbeat_time_ms", end.heartbeat_time)
            .ms("limit_ms", limit)
            .finish()
    };
    Object::new()
        .string("addr", &link.address)
        .raw("dialler", &end(&link.dialler))
        .raw("acceptor", &end(&link.acceptor))
        .finish()
}
