//! A first address that does not lead to the peer, in every way, and a second one that does.
//!
//! The node must reach its peer at the second address each time. Shown is how long that took.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{addr, hello, start};
use crate::rig::ms;
use crate::table::Row;

/// How often each kind is tried.
const TIMES: usize = 10;
/// Loose: a connect-timeout of half a second, and a few waits.
const REACHED_MAX: Duration = ms(5000);

/// What happens to a connection at the first address.
type Answer = fn(TcpStream);

const KINDS: [(&str, Answer); 4] = [
    ("drops at once", drop),
    ("welcomes and drops", |stream| {
        let _gone = (&stream).write_all(&hello("hub", "", 0));
    }),
    ("echoes", |stream| {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = (&stream).read(&mut bytes) {
            if (&stream).write_all(&bytes[..count]).is_err() {
                break;
            }
        }
    }),
    ("says nothing", |stream| wait_for_the_end(&stream)),
];

pub(crate) fn bad_first_address(row: &mut Row) {
    for (name, answer) in KINDS {
        let mut waits: Vec<Duration> = (0..TIMES).map(|_| reaches(row, answer)).collect();
        waits.sort();
        let (half, most) = (waits[TIMES / 2], waits[TIMES - 1]);
        row.notes
            .push(format!("{name}: the peer is reached after {half:.1?} (median), {most:.1?}"));
        if most > REACHED_MAX {
            row.wrong.push(format!("{name}: reached after {most:?}"));
        }
    }
}

/// How long a node takes whose first address answers so.
fn reaches(row: &mut Row, answer: Answer) -> Duration {
    let hub = "datasrc-name hub\ndatasrc-port auto\ndatasrc-interface 127.0.0.1\n\
               add-peer\nremote-name feed\nend-peer";
    let (hub, seen) = start(hub);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let first = listener.local_addr().unwrap().port();
    let is_over = Arc::<AtomicBool>::default();
    let ends = Arc::clone(&is_over);
    let answers = thread::spawn(move || {
        let mut threads = Vec::new();
        for stream in listener.incoming() {
            if ends.load(Ordering::SeqCst) {
                break;
            }
            let stream = stream.unwrap();
            threads.push(thread::spawn(move || answer(stream)));
        }
        for thread in threads {
            thread.join().unwrap();
        }
    });
    row.tried += 1;
    let began = Instant::now();
    let (feed, _) = start(&format!(
        "datasrc-name feed
        reconnect-time-min 0.05
        reconnect-time-max 0.2
        add-peer
            remote-name hub
            addr 127.0.0.1
            port {first}
            addr 127.0.0.1
            port {}
            connect-timeout 0.5
        end-peer",
        addr(&hub).port()
    ));
    seen.wait_up("feed", 1);
    let took = began.elapsed();
    row.detected += 1;
    feed.shutdown();
    hub.shutdown();
    assert!(feed.join() && hub.join());
    is_over.store(true, Ordering::SeqCst);
    drop(TcpStream::connect(("127.0.0.1", first)));
    answers.join().unwrap();
    took
}

fn wait_for_the_end(mut stream: &TcpStream) {
    let mut bytes = [0; 1024];
    while let Ok(1..) = stream.read(&mut bytes) {}
}
