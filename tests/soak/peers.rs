//! The hub, the peers with their cables, their numbered messages, and the judgement of each death.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::cable::Cable;
use peerbeat::config::{Config, ConfigOptions};
use peerbeat::link::{Down, DownReason, Faults, LinkEvent};
use peerbeat::node::{Node, NodeEvent, NodeHandler, NodeOptions, Peer};

use crate::faults::Fault;
use crate::get;
use crate::held::{held, resident_kib};
use crate::tally::{Tally, numbered};
use crate::watching::Pauses;

/// Long beside what a machine whose cores are all busy does to a thread.
pub(crate) const SLACK: Duration = Duration::from_secs(5);
pub(crate) const LIMIT: Duration = Duration::from_secs(6);

/// For how long after a fault its consequences may come: a cable that thaws carries connections
/// that were made meanwhile, and a reset waits for a byte.
const AFTER: Duration = Duration::from_secs(6);
/// The same for our own verdicts: bytes come again.
const AFTER_SILENCE: Duration = Duration::from_secs(2);

/// One direction between the hub and a peer.
#[derive(Debug, Default)]
struct Lane {
    sent: AtomicU64,
    /// Messages that the reports of the sender's ends counted as not sent.
    unsent: AtomicU64,
    tally: Tally,
    /// The next message is the first of its connection.
    is_first: AtomicBool,
}

/// What is known of one peer.
#[derive(Debug, Default)]
struct Record {
    /// From the peer, and to it.
    lanes: [Lane; 2],
    /// The faults that may still have consequences.
    faults: Mutex<Vec<Fault>>,
    /// Deaths since the last fault began.
    deaths: AtomicU64,
    stalls: AtomicU64,
    is_quiet: AtomicBool,
    is_stuffed: AtomicBool,
}

/// What all handlers share.
#[derive(Debug, Default)]
struct Shared {
    records: Vec<Record>,
    downs: Mutex<BTreeMap<&'static str, u64>>,
    /// Deaths that nothing explains, each with its account.
    wrong: Mutex<Vec<String>>,
    false_deaths: AtomicU64,
    missed: AtomicU64,
    starved: AtomicU64,
    pauses: Pauses,
}

/// A peer: its node, its cable, its switches.
#[derive(Debug)]
pub(crate) struct Spoke {
    node: Node,
    pub(crate) cable: Cable,
    pub(crate) faults: Faults,
    index: usize,
    shared: Arc<Shared>,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct World {
    spokes: Vec<Spoke>,
    hub: Node,
    shared: Arc<Shared>,
}

/// Counts for one side: the hub, or the peer of this index.
struct Counting {
    shared: Arc<Shared>,
    own: Option<usize>,
}

impl Counting {
    /// Which record, and which of its lanes leads to this side.
    fn place(&self, peer: &Peer) -> (&Record, usize) {
        let index = self.own.unwrap_or_else(|| peer.name()["spoke".len()..].parse().unwrap());
        (&self.shared.records[index], usize::from(self.own.is_some()))
    }
}

impl NodeHandler for Counting {
    fn on_message(&self, peer: &Peer, payload: &[u8]) {
        let (record, lane) = self.place(peer);
        let lane = &record.lanes[lane];
        lane.tally.add(payload, lane.is_first.swap(false, Ordering::Relaxed));
    }

    fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
        let Some(peer) = peer else { return };
        let (record, lane) = self.place(peer);
        match event {
            NodeEvent::Up { .. } => record.lanes[lane].is_first.store(true, Ordering::Relaxed),
            NodeEvent::Link(LinkEvent::Stalled { .. }) => {
                record.stalls.fetch_add(1, Ordering::Relaxed);
            }
            NodeEvent::Down(down) => {
                record.lanes[1 - lane].unsent.fetch_add(down.unsent_frames, Ordering::Relaxed);
                record.deaths.fetch_add(1, Ordering::Relaxed);
                self.shared.judge(record, peer.name(), down);
            }
            _ => {}
        }
    }
}

