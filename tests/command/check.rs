//! `check`: each link as a person would want it, compared whole.
//!
//! The files are in the manner of upstream: an adapter that dials, a server that knows it by label.

use crate::harness::Folder;
use crate::json::Value;

const ADAPTER: &str = "\
datasrc-name         PricingAdapter1-myhost
datasrc-local-label  PricingAdapter1
datasrc-heartbeat-time 15
add-peer
    remote-name     transformer1
    addr            127.0.0.1 backup
    port            25001
    heartbeat-time  1
    heartbeat-slack-time 0.04
end-peer
add-peer
    remote-name     rates
    port            25002
    heartbeat-time  0
    local-label     rates-feed
end-peer
";

const SERVER: &str = "\
datasrc-name  transformer1
datasrc-port  25001
add-peer
    remote-name    PricingAdapter1
    remote-label   PricingAdapter1
    heartbeat-mode always
end-peer
";

const ADAPTER_TEXT: &str = "\
adapter.conf
  node              \"PricingAdapter1-myhost\", label \"PricingAdapter1\"
  application       adapter (name by default)
  listens           no (datasrc-port is not set)

  peer \"transformer1\" (adapter.conf:4)
    link            we dial 127.0.0.1:25001, then backup:25001
                    each try up to 10 s, between rounds up to 0.5 s growing to 30 s
    heartbeat-time  1 s (adapter.conf:8)
    slack           0.04 s (adapter.conf:9)
    limit           down after 1.04 s of silence, late warning after 1.02 s
    floor           a peer's heartbeat-time counts as 0.1 s at least (default)

  peer \"rates\" (adapter.conf:11)
    link            we dial localhost:25002
                    each try up to 10 s, between rounds up to 0.5 s growing to 30 s
    as              to it we are \"PricingAdapter1-myhost\", label \"rates-feed\"
    heartbeat-time  0, undefined (adapter.conf:14)
    slack           2 s (default)
    limit           none until it announces a heartbeat-time, then that and 2 s
    floor           a peer's heartbeat-time counts as 0.1 s at least (default)
    note            heartbeat-time 0 asks for nothing: the link has no limit
                    until the peer announces one; if it has 0 too, its loss is
                    never noticed
";

const ADAPTER_WARNINGS: &str = "
warnings: 2
  adapter.conf:9: heartbeat-slack-time: 0.04 s is under a tenth of heartbeat-time (1 s); a busy \
machine may be called dead, take more
  adapter.conf:9: heartbeat-slack-time: 0.04 s is under 0.05 s; a scheduling delay may be called \
death, take more
";

const SERVER_TEXT: &str = "
server.conf
  node              \"transformer1\"
  application       server (name by default)
  listens           on port 25001, all addresses of this machine

  peer \"PricingAdapter1\" (server.conf:3)
    link            waits for \"PricingAdapter1\" to dial port 25001
                    recognised by remote-label PricingAdapter1
    heartbeat-time  5 s (default)
    slack           2 s (default)
    limit           down after 7 s of silence, late warning after 6 s
    mode            always: heartbeats also while data flows (server.conf:6)
    floor           a peer's heartbeat-time counts as 0.1 s at least (default)

links between these files

  adapter.conf peer \"transformer1\" dials 127.0.0.1:25001, which is server.conf peer \
\"PricingAdapter1\"
    in force        adapter.conf: heartbeat-time 1 s, down after 1.04 s of silence
                    server.conf: heartbeat-time 1 s, down after 3 s of silence

peers that none of these files meets

  adapter.conf peer \"rates\" dials localhost:25002, where none of these files listens
";

fn folder() -> Folder {
    Folder::with(&[("adapter.conf", ADAPTER), ("server.conf", SERVER)])
}

