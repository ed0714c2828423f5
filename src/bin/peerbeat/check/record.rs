//! The findings of `check` as one JSON object.
//!
//! Of one file: `node`, `peers`, `warnings`. Of several: `files`, each such an object, `links`
//! between them, and the `warnings` that only comparing them showed. Times are in milliseconds; a
//! value named `x_origin` says where `x` was set.

use peerbeat::config::{Config, PeerConfig, Port};
use peerbeat::liveness::Mode;

use super::ends::{Compared, End, Link};
use super::{File, Remark, report};
use crate::json::{Object, array, quoted};

/// The whole line.
pub(super) fn of(files: &[File], compared: &Compared) -> String {
    let about_links = || compared.remarks.iter().map(Remark::record);
    let object = match files {
        [file] => {
            let warnings = file.remarks().iter().map(Remark::record).chain(about_links()).collect();
            file_record(file, warnings)
        }
        _ => {
            let one = |file: &File| {
                file_record(file, file.remarks().iter().map(Remark::record).collect())
            };
            let links = compared.links.iter().map(|link| link_record(files, link));
            Object::new()
                .raw("files", &array(files.iter().map(one)))
                .raw("links", &array(links))
                .raw("warnings", &array(about_links()))
                .finish()
        }
    };
    format!("{object}\n")
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
    object.raw("interfaces", &array(config.interfaces().iter().map(quoted))).finish()
}

fn peer_record(config: &Config, peer: &PeerConfig) -> String {
    let known_by = report::recognised_by(peer);
    let object = Object::new()
        .string("name", peer.name())
        .string("origin", &peer.origin().to_string())
        .raw("dials", &array(peer.addresses().iter().map(quoted)))
        .bool("accepts", config.port().is_some() && known_by.is_some());
    let object = match known_by {
        Some((item, value)) => object.raw(
            "recognised_by",
            &Object::new().string("item", item).string("value", &value).finish(),
        ),
        None => object.null("recognised_by"),
    };
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
        .raw("notes", &array(report::notes(peer).iter().map(quoted)))
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
