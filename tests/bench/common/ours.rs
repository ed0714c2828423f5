//! peerbeat in the benchmarks: always through the public API, heartbeats on, otherwise with
//! defaults.

use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use peerbeat::link::{Link, LinkOptions};
use peerbeat::liveness::Settings;
use peerbeat::protocol::Native;

use super::{Cost, Tally, number, pair, raw};

/// Options with a heartbeat-time and a slack.
pub(crate) fn options(heartbeat_time: Duration, slack: Duration) -> LinkOptions {
    let liveness = Settings::default().heartbeat_time(Some(heartbeat_time)).slack(slack);
    LinkOptions::default().liveness(liveness)
}

/// Heartbeats every second.
pub(crate) fn every_second() -> LinkOptions {
    options(Duration::from_secs(1), Duration::from_secs(2))
}

/// Two links that are each other's peers.
pub(crate) fn links<A, B>(options: &LinkOptions, near: A, far: B) -> (Link, Link)
where
    A: FnMut(&Link, &[u8]) + Send + 'static,
    B: FnMut(&Link, &[u8]) + Send + 'static,
{
    let (one, other) = pair();
    (start(one, options, near), start(other, options, far))
}

pub(crate) fn start<H>(stream: TcpStream, options: &LinkOptions, handler: H) -> Link
where
    H: FnMut(&Link, &[u8]) + Send + 'static,
{
    Link::start_with(stream, Native::default(), options, handler).expect("a link starts")
}

/// Closes both and waits until their threads are gone.
pub(crate) fn close(links: (Link, Link)) {
    links.0.close();
    for link in [links.0, links.1] {
        link.wait_down(Duration::from_secs(5)).expect("a closed link ends");
    }
}

/// `messages` of `size` bytes one way, sent by `threads` at once.
pub(crate) fn one_way(threads: u64, size: usize, messages: u64) -> Cost {
    one_way_by(size, messages, |link| {
        thread::scope(|scope| {
            for mine in 0..threads {
                scope.spawn(move || {
                    let mut payload = vec![7; size];
                    for sequence in (mine..messages).step_by(threads as usize) {
                        number(&mut payload, sequence);
                        link.send(&payload).expect("the peer reads on");
                    }
                });
            }
        });
    })
}

/// The same from one thread, so many messages a call.
pub(crate) fn in_groups(
    group: usize,
    size: usize,
    messages: u64,
    send: impl FnMut(&Link, &[Vec<u8>]),
) -> Cost {
    let messages = messages.next_multiple_of(group as u64);
    one_way_by(size, messages, |link| send_groups(link, group, size, messages, send))
}

/// The same to a peer that walks frames in a raw buffer.
pub(crate) fn to_raw(
    group: usize,
    size: usize,
    messages: u64,
    send: impl FnMut(&Link, &[Vec<u8>]),
) -> Cost {
    let messages = messages.next_multiple_of(group as u64);
    let (near, far) = pair();
    let peer = far.try_clone().expect("a descriptor");
    // The peer sends nothing.
    let patient = options(Duration::from_secs(1), Duration::from_secs(600));
    let link = start(near, &patient, |_: &Link, _: &[u8]| {});
    let cost = Cost::of(messages, || {
        let reader = thread::spawn(move || raw::walk_frames(far, size, messages));
        send_groups(&link, group, size, messages, send);
        reader.join().expect("the reader found what was sent");
    });
    drop(peer.shutdown(Shutdown::Both));
    link.wait_down(Duration::from_secs(5)).expect("a link without a peer ends");
    cost
}

/// `messages` of `size` bytes from a raw socket, batched by hand, to a link.
pub(crate) fn from_raw(size: usize, messages: u64) -> Cost {
    let (near, far) = pair();
    let (receive, finished) = receiver(size, messages);
    let link = start(far, &every_second(), receive);
    let cost = Cost::of(messages, || {
        raw::send_batched(&near, size, messages);
        finished.recv().expect("all messages arrive");
    });
    drop(near);
    link.wait_down(Duration::from_secs(5)).expect("a link without a peer ends");
    cost
}

fn send_groups(
    link: &Link,
    group: usize,
    size: usize,
    messages: u64,
    mut send: impl FnMut(&Link, &[Vec<u8>]),
) {
    let mut payloads = vec![vec![7; size]; group];
    for first in (0..messages).step_by(group) {
        for (sequence, payload) in (first..).zip(&mut payloads) {
            number(payload, sequence);
        }
        send(link, &payloads);
    }
}

fn receiver(size: usize, messages: u64) -> (impl FnMut(&Link, &[u8]) + Send, Receiver<()>) {
    let (done, finished) = mpsc::channel();
    let mut tally = Tally::new(size, messages);
    let receive = move |_: &Link, payload: &[u8]| {
        if tally.count(payload) {
            let _main_waits = done.send(());
        }
    };
    (receive, finished)
}

fn one_way_by(size: usize, messages: u64, send: impl FnOnce(&Link)) -> Cost {
    let (receive, finished) = receiver(size, messages);
    let links = links(&every_second(), |_: &Link, _: &[u8]| {}, receive);
    let cost = Cost::of(messages, || {
        send(&links.0);
        finished.recv().expect("all messages arrive");
    });
    close(links);
    cost
}
