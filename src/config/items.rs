//! The names of items: which are ours, which are upstream's and skipped, and which one a typo
//! means.
//!
//! A global item that peerbeat does not know belongs to another program and is skipped silently,
//! unless it is close to one of ours and not a name of upstream. In `add-peer`, which is ours, an
//! unknown one is a warning.

use std::collections::HashSet;
use std::sync::OnceLock;

use super::limits::MAX_NAME_BYTES;

/// Returns true if the global item means something here.
pub(super) fn is_global(name: &str) -> bool {
    GLOBAL.contains(&name)
}

/// Returns true if the word is one of this grammar.
pub(super) fn is_grammar(name: &str) -> bool {
    GRAMMAR.contains(&name)
}

/// What an item of `add-peer` is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerItem {
    /// Ours to read.
    Ours,
    /// Upstream's, skipped without a word.
    Skipped,
    /// `queue-size`, skipped with a warning.
    QueueSize,
    /// It asks for something that plain TCP does not give.
    BeyondTcp,
    /// Not an item of `add-peer`.
    Unknown,
}

/// What the item of that name is to us inside `add-peer`.
pub(super) fn peer_item(name: &str) -> PeerItem {
    match name {
        "ssl" | "websocket" | "apikey" => PeerItem::BeyondTcp,
        "queue-size" => PeerItem::QueueSize,
        name if PEER.contains(&name) => PeerItem::Ours,
        name if PEER_SKIPPED.contains(&name) => PeerItem::Skipped,
        name if name.starts_with("ssl-") || name.starts_with("websocket-") => PeerItem::Skipped,
        _ => PeerItem::Unknown,
    }
}

/// The known item of `add-peer` that is spelt most like `name`, if one is near enough to be meant.
pub(super) fn nearest_peer_item(name: &str) -> Option<&'static str> {
    if let Some(exact) = looks_like(name, PEER.iter().chain(&PEER_SKIPPED)) {
        return Some(exact);
    }
    let name = name.to_ascii_lowercase();
    // Besides mistypings: the global spelling of an item, used inside the group.
    let name = name.strip_prefix("datasrc-").unwrap_or(&name);
    if name.len() > LONGEST_GUESS {
        return None;
    }
    let ends = ["end-peer", "include-file"];
    let known = PEER.iter().chain(&PEER_SKIPPED).chain(&["queue-size", "ssl", "websocket"]);
    let near = known.chain(&ends).filter_map(|known| {
        let distance = distance(name, known, 2.max(known.len() / 3))?;
        Some((distance, *known))
    });
    near.min().map(|(_, known)| known)
}

/// What a global item that is not ours should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NearMiss {
    /// This name.
    Nearest(&'static str),
    /// An item inside `add-peer`.
    OutsidePeer,
    /// Something that plain TCP links do not have.
    WebSocketPort,
    /// A peer of its own for each that would be found.
    Discovery,
}

/// Returns what the global item `name`, which is not ours, is most likely meant to be.
pub(super) fn near_miss(name: &str) -> Option<NearMiss> {
    if name.len() > MAX_NAME_BYTES {
        return None;
    }
    match name {
        "datasrc-ws-port" => return Some(NearMiss::WebSocketPort),
        name if name.starts_with("discovery-") || name.starts_with("hzcast-") => {
            return Some(NearMiss::Discovery);
        }
        name if is_upstream(name) => return None,
        name if is_peer_only(name) => return Some(NearMiss::OutsidePeer),
        _ => {}
    }
    let ours = || GLOBAL.iter().chain(&GRAMMAR);
    if let Some(name) = name.split('=').next().filter(|_| name.contains('=')) {
        let known = GLOBAL.iter().chain(&PEER).find(|known| **known == name);
        if let Some(known) = known {
            return Some(NearMiss::Nearest(known));
        }
    }
    let near = looks_like(name, ours()).or_else(|| {
        let name = name.to_ascii_lowercase();
        let near = ours().filter_map(|known| Some((nearness(&name, known)?, *known)));
        near.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
    });
    near.map(NearMiss::Nearest)
}

