//! Exhausted resources: ports, descriptors, threads, time. What runs goes on, what fails is named,
//! and once resources are free again everything works.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::node::{DialFailedReason, Node, NodeEvent, NodeOptions, Peer};

use crate::common::{Mock, PATIENCE, Recorder, Seen, What, addr, config, start};
use crate::rig::ms;
use crate::table::Row;
use crate::tally::{Tally, numbered};

const SERVER: &str = "
    datasrc-name server
    datasrc-port auto
    datasrc-interface 127.0.0.1
    datasrc-heartbeat-time 0.5
    datasrc-heartbeat-slack-time 2
    peer-accept-wait-time 2
    add-peer
        remote-name client
    end-peer
    add-peer
        remote-name other
    end-peer";

fn client(name: &str, port: u16) -> String {
    format!(
        "datasrc-name {name}
        reconnect-time-min 0.05
        reconnect-time-max 0.2
        add-peer
            remote-name server
            addr 127.0.0.1
            port {port}
        end-peer"
    )
}

/// A server and a client that must live through it all.
pub(crate) struct Healthy {
    pub(crate) server: Node,
    pub(crate) seen: Recorder,
    client: Node,
    client_seen: Recorder,
    sent: u64,
}

impl Healthy {
    fn start(options: NodeOptions) -> Self {
        Self::start_with("", options)
    }

    /// With more lines in the server's configuration.
    pub(crate) fn start_with(more: &str, options: NodeOptions) -> Self {
        let seen = Recorder::default();
        let text = config(&format!("{SERVER}\n{more}"));
        let server = Node::start_with(text, seen.clone(), options.clone()).unwrap();
        let client_seen = Recorder::default();
        let text = client("client", addr(&server).port());
        let client = Node::start_with(config(&text), client_seen.clone(), options).unwrap();
        seen.wait_up("client", 1);
        client_seen.wait_up("server", 1);
        Self { server, seen, client, client_seen, sent: 0 }
    }

    /// Sends a few messages more, which must be accepted.
    pub(crate) fn send(&mut self) {
        let peer: Peer = self.client.peer("server").unwrap();
        for _ in 0..10 {
            peer.send(&numbered(self.sent, 100)).unwrap();
            self.sent += 1;
        }
    }

    /// The link must have lived, and all messages arrived.
    pub(crate) fn settle(mut self, row: &mut Row) {
        self.send();
        let is_message = |seen: &Seen| matches!(seen.what, What::Message(_));
        self.seen.wait_count("messages", self.sent as usize, is_message);
        let tally = Tally::default();
        for seen in self.seen.all() {
            if let What::Message(payload) = &seen.what {
                tally.add(payload, false);
            }
        }
        row.sent += self.sent;
        row.received += tally.received();
        row.lost += self.sent.saturating_sub(tally.received());
        row.doubled += tally.doubled();
        for (book, peer) in [(&self.seen, "client"), (&self.client_seen, "server")] {
            row.tried += 1;
            match book.all().iter().filter(|seen| seen.peer == peer).find_map(|s| s.down().cloned())
            {
                Some(down) => row.wrong.push(format!("a healthy link ended: {down:?}")),
                None => row.detected += 1,
            }
        }
    }
}

/// Dials while every local port towards the server is taken.
pub(crate) fn ports(row: &mut Row) {
    const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
    let before = fs::read_to_string(RANGE).unwrap();
    let mut healthy = Healthy::start(NodeOptions::default());
    let to = addr(&healthy.server);
    fs::write(RANGE, "61000 61009").unwrap();
    let mut taken = Vec::new();
    let full = loop {
        match TcpStream::connect(to) {
            Ok(stream) => taken.push(stream),
            Err(e) => break e,
        }
        assert!(taken.len() < 100, "the ports do not run out");
    };
    let (other, book) = start(&client("other", to.port()));
    row.tried += 1;
    let detail = book.wait_for("a dial that fails for want of a port", |book| {
        book.iter().find_map(|seen| match seen.event() {
            Some(NodeEvent::DialFailed { reason: DialFailedReason::Connect, detail, .. }) => {
                Some(detail.clone())
            }
            _ => None,
        })
    });
    row.detected += 1;
    row.notes.push(format!("after {} ports: {full}; the node says: {detail}", taken.len()));
    healthy.send();
    row.tried += 1;
    drop(taken);
    let freed = Instant::now();
    book.wait_up("server", 1);
    row.detected += 1;
    row.notes.push(format!("connected {:?} after there were ports again", freed.elapsed()));
    fs::write(RANGE, before.trim()).unwrap();
    drop(other);
    healthy.settle(row);
}

/// Strangers that connect to a node and send nothing: each is turned away in time.
pub(crate) fn strangers(row: &mut Row) {
    const COUNT: usize = 1000;
    let mut healthy = Healthy::start(NodeOptions::default());
    let to = addr(&healthy.server);
    let strangers: Vec<Mock> = (0..COUNT).map(|_| Mock::dial(to)).collect();
    let last = Instant::now();
    healthy.send();
    row.tried += COUNT as u64;
    let mut slow = 0;
    for (index, mut stranger) in strangers.into_iter().enumerate() {
        match stranger.expect_bye().0 {
            7 => row.detected += 1,
            5 if last.elapsed() >= ms(2000) => {
                row.detected += 1;
                slow += 1;
            }
            code => row.wrong.push(format!("stranger {index} got BYE {code}")),
        }
    }
    healthy.seen.wait_refused(COUNT);
    row.notes.push(format!("{slow} had the time of a handshake, the others made room"));
    healthy.settle(row);
}