/// Lines without the blanks at their ends.
fn trimmed(text: &str) -> String {
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[test]
fn one_file_is_told_whole() {
    let ended = folder().peerbeat("check adapter.conf");
    assert_eq!(trimmed(&ended.stdout), format!("{ADAPTER_TEXT}{ADAPTER_WARNINGS}"));
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
}

#[test]
fn two_files_are_compared_at_their_link() {
    // lesson 2: one names no value, one a value, one none on purpose
    let ended = folder().peerbeat("check adapter.conf server.conf");
    let expected = format!("{ADAPTER_TEXT}{SERVER_TEXT}{ADAPTER_WARNINGS}");
    assert_eq!(trimmed(&ended.stdout), expected);
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
}

#[test]
fn strict_makes_warnings_a_failure() {
    let folder = folder();
    assert_eq!(folder.peerbeat("check --strict adapter.conf").code, Some(1));
    let clean = folder.peerbeat("check --strict server.conf");
    assert_eq!(clean.code, Some(0));
    assert!(clean.stdout.ends_with("\nno warnings\n"), "{}", clean.stdout);
}

#[test]
fn heartbeat_time_0_on_both_ends_is_a_warning() {
    let folder = Folder::with(&[
        ("a.conf", "datasrc-name a\nadd-peer\n port 7000\n heartbeat-time 0\nend-peer\n"),
        (
            "b.conf",
            "datasrc-port 7000\ndatasrc-heartbeat-time 0\nadd-peer\n remote-name a\nend-peer\n",
        ),
    ]);
    let ended = folder.peerbeat("check a.conf b.conf --strict");
    let warning = "a.conf:4: heartbeat-time: 0 on both known ends, here and at b.conf:2: neither \
                   will notice that the other is gone; set it on one of them";
    assert!(ended.stdout.ends_with(&format!("warnings: 1\n  {warning}\n")), "{}", ended.stdout);
    assert_eq!(ended.code, Some(1));
    assert_eq!(folder.peerbeat("check a.conf --strict").code, Some(0), "one end alone is a note");
}

#[test]
fn an_end_that_would_be_refused_is_a_warning() {
    let folder = Folder::with(&[
        ("a.conf", "datasrc-name a-myhost\nadd-peer\n port 7000\nend-peer\n"),
        ("b.conf", "datasrc-port 7000\nadd-peer\n remote-name a\nend-peer\n"),
    ]);
    let ended = folder.peerbeat("check a.conf b.conf");
    let warning = "a.conf:2: add-peer: dials port 7000, where b.conf listens, but no add-peer \
                   there knows name \"a-myhost\": it will be refused; set datasrc-local-label here \
                   and the same remote-label there";
    assert!(ended.stdout.ends_with(&format!("warnings: 1\n  {warning}\n")), "{}", ended.stdout);
}

#[test]
fn json_of_one_file_has_node_peers_and_warnings() {
    let ended = folder().peerbeat("check --json adapter.conf");
    let object = Value::parse(ended.stdout.strip_suffix('\n').unwrap());
    assert_eq!(object.keys(), ["node", "peers", "warnings"]);
    assert_eq!(object.get("node").get("port"), &Value::Null);
    let [transformer, rates] = object.array("peers") else { panic!("{object:?}") };
    assert_eq!(transformer.number("limit_ms"), 1040.0);
    assert_eq!(transformer.str("heartbeat_time_origin"), "adapter.conf:8");
    assert_eq!(transformer.str("slack_origin"), "adapter.conf:9");
    assert_eq!(transformer.array("dials").len(), 2);
    assert_eq!(rates.get("limit_ms"), &Value::Null);
    assert_eq!(rates.get("heartbeat_time_ms"), &Value::Null);
    assert_eq!(rates.str("slack_origin"), "default");
    let [tenth, _] = object.array("warnings") else { panic!("{object:?}") };
    assert_eq!(tenth.keys(), ["file", "line", "text"]);
    assert_eq!((tenth.str("file"), tenth.number("line")), ("adapter.conf", 9.0));
}

#[test]
fn json_of_several_files_has_their_links() {
    let ended = folder().peerbeat("check --json adapter.conf server.conf");
    let object = Value::parse(ended.stdout.strip_suffix('\n').unwrap());
    assert_eq!(object.keys(), ["files", "links", "unmet", "parts", "warnings"]);
    assert_eq!(object.array("files").len(), 2);
    let [link] = object.array("links") else { panic!("{object:?}") };
    assert_eq!(link.str("addr"), "127.0.0.1:25001");
    assert_eq!(link.get("dialler").str("peer"), "transformer1");
    assert_eq!(link.get("acceptor").number("heartbeat_time_ms"), 1000.0);
    assert_eq!(link.get("acceptor").number("limit_ms"), 3000.0);
}

#[test]
fn errors_are_also_json_and_all_of_them() {
    let folder = Folder::with(&[("a.conf", "datasrc-port x\ndatasrc-id y\n")]);
    let ended = folder.peerbeat("check --json a.conf nowhere.conf");
    assert_eq!(ended.code, Some(2));
    assert_eq!(ended.stderr.lines().count(), 3, "{}", ended.stderr);
    let object = Value::parse(ended.stdout.strip_suffix('\n').unwrap());
    let [port, id, file] = object.array("errors") else { panic!("{object:?}") };
    assert_eq!((port.str("file"), port.number("line")), ("a.conf", 1.0));
    assert_eq!(id.number("line"), 2.0);
    assert_eq!(file.str("file"), "nowhere.conf");
}
