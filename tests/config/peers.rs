//! Peers: their names, how they are recognised, and their addresses.

use peerbeat::config::{PeerBuilder, RecognisedBy};

use super::*;

/// A peer with these lines.
fn peer(lines: &str) -> String {
    format!("add-peer\n{lines}\nend-peer\n")
}

fn names(config: &Config) -> Vec<&str> {
    config.peers().iter().map(PeerConfig::name).collect()
}

#[test]
fn every_peer_has_a_name_of_its_own() {
    let text = [
        "remote-name a\nremote-label x",
        "remote-name a\nremote-label y",
        "remote-name a\nremote-label y",
        "remote-name a\nremote-label y",
        "remote-label y",
        "remote-id 5",
        "remote-id 5",
        "port 1",
        "port 1",
        "",
        "",
        "remote-name a#2",
    ];
    let config = parse(&text.map(peer).concat());
    let expected = [
        "a",
        "y",
        "a#2",
        "a#3",
        "y#2",
        "id-5",
        "id-5#2",
        "localhost:1",
        "localhost:1#2",
        "unnamed",
        "unnamed#2",
        "a#2#2",
    ];
    assert_eq!(names(&config), expected);
}

#[test]
fn a_hello_matches_by_remote_label_else_id_else_label_else_name() {
    use RecognisedBy::{Label, RemoteId, RemoteLabel, RemoteName};
    let cases = [
        (
            "remote-label l\nremote-id 5\nlabel o\nremote-name a",
            [(("x", "l", 9), Some(RemoteLabel)), (("a", "o", 5), None), (("a", "", 5), None)],
        ),
        (
            "remote-id 5\nlabel o\nremote-name a",
            [(("x", "o", 5), Some(RemoteId)), (("x", "o", 9), Some(Label)), (("a", "x", 9), None)],
        ),
        (
            "label o\nremote-name a",
            [
                (("a", "o", 0), Some(Label)),
                (("a", "x", 5), Some(RemoteName)),
                (("x", "x", 0), None),
            ],
        ),
        (
            "remote-id 5\nremote-name a",
            [(("x", "", 5), Some(RemoteId)), (("a", "", 0), None), (("a", "l", 4), None)],
        ),
        (
            "remote-name a",
            [(("a", "l", 7), Some(RemoteName)), (("A", "", 0), None), (("", "", 0), None)],
        ),
        (
            "remote-label \"\"\nremote-id 0\nlabel \"\"\nremote-name \"\"",
            [(("", "", 0), None), (("x", "", 0), None), (("", "x", 1), None)],
        ),
    ];
    for (lines, hellos) in cases {
        let config = parse(&peer(lines));
        for ((name, label, id), expected) in hellos {
            let found = config.peers()[0].recognise(name, label, id);
            assert_eq!(found, expected, "{lines}: {name} {label} {id}");
        }
    }
}

#[test]
fn the_ways_to_be_recognised_come_strongest_first() {
    let cases = [
        ("remote-label l\nlabel o\nremote-id 5\nremote-name a", "remote-label=l"),
        ("label o\nremote-id 5\nremote-name a", "remote-id=5 label=o"),
        ("label o\nremote-name a", "label=o remote-name=a"),
        ("port 1", ""),
    ];
    for (lines, expected) in cases {
        let config = parse(&peer(lines));
        let ways = config.peers()[0].ways();
        let ways = ways.iter().map(|(by, value)| format!("{}={value}", by.as_str()));
        assert_eq!(ways.collect::<Vec<_>>().join(" "), expected, "{lines}");
    }
}

#[test]
fn hosts_and_ports_are_paired_by_position_and_the_last_serves_the_rest() {
    let cases = [
        ("", ""),
        ("addr a", ""),
        ("port 1", "localhost:1"),
        ("port 1 2", "localhost:1 localhost:2"),
        ("addr a b\nport 1 2", "a:1 b:2"),
        ("addr a b c\nport 1 2", "a:1 b:2 c:2"),
        ("port 1 2 3\naddr a b", "a:1 b:2 b:3"),
        ("addr a\nport 1\naddr b\nport 2", "a:1 b:2"),
        ("addr unix:/run/x", "unix:/run/x"),
        ("addr a unix:/x b\nport 1 2", "a:1 unix:/x b:2"),
        ("addr unix:/x a\nport 1 2", "unix:/x a:1 a:2"),
        ("addr unix:/x\nport 1", "unix:/x"),
        ("addr %h-a unix:%r/s\nport 1", "myhost-a:1 unix:/opt/app/s"),
    ];
    for (lines, expected) in cases {
        let config = parse(&peer(lines));
        let addresses = config.peers()[0].addresses().iter().map(ToString::to_string);
        assert_eq!(addresses.collect::<Vec<_>>().join(" "), expected, "{lines}");
    }
}

#[test]
fn a_peer_has_at_most_64_addresses() {
    let good = peer(&format!("addr {}\nport 1", "h ".repeat(64)));
    assert_eq!(parse(&good).peers()[0].addresses().len(), 64);
    let bad = peer(&format!("port {}", "1 ".repeat(65)));
    assert_eq!(
        errors(&bad, &options()),
        "<text>:2: add-peer: found more than 64 addresses of one peer, allowed: at most 64"
    );
}

#[test]
fn the_1024th_peer_is_an_error_and_said_once() {
    let good = peer("port 1").repeat(1023);
    assert_eq!(parse(&good).peers().len(), 1023);
    let bad = good + &peer("port 1").repeat(2) + &peer("port x");
    assert_eq!(
        errors(&bad, &options()),
        "<text>:3070: add-peer: found more than 1023 peers, allowed: at most 1023\n\
         <text>:3077: port: found \"x\", allowed: ports from 1 to 65535"
    );
}

#[test]
fn each_peer_can_know_us_by_another_name() {
    let text = "datasrc-name n\ndatasrc-local-label l\ndatasrc-id 1\n".to_owned()
        + &peer("port 1")
        + &peer("port 2\nlocal-name m\nlocal-label \"\"\nlocal-id 0");
    let config = parse(&text);
    let own = |peer: &PeerConfig| {
        format!("{}/{}/{}", peer.local_name(), peer.local_label(), peer.local_id())
    };
    assert_eq!(config.peers().iter().map(own).collect::<Vec<_>>(), ["n/l/1", "m//0"]);
}

#[test]
fn regression_two_peers_that_are_called_the_same_are_both_warned_of() {
    for name in ["", "a"] {
        // A slack of 0 is a warning.
        let peer = || PeerBuilder::default().remote_name(name).slack(Duration::ZERO);
        let places = |config: Config| {
            let warnings = config.warnings().iter();
            let slack = warnings.filter(|warning| warning.to_string().contains("slack"));
            slack.map(|warning| warning.location().to_string()).collect::<Vec<_>>()
        };
        let [one] = &places(Config::builder().peer(peer()).build().unwrap())[..] else { panic!() };
        let both = places(Config::builder().peer(peer()).peer(peer()).build().unwrap());
        assert!(both.len() == 2 && both[0] == *one && both[1] != *one, "{both:?}");
    }
}