impl Shared {
    fn judge(&self, record: &Record, name: &str, down: &Down) {
        let now = Instant::now();
        let word = down.reason.as_str();
        *self.downs.lock().unwrap().entry(word).or_default() += 1;
        let limit = down.limit.unwrap_or(Duration::MAX);
        let is_early = match &down.reason {
            DownReason::Silent => down.silence < limit,
            DownReason::WriteStalled { pending } => *pending < limit,
            _ => false,
        };
        let faults = record.faults.lock().unwrap();
        let explains = |fault: &Fault| {
            let is_ours = ["silent", "write-stalled"].contains(&word);
            let over = fault.until + if is_ours { AFTER_SILENCE } else { AFTER };
            fault.kind.reasons().contains(&word) && (fault.since..over).contains(&now)
        };
        if !is_early && faults.iter().any(explains) {
            return;
        }
        // The peer is in this process too: if that did not run, the peer was silent indeed.
        let pauses = self.pauses.lock().unwrap();
        if !is_early && pauses.iter().any(|(at, _)| now.saturating_duration_since(*at) < LIMIT * 2)
        {
            self.starved.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.false_deaths.fetch_add(1, Ordering::Relaxed);
        let mut wrong = self.wrong.lock().unwrap();
        if wrong.len() < 20 {
            wrong.push(format!("{name}: {down:?}; faults: {faults:?}"));
        }
    }
}

fn start(text: &str, faults: Option<Faults>, handler: Counting) -> Node {
    let config = Config::parse(text, &ConfigOptions::default());
    let mut options = NodeOptions::default();
    options.faults = faults;
    Node::start_with(config.unwrap_or_else(|e| panic!("{e}")), handler, options).unwrap()
}

impl Spoke {
    fn start(index: usize, hub: SocketAddr, shared: &Arc<Shared>) -> Self {
        let cable = Cable::between(hub).unwrap();
        let text = format!(
            "datasrc-name spoke{index}
            datasrc-heartbeat-time 0
            datasrc-heartbeat-slack-time {}
            reconnect-time-min 0.1
            reconnect-time-max 1
            send-queue-bytes 1000000
            add-peer
                remote-name hub
                addr 127.0.0.1
                port {}
                connect-timeout 3
            end-peer",
            SLACK.as_secs(),
            cable.addr().port(),
        );
        let faults = Faults::default();
        let handler = Counting { shared: Arc::clone(shared), own: Some(index) };
        let node = start(&text, Some(faults.clone()), handler);
        Self { node, cable, faults, index, shared: Arc::clone(shared) }
    }

    fn record(&self) -> &Record {
        &self.shared.records[self.index]
    }

    pub(crate) fn be_quiet(&self, on: bool) {
        self.record().is_quiet.store(on, Ordering::Relaxed);
    }

    pub(crate) fn be_stuffed(&self, on: bool) {
        self.record().is_stuffed.store(on, Ordering::Relaxed);
    }

    pub(crate) fn close(&self) {
        self.node.peer("hub").unwrap().close();
    }
}

impl World {
    pub(crate) fn start(count: usize, pauses: Pauses) -> Self {
        let records = (0..count).map(|_| Record::default()).collect();
        let shared = Arc::new(Shared { records, pauses, ..Shared::default() });
        let mut text = format!(
            "datasrc-name hub
            datasrc-port auto
            datasrc-interface 127.0.0.1
            datasrc-heartbeat-time {}
            datasrc-heartbeat-slack-time {}
            peer-accept-wait-time 4
            send-queue-bytes 1000000\n",
            (LIMIT - SLACK).as_secs(),
            SLACK.as_secs(),
        );
        for index in 0..count {
            let _ = writeln!(text, "add-peer\nremote-name spoke{index}\nend-peer");
        }
        let hub = start(&text, None, Counting { shared: Arc::clone(&shared), own: None });
        let addr = hub.local_addrs()[0];
        let spokes = (0..count).map(|index| Spoke::start(index, addr, &shared)).collect();
        Self { spokes, hub, shared }
    }

    pub(crate) fn peer(&self, index: usize) -> &Spoke {
        &self.spokes[index]
    }

    fn record(&self, index: usize) -> &Record {
        &self.shared.records[index]
    }

    pub(crate) fn hub_closes(&self, index: usize) {
        self.hub.peer(&format!("spoke{index}")).unwrap().close();
    }

    /// Whether both ends are up, and nothing of an earlier fault can still come.
    pub(crate) fn is_settled(&self, index: usize) -> bool {
        let here = self.spokes[index].node.peer("hub").unwrap();
        let there = self.hub.peer(&format!("spoke{index}")).unwrap();
        here.is_up() && there.is_up()
    }

    /// A fault begins.
    pub(crate) fn expect(&self, index: usize, fault: Fault) {
        let record = self.record(index);
        record.deaths.store(0, Ordering::Relaxed);
        record.stalls.store(0, Ordering::Relaxed);
        let mut faults = record.faults.lock().unwrap();
        faults.retain(|old| old.until + AFTER > fault.since);
        faults.push(fault);
    }

    /// A fault has ended: if it must have killed, it has.
    pub(crate) fn expect_no_more(&self, index: usize, fault: Fault) {
        let record = self.record(index);
        let was_whole = fault.until - fault.since >= LIMIT + SLACK;
        let must_kill = fault.kind.reasons().contains(&"silent") && was_whole;
        let counts = [&record.deaths, &record.stalls].map(get);
        if must_kill && counts == [0, 0] {
            self.shared.missed.fetch_add(1, Ordering::Relaxed);
            self.shared.wrong.lock().unwrap().push(format!("spoke{index}: missed {fault:?}"));
        }
        if let Some(last) = record.faults.lock().unwrap().last_mut() {
            last.until = Instant::now();
        }
    }