const ROLE: &str = "PEERBEAT_CAMPAIGN_ROLE";

/// Runs a test of this file in a process of its own, with a limit, and takes its figures over.
fn limited(row: &mut Row, role: &str, limit: &str) {
    let output = Command::new("sh")
        .args(["-c", &format!("{limit} && exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "limits::role", "--ignored", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env("MALLOC_ARENA_MAX", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let mut has_figures = false;
    for line in text.lines() {
        if let Some((_, words)) = line.split_once("@@figures ") {
            let figures: Vec<u64> = words.split(' ').map(|word| word.parse().unwrap()).collect();
            row.tried += figures[0];
            row.detected += figures[1];
            row.sent += figures[2];
            row.received += figures[3];
            row.lost += figures[4];
            row.doubled += figures[5];
            has_figures = true;
        }
        if let Some((_, note)) = line.split_once("@@note ") {
            row.notes.push(note.to_owned());
        }
        if let Some((_, wrong)) = line.split_once("@@wrong ") {
            row.wrong.push(wrong.to_owned());
        }
    }
    if !output.status.success() || !has_figures {
        row.wrong.push(format!("the child failed: {output:?}"));
    }
}

pub(crate) fn descriptors(row: &mut Row) {
    limited(row, "descriptors", "ulimit -n 64");
}

pub(crate) fn threads(row: &mut Row) {
    limited(row, "threads", "ulimit -v 3000000");
}

/// Not a test of its own: what the child runs.
#[test]
#[ignore = "run by the campaign, in a process with limits"]
fn role() {
    let mut row = Row::default();
    match std::env::var(ROLE).as_deref() {
        Ok("descriptors") => without_descriptors(&mut row),
        Ok("threads") => without_threads(&mut row),
        _ => return,
    }
    for note in &row.notes {
        println!("@@note {note}");
    }
    for wrong in &row.wrong {
        println!("@@wrong {wrong}");
    }
    let figures = [row.tried, row.detected, row.sent, row.received, row.lost, row.doubled];
    println!("@@figures {}", figures.map(|figure| figure.to_string()).join(" "));
}

/// The warning that names a limit.
fn warning(book: &Recorder) -> String {
    book.wait_for("warning", |book| {
        book.iter().find_map(|seen| match seen.event() {
            Some(NodeEvent::Warning { detail }) => Some(detail.clone()),
            _ => None,
        })
    })
}

/// What is asked for once there is room again: another client, served.
fn serve_another(row: &mut Row, healthy: &Healthy) {
    row.tried += 1;
    let (other, book) = start(&client("other", addr(&healthy.server).port()));
    book.wait_up("server", 1);
    row.detected += 1;
    drop(other);
}

fn without_descriptors(row: &mut Row) {
    let mut healthy = Healthy::start(NodeOptions::default());
    let mut hoard = Vec::new();
    while let Ok(file) = fs::File::open("/dev/null") {
        hoard.push(file);
    }
    // One is left for our own end of a connection that cannot be accepted.
    hoard.pop();
    let late = Mock::dial(addr(&healthy.server));
    row.tried += 1;
    let detail = warning(&healthy.seen);
    if detail.contains("no file descriptor left (limit 64)") {
        row.detected += 1;
    }
    row.notes.push(detail);
    healthy.send();
    thread::sleep(ms(3000));
    drop((hoard, late));
    serve_another(row, &healthy);
    healthy.settle(row);
}

fn without_threads(row: &mut Row) {
    let mut options = NodeOptions::default();
    // So large that stacks run out long before everything else does.
    options.stack_size = 128 << 20;
    let mut healthy = Healthy::start(options);
    let mut silent = Vec::new();
    while healthy.seen.count(|seen| seen.refused().is_some()) < 3 {
        assert!(silent.len() < 64, "threads never run out");
        silent.push(Mock::dial(addr(&healthy.server)));
        thread::sleep(ms(10));
    }
    row.tried += 1;
    let detail = warning(&healthy.seen);
    if detail.contains("no thread left (limit ") {
        row.detected += 1;
    }
    row.notes.push(detail);
    healthy.send();
    thread::sleep(Duration::from_secs(3));
    let count = silent.len();
    drop(silent);
    healthy.seen.wait_refused(count);
    let until = Instant::now() + PATIENCE;
    row.tried += 1;
    while Instant::now() < until {
        // The threads of the silent ones may just be ending.
        let mut other = Mock::dial(addr(&healthy.server));
        other.say(&crate::common::hello("other", "", 0));
        if other.frame().is_some_and(|(kind, _)| kind == crate::common::HELLO) {
            row.detected += 1;
            break;
        }
        thread::sleep(ms(20));
    }
    healthy.settle(row);
}
