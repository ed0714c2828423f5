//! `check`: the whole output for each link, compared with the text that a person should see.
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
  listens           no (datasrc-port is 0 or not set)

  peer \"transformer1\" (adapter.conf:4)
    link            we dial 127.0.0.1:25001, then backup:25001
                    each try up to 10 s
                    between rounds up to 0.5 s growing to 30 s
    heartbeat-time  1 s (adapter.conf:8)
    slack           0.04 s (adapter.conf:9)
    limit           down after 1.04 s of silence, late warning after 1.02 s
    floor           a peer's heartbeat-time counts as 0.1 s at least (default)

  peer \"rates\" (adapter.conf:11)
    link            we dial localhost:25002
                    each try up to 10 s
                    between rounds up to 0.5 s growing to 30 s
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

  adapter.conf peer \"transformer1\" dials 127.0.0.1:25001, which is server.conf
    peer \"PricingAdapter1\"
    in force        adapter.conf: heartbeat-time 1 s, down after 1.04 s of
                    silence
                    server.conf: heartbeat-time 1 s, down after 3 s of silence

peers that none of these files meets

  adapter.conf peer \"rates\" dials localhost:25002, where none of these files
    listens
";

fn folder() -> Folder {
    Folder::with(&[("adapter.conf", ADAPTER), ("server.conf", SERVER)])
}

/// Lines without the blanks at their ends.
fn trimmed(text: &str) -> String {
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[test]
fn one_file_is_reported_whole() {
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

/// A deployment: two applications, one of which runs in the folder above its own, and a file that
/// both include.
fn deployment() -> Folder {
    let folder = Folder::new();
    for path in ["feed/etc", "hub", "parts"] {
        std::fs::create_dir_all(folder.path(path)).unwrap();
    }
    let files = [
        (
            "feed/etc/feed.conf",
            "include-file ../parts/all.conf\napplication-name feed\ndatasrc-local-label %a\n\
             add-peer\nremote-name hub\nport ${PORT}\nheartbeat-time 1\nend-peer\n\
             add-peer\nremote-name gone\naddr h\nport 9\nend-peer\n",
        ),
        (
            "hub/hub.conf",
            "include-file ../parts/all.conf\ndatasrc-name hub\ndatasrc-port ${PORT}\n\
             add-peer\nlabel feed\nend-peer\nadd-peer\nremote-label nobody\nend-peer\n",
        ),
        ("parts/all.conf", "define PORT 7000\ndatasrc-heartbeat-time 3\n"),
        ("parts/orphan.conf", "add-peer\nremote-name x\nport 1\nend-peer\n"),
    ];
    for (name, text) in files {
        std::fs::write(folder.path(name), text).unwrap();
    }
    folder
}

#[test]
fn a_folder_is_a_deployment_of_applications_that_meet() {
    let ended = deployment().peerbeat("check .");
    let text = ended.stdout;
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
    let from = text.find("links between").unwrap();
    let expected = "\
links between these files

  ./feed/etc/feed.conf peer \"hub\" dials localhost:7000, which is ./hub/hub.conf
    peer \"feed\"
    in force        ./feed/etc/feed.conf: heartbeat-time 1 s, down after 3 s of
                    silence
                    ./hub/hub.conf: heartbeat-time 1 s, down after 3 s of
                    silence

peers that none of these files meets

  ./feed/etc/feed.conf peer \"gone\" dials h:9, where none of these files listens
  ./hub/hub.conf peer \"nobody\" waits to be dialled, but none of these files
    dials it

files that are no applications

  ./parts/orphan.conf: nothing includes it, and it says neither who it is nor
    where it listens

no warnings
";
    assert_eq!(&text[from..], expected);
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    assert!(text.contains("recognised by label feed (the old name of remote-label)\n"), "{text}");
}

#[test]
fn a_deployment_is_one_picture_and_one_object() {
    let folder = deployment();
    let ended = folder.peerbeat("check . --json --picture estate.svg");
    let object = Value::parse(ended.stdout.strip_suffix('\n').unwrap());
    assert_eq!(object.array("links").len(), 1);
    let [gone, nobody] = object.array("unmet") else { panic!("{object:?}") };
    assert_eq!((gone.str("peer"), nobody.str("peer")), ("gone", "nobody"));
    assert_eq!(object.array("parts").len(), 1);
    let svg = std::fs::read_to_string(folder.path("estate.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    for shown in ["hub", "localhost:7000", "every 1 s, down after 3 s", "waited for by hub", "h:9"]
    {
        assert!(svg.contains(shown), "{shown} in\n{svg}");
    }
    assert_eq!(svg.matches("<rect ").count(), 1 + 4, "a ground, two boxes, two dashed ones");
    let refused = folder.peerbeat("check . --picture nowhere/estate.svg");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.starts_with("peerbeat check: --picture nowhere/estate.svg: "));
}

#[test]
fn a_folder_without_applications_is_wrong_usage() {
    let folder = Folder::with(&[("x.conf", "add-peer\nport 1\nend-peer\n")]);
    let ended = folder.peerbeat("check .");
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("found no application"), "{}", ended.stderr);
    let ended = deployment().peerbeat("check . --app-name x");
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("--app-name with 2 applications"), "{}", ended.stderr);
}

#[test]
fn a_file_is_checked_for_another_machine() {
    let text = "if os win32\ndefine P 1\nelse\ndefine P 2\nendif\ndatasrc-name %a%r\n\
                include-file more.conf\nadd-peer\nport ${P}\nend-peer\n";
    let folder = Folder::with(&[("a.conf", text)]);
    std::fs::create_dir(folder.path("root")).unwrap();
    std::fs::write(folder.path("root/more.conf"), "datasrc-id 7\n").unwrap();
    let ended = folder.peerbeat("check a.conf --os win32 --app-root root --app-name x");
    let root = folder.path("root").to_string_lossy().into_owned();
    // Where a line is wrapped depends on the length of the folder's path.
    let shown = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        format!("node \"x{root}\", id 7"),
        "application x (--app-name)".to_owned(),
        format!("root {root} (--app-root)"),
        "conditions os win32 holds (a.conf:1)".to_owned(),
        "we dial localhost:1".to_owned(),
    ] {
        let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(shown.contains(&words), "{line} in\n{}", ended.stdout);
    }
    let ended = folder.peerbeat("check a.conf");
    assert_eq!(ended.code, Some(2), "without the root the file is not found");
    let expected = "a.conf:7: include-file: found \"more.conf\", which does not exist as \
                    more.conf, allowed: a file that exists\n";
    assert_eq!(ended.stderr, expected);
}