/// Returns true if the name is `add-peer`, or `end-peer`, but for case or two letters.
pub(super) fn is_like(name: &str, known: &'static str) -> bool {
    if name.len() > LONGEST_GUESS || is_grammar(name) {
        return false;
    }
    let is_like = looks_like(name, [known].iter()).is_some() || is_near_in_any_case(name, known);
    is_like && !is_upstream(name) && {
        // The two are two letters apart themselves.
        let name = name.to_ascii_lowercase();
        let distance_to = |known| distance(&name, known, LONGEST_GUESS);
        ["add-peer", "end-peer"].iter().all(|other| distance_to(known) <= distance_to(other))
    }
}

/// The one of `known` that the name is, once characters outside ASCII are taken out of it or
/// replaced by those that they look like.
fn looks_like<'a>(
    name: &str,
    mut known: impl Iterator<Item = &'a &'static str>,
) -> Option<&'static str> {
    if name.is_ascii() {
        return None;
    }
    let without: String = name.chars().filter(char::is_ascii).collect();
    let replaced: String = name.chars().filter_map(ascii_of).collect();
    known.find(|known| [without.as_str(), replaced.as_str()].contains(*known)).copied()
}

/// The ASCII character that one looks like; `None` for one that is not seen, or looks like none.
fn ascii_of(c: char) -> Option<char> {
    Some(match c {
        c if c.is_ascii() => c,
        // Full width.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0)?,
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => '-',
        'а' | 'α' | 'à' | 'á' | 'â' | 'ä' | 'ã' | 'å' => 'a',
        'с' | 'ç' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' | 'ё' | 'è' | 'é' | 'ê' | 'ë' | 'ε' => 'e',
        'һ' => 'h',
        'і' | 'ı' | 'ì' | 'í' | 'î' | 'ï' | 'ι' => 'i',
        'ј' => 'j',
        'ӏ' => 'l',
        'ո' | 'ñ' => 'n',
        'о' | 'ο' | 'ò' | 'ó' | 'ô' | 'ö' | 'õ' => 'o',
        'р' | 'ρ' => 'p',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'υ' | 'ù' | 'ú' | 'û' | 'ü' | 'ս' => 'u',
        'ν' => 'v',
        'х' | 'χ' => 'x',
        'у' | 'γ' | 'ý' | 'ÿ' => 'y',
        _ => return None,
    })
}

/// By how many letters the names differ, if by two at most; short words are too many for that.
fn nearness(name: &str, known: &str) -> Option<usize> {
    if known.len() < 5 {
        return (name == known).then_some(0);
    }
    distance(name, known, 2)
}

fn is_near_in_any_case(name: &str, known: &str) -> bool {
    nearness(&name.to_ascii_lowercase(), known).is_some()
}

/// Levenshtein: how many bytes must be put in, taken out or changed, if `most` will do.
///
/// A file may hold hundreds of thousands of names, each of which is compared with all our names. So
/// only the cells near the diagonal are computed, and only until a row has none left within `most`.
fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    while let ([x, rest_a @ ..], [y, rest_b @ ..]) = (a, b) {
        if x != y {
            break;
        }
        (a, b) = (rest_a, rest_b);
    }
    while let ([rest_a @ .., x], [rest_b @ .., y]) = (a, b) {
        if x != y {
            break;
        }
        (a, b) = (rest_a, rest_b);
    }
    if a.is_empty() || b.is_empty() {
        return Some(a.len().max(b.len()));
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, byte) in a.iter().enumerate() {
        let first = i.saturating_sub(most);
        let last = (i + most + 1).min(b.len());
        let mut diagonal = row[first];
        // What lies outside the band is more than `most` away.
        row[first] = if first == 0 { i + 1 } else { most + 1 };
        let mut least = row[first];
        for j in first..last {
            count_step();
            let above = if j + 1 > i + most { most + 1 } else { row[j + 1] };
            let change = diagonal + usize::from(*byte != b[j]);
            diagonal = above;
            row[j + 1] = change.min(row[j] + 1).min(above + 1);
            least = least.min(row[j + 1]);
        }
        if least > most {
            return None;
        }
    }
    Some(row[b.len()]).filter(|distance| *distance <= most)
}

