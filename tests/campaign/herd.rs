//! Five hundred peers that are all lost at once and all come back, and how they come.
//!
//! Packets to and from one port vanish and arrive again; nothing else is done. Both sides must
//! notice every loss, and the dials must not all come at once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::DownReason;
use peerbeat::node::{Node, NodeEvent};
use peerbeat::protocol::ByeCode;

use crate::common::{PATIENCE, Recorder, Seen, addr, start};
use crate::network::{carry_all, drop_of};
use crate::rig::ms;
use crate::table::Row;

const COUNT: usize = 500;
const BIN_MS: u128 = 250;
/// The error of a dialler that gives up.
const TOO_SLOW: &str = "no whole HELLO arrived in time";

fn hub() -> (Node, Recorder) {
    let mut text = "datasrc-name hub
        datasrc-port auto
        datasrc-interface 127.0.0.1
        datasrc-heartbeat-time 1
        datasrc-heartbeat-slack-time 3\n"
        .to_owned();
    for number in 0..COUNT {
        let _ =
            write!(text, "add-peer\nremote-name spoke{number}\nlocal-name hub{number}\nend-peer\n");
    }
    start(&text)
}

/// All of them in one node: each dials under a name of its own.
fn spokes(port: u16) -> (Node, Recorder) {
    let mut text = "datasrc-name spokes
        datasrc-heartbeat-time 0
        datasrc-heartbeat-slack-time 3
        reconnect-time-min 0.5
        reconnect-time-max 4\n"
        .to_owned();
    for number in 0..COUNT {
        let _ = write!(
            text,
            "add-peer\nremote-name hub{number}\nlocal-name spoke{number}\naddr 127.0.0.1\n\
             port {port}\nconnect-timeout 2\nend-peer\n"
        );
    }
    start(&text)
}

fn wait_all_up(nodes: &[&Node]) {
    let until = Instant::now() + PATIENCE;
    while !nodes.iter().all(|node| node.stats().peers_up == COUNT) {
        assert!(Instant::now() < until, "not all come up");
        thread::sleep(ms(5));
    }
}

/// How many of these came in each quarter of a second after `from`.
fn histogram(book: &[Seen], from: Instant, counts: impl Fn(&Seen) -> bool) -> BTreeMap<u128, u64> {
    let mut bins = BTreeMap::new();
    for seen in book.iter().filter(|seen| seen.at >= from && counts(seen)) {
        *bins.entry((seen.at - from).as_millis() / BIN_MS).or_default() += 1;
    }
    bins
}

fn show(bins: &BTreeMap<u128, u64>) -> String {
    let last = bins.keys().max().copied().unwrap_or_default();
    let counts: Vec<String> =
        (0..=last).map(|bin| bins.get(&bin).unwrap_or(&0).to_string()).collect();
    counts.join(" ")
}

pub(crate) fn lost_and_back(row: &mut Row) {
    let (hub, hub_book) = hub();
    let (spokes, book) = spokes(addr(&hub).port());
    wait_all_up(&[&hub, &spokes]);
    thread::sleep(ms(2500));
    drop_of(addr(&hub).port());
    let fault = Instant::now();
    for book in [&book, &hub_book] {
        row.tried += COUNT as u64;
        let is_loss = |seen: &Seen| seen.at >= fault && seen.down().is_some();
        book.wait_count("down", COUNT, is_loss);
        for seen in book.all().iter().filter(|seen| is_loss(seen)) {
            judge(row, seen, fault);
        }
    }
    thread::sleep(ms(3000));
    carry_all();
    let back = Instant::now();
    row.tried += 2 * COUNT as u64;
    wait_all_up(&[&hub, &spokes]);
    row.detected += 2 * COUNT as u64;
    row.notes.push(format!("all back {:.1?} after the packets arrived again", back.elapsed()));
    thread::sleep(ms(4500));
    let all = book.all();
    let is_dial = |seen: &Seen| matches!(seen.event(), Some(NodeEvent::Dialling { .. }));
    let dials = histogram(&all, fault, is_dial);
    let ups = histogram(&all, back, Seen::is_up);
    row.notes.push(format!("dials each {BIN_MS} ms from the loss on: {}", show(&dials)));
    row.notes.push(format!("up each {BIN_MS} ms from the return on: {}", show(&ups)));
    for book in [&book, &hub_book] {
        let all = book.all();
        // A dial whose time was up in the very moment in which the hub took it.
        let too_slow = DownReason::Closed { code: ByeCode::TOO_SLOW, text: TOO_SLOW.to_owned() };
        let downs = all.iter().filter(|seen| seen.at > back).filter_map(Seen::down);
        let downs = downs.filter(|down| down.reason != too_slow);
        row.wrong.extend(downs.map(|down| format!("down again: {down:?}")));
    }
    // The first waits span half a second, those after twice as much: as one they may not come.
    let most = dials.values().max().copied().unwrap_or_default();
    if most as usize > COUNT * 9 / 10 {
        row.wrong.push(format!("a herd: {most} dials in {BIN_MS} ms"));
    }
    let dead_at: Duration =
        all.iter().filter(|s| s.down().is_some()).map(|s| s.at - fault).max().unwrap_or_default();
    row.notes.push(format!("the last of the spokes knew after {dead_at:.1?}, limit 4 s"));
    spokes.shutdown();
    hub.shutdown();
    assert!(spokes.join() && hub.join());
}

fn judge(row: &mut Row, seen: &Seen, fault: Instant) {
    let down = seen.down().unwrap();
    let limit = down.limit.unwrap_or_default();
    row.add_verdict((seen.at - fault).saturating_sub(limit));
    if down.reason.as_str() != "silent" || down.silence < limit {
        row.wrong.push(format!("{}: {down:?}", seen.peer));
    }
}
