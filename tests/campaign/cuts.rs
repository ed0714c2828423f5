//! Faults of the network: packets that vanish, a link that goes down, resets.

use std::time::{Duration, Instant};

use peerbeat::link::LinkOptions;

use crate::mock::{Mock, tcp_pair};
use crate::network::{carry_all, drop_to_all, firewall, ip};
use crate::pairs::{End, Pair, Use};
use crate::rig::{ms, options};
use crate::table::Row;

/// Connections of a row.
const COUNT: usize = 20;
const LIMIT: Duration = ms(1000);

/// Forgives what a busy machine does to a thread.
pub(crate) fn usual() -> LinkOptions {
    options(300, 700)
}

fn pairs() -> Vec<Pair> {
    let pairs = (0..COUNT).map(|_| Pair::start(tcp_pair(), &usual(), Use::LIGHT)).collect();
    std::thread::sleep(ms(1000));
    pairs
}

fn ports(pairs: &[Pair], index: usize) -> Vec<u16> {
    pairs.iter().map(|pair| pair.ends[index].port).collect()
}

/// Judges both ends of every pair, the first by `one`, the second by `two`: the reasons it may
/// have, and when they are due.
fn judge(
    row: &mut Row,
    pairs: Vec<Pair>,
    fault: Instant,
    one: (&[&str], Duration),
    two: (&[&str], Duration),
) {
    for pair in pairs {
        row.tried += 2;
        let [first, second] = &pair.ends;
        let downs = [first.judge(row, fault, one.0, one.1), second.judge(row, fault, two.0, two.1)];
        pair.settle(row, downs);
    }
}

/// What may become of the side whose own packets arrive: the other one gives up after its limit.
const SECOND: (&[&str], Duration) = (&["eof", "silent", "io"], ms(2 * LIMIT.as_millis() as u64));
const SILENT: (&[&str], Duration) = (&["silent"], LIMIT);

pub(crate) fn both_ways(row: &mut Row) {
    let pairs = pairs();
    drop_to_all(&[ports(&pairs, 0), ports(&pairs, 1)].concat());
    judge(row, pairs, Instant::now(), SILENT, SILENT);
    carry_all();
}

pub(crate) fn towards_us(row: &mut Row) {
    let pairs = pairs();
    drop_to_all(&ports(&pairs, 0));
    judge(row, pairs, Instant::now(), SILENT, SECOND);
    carry_all();
}

pub(crate) fn from_us(row: &mut Row) {
    let pairs = pairs();
    drop_to_all(&ports(&pairs, 1));
    judge(row, pairs, Instant::now(), SECOND, SILENT);
    carry_all();
}

pub(crate) fn link_down(row: &mut Row) {
    let pairs = pairs();
    ip(&["link", "set", "lo", "down"]);
    let fault = Instant::now();
    judge(row, pairs, fault, SILENT, SILENT);
    ip(&["link", "set", "lo", "up"]);
}

/// A firewall that answers what comes to the first end with a reset to the second, which sends
/// something every 10 ms: it knows at once. The first end hears nothing any more.
pub(crate) fn rejected(row: &mut Row) {
    let pairs = pairs();
    firewall(&ports(&pairs, 0), "REJECT --reject-with tcp-reset");
    judge(row, pairs, Instant::now(), (&["silent", "io"], LIMIT), (&["io"], ms(50)));
    carry_all();
}

/// A peer that closes with some of our bytes unread: its kernel sends a reset.
pub(crate) fn reset(row: &mut Row) {
    let ends: Vec<(End, Mock)> = (0..COUNT)
        .map(|_| {
            let (stream, mock) = Mock::pair();
            (End::start(stream, &usual(), Use::IDLE), mock)
        })
        .collect();
    std::thread::sleep(ms(500));
    for (end, mock) in ends {
        row.tried += 1;
        // The announcement of our heartbeat-time, at least, lies there.
        mock.stream.peek(&mut [0]).unwrap();
        let fault = Instant::now();
        drop(mock);
        end.judge(row, fault, &["io"], Duration::ZERO);
    }
}