#[cfg(not(test))]
fn count_step() {}

/// Returns true if upstream has a global item, a group or the end of a group of that name.
fn is_upstream(name: &str) -> bool {
    static LISTED: OnceLock<HashSet<&str>> = OnceLock::new();
    let listed = LISTED.get_or_init(|| UPSTREAM.split_ascii_whitespace().collect());
    let is_listed = |name: &str| listed.contains(name);
    let group = name.strip_prefix("end-");
    is_listed(name)
        || group.is_some_and(|group| {
            group != "peer" && (is_listed(&format!("add-{group}")) || group == "ssl")
        })
}

fn is_peer_only(name: &str) -> bool {
    let is_upstreams = PEER_SKIPPED.contains(&name) || UPSTREAM_PEER.contains(&name);
    is_upstreams || (PEER.contains(&name) && !GLOBAL.contains(&name))
}

const LONGEST_GUESS: usize = 40;

const GRAMMAR: [&str; 11] = [
    "if",
    "elseif",
    "else",
    "endif",
    "define",
    "undefine",
    "defmacro",
    "include-file",
    "include-dir",
    "add-peer",
    "end-peer",
];

const GLOBAL: [&str; 18] = [
    "application-name",
    "application-root",
    "datasrc-name",
    "datasrc-local-label",
    "datasrc-id",
    "datasrc-interface",
    "datasrc-port",
    "datasrc-heartbeat-time",
    "datasrc-heartbeat-slack-time",
    "datasrc-reject-new-peers",
    "datasrc-tcp-nodelay-off",
    "peer-accept-wait-time",
    "node-queue-bytes",
    "heartbeat-mode",
    "heartbeat-time-min",
    "send-queue-bytes",
    "reconnect-time-min",
    "reconnect-time-max",
];

const PEER: [&str; 17] = [
    "addr",
    "port",
    "remote-name",
    "remote-label",
    "remote-id",
    "label",
    "local-name",
    "local-label",
    "local-id",
    "heartbeat-time",
    "heartbeat-slack-time",
    "connect-timeout",
    "heartbeat-mode",
    "heartbeat-time-min",
    "send-queue-bytes",
    "reconnect-time-min",
    "reconnect-time-max",
];

const PEER_SKIPPED: [&str; 8] = [
    "local-flags",
    "local-type",
    "remote-flags",
    "remote-type",
    "thread-name",
    "request-timeout",
    "monitor-interval",
    "local-handshake-data",
];

/// The others of upstream's items of `add-peer`.
const UPSTREAM_PEER: [&str; 12] = [
    "apikey",
    "queue-size",
    "ssl",
    "ssl-accept-certificate",
    "ssl-cipherlist",
    "ssl-passwordfile",
    "ssl-present-certificate",
    "ssl-privatekey",
    "ssl-verify-mode",
    "websocket",
    "websocket-path",
    "label",
];

