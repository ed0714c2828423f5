//! Processes that are stopped and killed: that of the peer, and our own.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::accept::accept;
use crate::child::Process;
use crate::cuts::usual;
use crate::mock::{Beating, heartbeat};
use crate::pairs::{End, Use};
use crate::rig::ms;
use crate::table::Row;

const COUNT: usize = 20;

/// A peer in a process of its own, and links to it.
fn peer() -> (Process, Vec<End>) {
    let process = Process::start("peer", &["300".to_owned(), "100".to_owned()]);
    let address = process.line().1;
    let ends = (0..COUNT)
        .map(|_| End::start(TcpStream::connect(&address).unwrap(), &usual(), Use::LIGHT))
        .collect();
    thread::sleep(ms(700));
    (process, ends)
}

fn signalled(row: &mut Row, signal: &str, words: &[&str]) {
    let (process, ends) = peer();
    let fault = process.signal(signal);
    for end in ends {
        row.tried += 1;
        end.judge(row, fault, words, Duration::ZERO);
    }
    row.notes.push("messages are not counted: the peer is no link".to_owned());
}

pub(crate) fn stopped(row: &mut Row) {
    signalled(row, "STOP", &["silent"]);
}

pub(crate) fn killed(row: &mut Row) {
    signalled(row, "KILL", &["eof", "io"]);
}

/// Ours is the process that is stopped, for three limits, and no peer may be declared dead for it:
/// neither peers that go on, whose bytes wait in the kernel, nor peers that were stopped as long as
/// we were, as on a host that was paused, and of whom nothing waits.
pub(crate) fn we_were_stopped(row: &mut Row) {
    for peers_stop_too in [false, true] {
        let (lines, count) = stop_ourselves(peers_stop_too);
        let downs: Vec<String> =
            lines.iter().filter(|line| line.starts_with("down")).cloned().collect();
        row.tried += count as u64;
        row.detected += (count - downs.len()) as u64;
        row.wrong.extend(downs);
        let noticed = lines.iter().filter(|line| line.starts_with("stalled")).count();
        row.notes.push(format!("{noticed} of {count} links reported that our process was stopped"));
        if noticed < count {
            row.wrong.push("not every link reported it".to_owned());
        }
    }
}

/// What a stopped process with so many links has to say once it goes on.
fn stop_ourselves(peers_stop_too: bool) -> (Vec<String>, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let words = [&address, &COUNT.to_string(), "300", "700"].map(ToString::to_string);
    let process = Process::start("links", &words);
    let ends: Vec<TcpStream> = (0..COUNT).map(|_| accept(&listener)).collect();
    assert_eq!(process.line().1, "ready");
    let beat = |end: &TcpStream| Beating::start(end.try_clone().unwrap(), heartbeat(300), ms(100));
    let mut beating: Vec<Beating> = ends.iter().map(beat).collect();
    thread::sleep(ms(500));
    if peers_stop_too {
        beating.clear();
        // All that was sent is read.
        thread::sleep(ms(100));
    }
    process.signal("STOP");
    thread::sleep(ms(3000));
    process.signal("CONT");
    if peers_stop_too {
        // Within the slack that they are given once more.
        thread::sleep(ms(200));
        beating.extend(ends.iter().map(beat));
    }
    let lines = process.listen(ms(3000)).into_iter().map(|(_, line)| line).collect();
    drop(beating);
    (lines, COUNT)
}
