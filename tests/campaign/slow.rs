//! Peers and cables that are slow, stuck or odd: the healthy ones stay up and lose nothing.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::cable::Cable;
use peerbeat::link::LinkOptions;

use crate::accept::accept;
use crate::cuts::usual;
use crate::mock::{Beating, DATA, Mock, frame, heartbeat, tcp_pair};
use crate::network::ip;
use crate::pairs::{End, Pair, Use};
use crate::rig::{ms, options};
use crate::table::Row;

/// For how long the healthy have to live, some limits.
const SPAN: Duration = ms(6000);

/// Forgives more, for those that must not die, and has a queue that is soon full.
fn patient() -> LinkOptions {
    options(500, 2000).queue_bytes(64 << 10)
}

/// As fast as it goes.
const FLOOD: Use = Use { size: 1000, every: Duration::ZERO, handling: Duration::ZERO };

pub(crate) fn slow_reader(row: &mut Row) {
    // Less than 2 MB/s are taken of what comes as fast as it goes.
    let slow = Use { size: 0, every: Duration::ZERO, handling: ms(2) };
    let fast = Use { size: 4000, ..FLOOD };
    let pairs: Vec<Pair> =
        (0..4).map(|_| Pair::with(tcp_pair(), &patient(), [fast, slow])).collect();
    thread::sleep(SPAN);
    Pair::survive(row, pairs);
}

/// Its heartbeats come, and it reads nothing.
pub(crate) fn never_reads(row: &mut Row) {
    let ends: Vec<(End, Mock, Beating)> = (0..8)
        .map(|_| {
            let (stream, mock) = Mock::pair();
            let beating = mock.beat(300, ms(100));
            let options = usual().queue_bytes(1 << 20);
            (End::start(stream, &options, Use { size: 50_000, ..FLOOD }), mock, beating)
        })
        .collect();
    let fault = Instant::now();
    for (mut end, _mock, _beating) in ends {
        row.tried += 1;
        let down = end.judge(row, fault, &["write-stalled"], Duration::ZERO);
        let sent = end.finish();
        let unsent = down.map_or(0, |down| down.unsent_frames);
        row.add_messages(sent, 0, unsent);
    }
}

/// A frame that comes byte by byte is life for as long as it comes, and silence once it stops.
pub(crate) fn drip(row: &mut Row) {
    let ends: Vec<(End, Mock)> = (0..10)
        .map(|_| {
            let (stream, mock) = Mock::pair();
            (End::start(stream, &usual(), Use::IDLE), mock)
        })
        .collect();
    let bytes = frame(DATA, &[7; 1000]);
    let mut last = Instant::now();
    // Two limits without a heartbeat, or a frame that is whole.
    for byte in bytes.chunks(1).take(40) {
        for (_, mock) in &ends {
            last = mock.say(byte);
        }
        thread::sleep(ms(100));
    }
    for (end, _mock) in ends {
        row.tried += 1;
        let down = end.judge(row, last, &["silent"], Duration::ZERO);
        if let Some(down) = down.filter(|down| down.up < ms(4000)) {
            row.wrong.push(format!("died while the bytes came: {down:?}"));
        }
    }
}

/// Two links on a cable.
fn over(cable: &Cable, listener: &std::net::TcpListener, used: Use) -> Pair {
    let near = std::net::TcpStream::connect(cable.addr()).unwrap();
    let far = accept(listener);
    Pair::start((near, far), &patient(), used)
}

pub(crate) fn slicer(row: &mut Row) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let cable = Cable::between(listener.local_addr().unwrap()).unwrap();
    cable.slice(1);
    let pairs: Vec<Pair> = (0..4).map(|_| over(&cable, &listener, Use::LIGHT)).collect();
    thread::sleep(SPAN);
    Pair::survive(row, pairs);
}

pub(crate) fn squeezed(row: &mut Row) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let cable = Cable::between(listener.local_addr().unwrap()).unwrap();
    let pairs: Vec<Pair> = (0..4).map(|_| over(&cable, &listener, FLOOD)).collect();
    cable.rate(400_000);
    thread::sleep(SPAN);
    cable.plug();
    row.notes.push("400 KB/s a connection and direction were carried".to_owned());
    Pair::survive(row, pairs);
}

pub(crate) fn squeezed_by_tc(row: &mut Row) {
    // Packets of the loopback's usual size would never fit through.
    ip(&["link", "set", "lo", "mtu", "1500"]);
    let narrow = "qdisc add dev lo root tbf rate 2mbit burst 20kb latency 100ms";
    match Command::new("tc").args(narrow.split(' ')).output() {
        Ok(output) if output.status.success() => {
            // What a full queue drops is sent again after longer and longer waits, in which the
            // kernel takes nothing: with a slack of 2 s five runs of eight end `write-stalled`, as
            // they must.
            let options = options(500, 6000).queue_bytes(64 << 10);
            let pairs: Vec<Pair> =
                (0..4).map(|_| Pair::start(tcp_pair(), &options, FLOOD)).collect();
            thread::sleep(SPAN);
            let done = Command::new("tc").args(["qdisc", "del", "dev", "lo", "root"]).status();
            assert!(done.unwrap().success());
            row.notes.push("2 Mbit/s were carried in all".to_owned());
            Pair::survive(row, pairs);
        }
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            row.skipped = Some(format!("tc says: {}", why.trim()));
        }
        Err(e) => row.skipped = Some(format!("no tc: {e}")),
    }
    ip(&["link", "set", "lo", "mtu", "65536"]);
}

/// Every core has more to do than it can, the links live, and what dies then is noticed.
pub(crate) fn starved(row: &mut Row) {
    let stop = Arc::new(AtomicBool::new(false));
    let spin = |stop: Arc<AtomicBool>| move || while !stop.load(Ordering::Relaxed) {};
    let spinning: Vec<_> = (0..8).map(|_| thread::spawn(spin(Arc::clone(&stop)))).collect();
    let pairs: Vec<Pair> =
        (0..8).map(|_| Pair::start(tcp_pair(), &patient(), Use::LIGHT)).collect();
    let ends: Vec<(End, Mock)> = (0..8)
        .map(|_| {
            let (stream, mock) = Mock::pair();
            (End::start(stream, &patient(), Use::LIGHT), mock)
        })
        .collect();
    thread::sleep(ms(500));
    for (_, mock) in &ends {
        mock.say(&heartbeat(500));
    }
    let last = Instant::now();
    for (end, _mock) in &ends {
        row.tried += 1;
        end.judge(row, last, &["silent"], Duration::ZERO);
    }
    thread::sleep(SPAN.saturating_sub(last.elapsed()));
    stop.store(true, Ordering::Relaxed);
    spinning.into_iter().for_each(|thread| thread.join().unwrap());
    Pair::survive(row, pairs);
}