/// Upstream's global items and groups: none of them is a misspelling.
const UPSTREAM: &str = "
active-discard-timeout application-name application-root auth-checkwrite-timeout auth-eject-users
auth-module auth-node-eject-timeout buf-cache-size buf-elem-len chart-objectname-prefix
cluster-cache-request-objects cluster-cache-source-routing cluster-global-ssl-enable
cluster-heartbeat-slack-time cluster-heartbeat-time cluster-index cluster-packet-logfile
cluster-ssl-accept-certificate cluster-ssl-cipherlist cluster-ssl-debug cluster-ssl-password
cluster-ssl-passwordfile cluster-ssl-present-certificate cluster-ssl-privatekey
cluster-ssl-ssloptions container-yield-size contrib-return daemon-enable datasrc-batch-time
datasrc-default-obj-hash-size datasrc-dev-override datasrc-heartbeat-slack-time
datasrc-heartbeat-time datasrc-id datasrc-interface datasrc-local-label datasrc-name
datasrc-pkt-log datasrc-port datasrc-reject-new-peers datasrc-ssl-accept-certificate
datasrc-ssl-certificate datasrc-ssl-cipherlist datasrc-ssl-enable datasrc-ssl-keystore
datasrc-ssl-passwordfile datasrc-ssl-port datasrc-ssl-present-certificate datasrc-ssl-privatekey
datasrc-ssl-ssloptions datasrc-sslport datasrc-tcp-nodelay-off datasrc-ws-port
default-object-status-stale direct-interface direct-max-line-length direct-port direct-refuse-time
direct-tcp-nodelay-off director-auditLog-maxBytes director-auditLog-maxCount
director-auditLog-name directssl-certificate directssl-cipher-list directssl-ciphersuites
directssl-dhparams directssl-disable-renegotiation directssl-enable directssl-interface
directssl-log-hello-ciphers directssl-passwordfile directssl-port directssl-privatekey
directssl-ssl-options disable-default-data-service discovery-addr discovery-cluster-name
discovery-require-service event-log http-access-control-header http-access-log
http-connection-cookie-enable http-connection-cookie-expires http-def-content-type
http-err-content-type http-error-file-400 http-error-file-401 http-error-file-403
http-error-file-404 http-error-log http-extensions http-idx-content-type http-indexfile
http-interface http-keepalive-max http-keepalive-timeout http-max-body-length
http-max-header-line-length http-max-header-lines http-max-request-length http-port
http-process-extension http-refuse-time http-rttp-content-type http-server-name
http-tcp-nodelay-off http-wwwroot https-certificate https-dhparams https-passwordfile
https-privatekey hzcast-enable hzcast-host hzcast-provide-service ignore-unknown-fields
jmxcache-hash-size json-handler-class jvm-global-classpath jvm-location jvm-options
latency-chain-auto-seed latency-chain-enable latency-chain-init-ts-field
latency-chain-list-event-field latency-chain-list-ts-field latency-chain-name log-category-filter
log-cycle-period log-dir log-level log-maxfiles log-maxsize log-monitor-level log-syslog-level
log-thread-health-level log-use-parent-handlers map-limited-status-to-ok max-user-limit
memory-file memory-hash-size module-classid module-logfile modules-conf-dir modules-dir
monitor-module object-delete-batchtime object-delete-time object-disable-generic-throttling
object-hash-size object-log object-map object-throttle-default-level object-throttle-off
object-throttle-time object-throttle-times peer-accept-wait-time peerdown-time pid-filename
record-max-cache record-type2-hash-size record-type3-history-size request-log
requested-fields-only rmi-client-port rmi-registry-port rmi-server-hostname rttp-hostname rttp-log
rttp-log-users rttp-server-name session-absolute-max-queue-length session-hash-size
session-heartbeat session-id-len session-log session-max-queue-count session-max-queue-length
session-monitoring-interval session-reconnect-timeout session-requires-services session-timeout
signature-validtime ssl-config-name ssl-debug ssl-engine-flags ssl-engine-id ssl-random-seed
timestamp-field type2-hash-size uupp-qdbm-name write-cache-period add-apikey
add-application-params add-authdir add-cluster-node add-data-service add-direct-virtual-host
add-field add-javaclass add-log add-module add-monuser add-object add-purge add-sigkey add-user
add-virtual-host start-ssl add-source-group add-priority
";