#[test]
fn errors_come_with_the_warnings_beside_them() {
    let folder = Folder::with(&[
        ("a.conf", "datasrc-hearbeat-time 1\ndatasrc-port x\n"),
        ("b.conf", "datasrc-name b\nADD-PEER\nend-peer\n"),
    ]);
    let ended = folder.peerbeat("check --json a.conf b.conf");
    assert_eq!(ended.code, Some(2));
    let expected = "a.conf:2: datasrc-port: found \"x\", allowed: a port from 1 to 65535, 0 or auto\n\
        warning: a.conf:1: datasrc-hearbeat-time: not an item, skipped; did you mean \
        datasrc-heartbeat-time?\n\
        warning: b.conf:2: ADD-PEER: skipped with the lines to its end; did you mean add-peer?\n";
    assert_eq!(ended.stderr, expected);
    let object = Value::parse(ended.stdout.strip_suffix('\n').unwrap());
    assert_eq!((object.array("errors").len(), object.array("warnings").len()), (1, 2));
}

#[test]
fn two_that_dial_as_the_same_peer_are_a_warning() {
    let feed = "datasrc-name a\nadd-peer\nremote-name hub\nport 7000\nend-peer\n";
    let hub = "datasrc-name hub\ndatasrc-port 7000\nadd-peer\nremote-name a\nend-peer\n";
    let folder = Folder::with(&[("a.conf", feed), ("copy.conf", feed), ("hub.conf", hub)]);
    let ended = folder.peerbeat("check a.conf copy.conf hub.conf --strict");
    let warning = "copy.conf:2: add-peer: dials as the same peer as that of a.conf:2, \"a\" of \
                   hub.conf; they would take the link from each other, give them different labels";
    assert!(ended.stdout.ends_with(&format!("warnings: 1\n  {warning}\n")), "{}", ended.stdout);
    assert_eq!(ended.code, Some(1));
}

#[test]
fn a_part_is_reported_as_one_and_gets_no_advice_on_the_whole() {
    let folder = Folder::with(&[("part.conf", "add-peer\nremote-label a\nend-peer\n")]);
    let ended = folder.peerbeat("check --strict part.conf");
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    assert!(
        ended.stdout.contains("note              looks like a file that others include"),
        "{}",
        ended.stdout
    );
}

#[test]
fn items_about_tls_say_what_the_command_can_and_how_a_program_gets_it() {
    let file = "datasrc-name me\ndatasrc-port 25000\ndatasrc-ssl-port 25001\nadd-peer\n\
                remote-name you\naddr h\nport 1\nssl-verify-mode 1\nssl-cipherlist ALL\n\
                end-peer\nadd-peer\nremote-name other\nend-peer\n";
    let folder = Folder::with(&[("me.conf", file)]);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let ended = folder.peerbeat("check me.conf");
    let text = words(&ended.stdout);
    let of_node = "note skipped: datasrc-ssl-port (me.conf:3); the command has no TLS, what we \
                   listen on takes plain connections, for the loopback or a tunnel (stunnel, \
                   WireGuard, SSH); a program has TLS with this file by NodeOptions::transport, \
                   in C by peerbeat_node_start_layered";
    assert!(text.contains(of_node), "{text}");
    let of_peer = "note skipped: ssl-verify-mode (me.conf:8), ssl-cipherlist (me.conf:9); the \
                   command has no TLS, this link is plain TCP";
    assert!(text.contains(of_peer), "{text}");
    assert_eq!(text.matches("skipped").count(), 2, "{text}");
    let record = folder.peerbeat("check me.conf --json").stdout;
    assert!(record.contains(r#""notes":["skipped: datasrc-ssl-port (me.conf:3)"#), "{record}");
    assert!(record.contains(r#""notes":["skipped: ssl-verify-mode (me.conf:8)"#), "{record}");
}

#[test]
fn a_unix_socket_is_listened_on() {
    let file = "datasrc-name me\ndatasrc-interface unix:/run/me.sock\nadd-peer\n\
                remote-name you\nend-peer\n";
    let folder = Folder::with(&[("me.conf", file)]);
    let ended = folder.peerbeat("check me.conf --strict");
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    let text = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("listens on unix:/run/me.sock"), "{text}");
    assert!(text.contains("waits for \"you\" to dial unix:/run/me.sock"), "{text}");
}