    /// Sends one message each way to and from every peer that takes it, and much if a peer is to be
    /// stuffed.
    pub(crate) fn send(&self) {
        for (index, spoke) in self.spokes.iter().enumerate() {
            let record = self.record(index);
            let is_quiet = record.is_quiet.load(Ordering::Relaxed);
            let is_stuffed = record.is_stuffed.load(Ordering::Relaxed);
            if !is_quiet {
                offer(&spoke.node.peer("hub").unwrap(), &record.lanes[0], 100);
            }
            let there = self.hub.peer(&format!("spoke{index}")).unwrap();
            if is_stuffed {
                // Some a tick, so that the others get their messages too.
                let _taken = (0..20).all(|_| offer(&there, &record.lanes[1], 64 << 10));
            } else {
                offer(&there, &record.lanes[1], 100);
            }
        }
    }

    pub(crate) fn wait_all_up(&self, patience: Duration) {
        let until = Instant::now() + patience;
        while let Some(down) = (0..self.spokes.len()).find(|&index| !self.is_settled(index)) {
            assert!(Instant::now() < until, "spoke{down} does not come up");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends until every last number has arrived: then no number is missing unseen at the end.
    pub(crate) fn deliver_all(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let lanes = || self.shared.records.iter().flat_map(|record| &record.lanes);
        while lanes().any(|lane| lane.tally.next() < get(&lane.sent)) {
            assert!(Instant::now() < until, "not all messages arrive");
            self.send();
            // What goes into a connection that is just ending needs another one behind it.
            thread::sleep(Duration::from_millis(500));
        }
    }

    /// One line of figures.
    pub(crate) fn line(&self, elapsed: Duration, faults: u64) -> String {
        let held = held();
        let downs = self.shared.downs.lock().unwrap().clone();
        let downs: Vec<String> =
            downs.iter().map(|(word, count)| format!("{word} {count}")).collect();
        let sums = self.sums();
        format!(
            "{:>5} s | {} KiB, {} threads, {} descriptors | faults {faults} | deaths: {} | false \
             {}, missed {}, starved {} | sent {}, received {}, unsent {}, under way {}, lost {}, \
             doubled {}",
            elapsed.as_secs(),
            resident_kib(),
            held.threads,
            held.descriptors,
            downs.join(", "),
            get(&self.shared.false_deaths),
            get(&self.shared.missed),
            get(&self.shared.starved),
            sums.sent,
            sums.received,
            sums.unsent,
            sums.sent as i64 - sums.received as i64 - sums.unsent as i64,
            sums.lost,
            sums.doubled,
        )
    }

    fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for lane in self.shared.records.iter().flat_map(|record| &record.lanes) {
            // What is received was sent before: read in this order.
            sums.received += lane.tally.received();
            sums.unsent += get(&lane.unsent);
            sums.sent += get(&lane.sent);
            sums.lost += lane.tally.lost();
            sums.doubled += lane.tally.doubled();
        }
        sums
    }

    /// What was wrong, once all has been delivered.
    pub(crate) fn complaints(&self, seconds: u64) -> Vec<String> {
        let mut complaints = self.shared.wrong.lock().unwrap().clone();
        for (index, record) in self.shared.records.iter().enumerate() {
            for (lane, way) in record.lanes.iter().zip(["from", "to"]) {
                let (sent, unsent) = (get(&lane.sent), get(&lane.unsent));
                let tally = &lane.tally;
                let is_whole = tally.received() + tally.between() == sent;
                // What was counted as unsent must be missing between two connections.
                let is_counted = tally.between() >= unsent;
                if tally.lost() + tally.doubled() > 0 || !is_whole || !is_counted {
                    complaints.push(format!(
                        "{way} spoke{index}: sent {sent}, unsent {unsent}, \
                                             {tally:?}"
                    ));
                }
                if seconds >= 30 && tally.received() < 10 {
                    complaints.push(format!("{way} spoke{index}: only {}", tally.received()));
                }
            }
        }
        complaints
    }
}

#[derive(Debug, Default)]
struct Sums {
    sent: u64,
    received: u64,
    unsent: u64,
    lost: u64,
    doubled: u64,
}

/// Sends the next number of a lane; returns true if there was room.
fn offer(peer: &Peer, lane: &Lane, size: usize) -> bool {
    let number = get(&lane.sent);
    // Counted before it can arrive, and taken back if it was not accepted.
    lane.sent.fetch_add(1, Ordering::Relaxed);
    let is_accepted = peer.try_send(&numbered(number, size)).is_ok();
    if !is_accepted {
        lane.sent.fetch_sub(1, Ordering::Relaxed);
    }
    is_accepted
}