#[cfg(test)]
use tests::count_step;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local!(static STEPS: Cell<usize> = const { Cell::new(0) });

    /// Counts the cells of all comparisons of names.
    pub(super) fn count_step() {
        STEPS.set(STEPS.get() + 1);
    }

    #[test]
    fn a_name_that_is_none_of_ours_costs_little() {
        for name in ["datasrc-bar000123-item", "heartbeat-slick-tame-x", "end-000123-item"] {
            STEPS.set(0);
            assert_eq!(near_miss(name), None, "{name}");
            assert!(STEPS.get() < 500, "{name}: {} cells", STEPS.get());
        }
        STEPS.set(0);
        assert_eq!(nearest_peer_item("hearbeat-000123-item-of-a-stranger"), None);
        assert!(STEPS.get() < 3000, "{} cells", STEPS.get());
    }

    #[test]
    fn a_distance_within_its_bound_is_exact() {
        let mut words = vec![String::new()];
        for at in 0.. {
            if words[at].len() == 5 {
                break;
            }
            for letter in ["a", "b"] {
                words.push(format!("{}{letter}", words[at]));
            }
        }
        for a in &words {
            for b in &words {
                let exact = plain_distance(a, b);
                for most in 0..6 {
                    let want = (exact <= most).then_some(exact);
                    assert_eq!(distance(a, b, most), want, "{a:?} {b:?} {most}");
                }
            }
        }
    }

    /// Every cell, as in the books.
    fn plain_distance(a: &str, b: &str) -> usize {
        let mut row: Vec<usize> = (0..=b.len()).collect();
        for (i, byte) in a.bytes().enumerate() {
            let mut diagonal = std::mem::replace(&mut row[0], i + 1);
            for (j, other) in b.bytes().enumerate() {
                let change = diagonal + usize::from(byte != other);
                diagonal = row[j + 1];
                row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
            }
        }
        row[b.len()]
    }

    #[test]
    fn the_nearest_name_is_the_one_that_was_meant() {
        let cases = [
            ("hearbeat-time", Some("heartbeat-time")),
            ("heartbeat-slack", Some("heartbeat-slack-time")),
            ("datasrc-heartbeat-time", Some("heartbeat-time")),
            ("Addr", Some("addr")),
            ("prot", Some("port")),
            ("роrt", Some("port")),
            ("END-PEER", Some("end-peer")),
            ("something-else-entirely", None),
        ];
        for (written, meant) in cases {
            assert_eq!(nearest_peer_item(written), meant, "{written}");
        }
    }

    // lesson 65
    #[test]
    fn what_is_nearly_ours_is_seen_and_upstreams_is_not() {
        let ours = |name| Some(NearMiss::Nearest(name));
        let cases = [
            ("datasrc-hearbeat-time", ours("datasrc-heartbeat-time")),
            ("DATASRC-PORT", ours("datasrc-port")),
            ("datasrc-prot", ours("datasrc-port")),
            ("datasrc-port=5", ours("datasrc-port")),
            ("datasrc‑port", ours("datasrc-port")),
            ("\u{feff}datasrc-port", ours("datasrc-port")),
            ("dаtasrc-port", ours("datasrc-port")),
            ("include-files", ours("include-file")),
            ("IF", ours("if")),
            ("iff", None),
            ("els", None),
            ("port", Some(NearMiss::OutsidePeer)),
            ("ssl-cipherlist", Some(NearMiss::OutsidePeer)),
            ("ports", None),
            ("ssl-config-name", None),
            ("add-user", None),
            ("end-user", None),
            ("datasrc-sslport", None),
            ("datasrc-ws-port", Some(NearMiss::WebSocketPort)),
            ("discovery-addr", Some(NearMiss::Discovery)),
            ("hzcast-enable", Some(NearMiss::Discovery)),
            ("log-level", None),
        ];
        for (written, meant) in cases {
            assert_eq!(near_miss(written), meant, "{written}");
        }
        assert!(is_like("ADD-PEER", "add-peer") && is_like("addpeers", "add-peer"));
        assert!(!is_like("add-user", "add-peer") && !is_like("add-peer", "add-peer"));
        assert!(!is_like("END-PEER", "add-peer") && is_like("END-PEER", "end-peer"));
    }
}
