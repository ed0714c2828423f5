//! One publisher, many peers: peerbeat's links beside libzmq's PUB and SUB, hub and receivers in
//! two processes.
//!
//! PUB drops what a subscriber has no room for, so its queues are not limited here: every message
//! must arrive. Every subscriber has its own socket and thread, as a link has its reader.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use zmq::{Context, Message, PUB, SUB};

use crate::common::proc::{self, Use};
use crate::common::{Args, Contender, alternate, number};
use crate::hub::{Design, Run, Work, publish};
use crate::receive::{End, Seen};
use crate::report::{OURS, Section};
use crate::rivals::zmq::{bind, socket};
use crate::{SIZE, nanos, section};

/// Deliveries a second, CPU of the hub, and how old a message is when it arrives.
pub(crate) fn measure(args: &Args) -> Vec<Section> {
    let counts: &[usize] = if args.quick() { &[10] } else { &[10, 100, 1000] };
    let rounds = args.number("rounds", if args.quick() { 1 } else { 5 });
    let mut sections = Vec::new();
    for &links in counts {
        let work = Work::at_full_speed(links, args.scaled(4_000_000) / links as u64);
        let mut contenders: Vec<Contender<'_, Run>> = vec![
            ("raw-batched", Box::new(move || publish(Design::RawBatched, &work))),
            (OURS, Box::new(move || publish(Design::Peerbeat, &work))),
            ("libzmq", Box::new(move || publish_zmq(&work))),
        ];
        let results = alternate(rounds, &mut contenders);
        let title = |what: &str| format!("64 bytes to {links} peers, one thread, {what}");
        let rate = title("deliveries");
        let about = ("11", rate.as_str(), "million a second", true, "1 x libzmq");
        sections.push(section(about, &contenders, &results, Run::rate));
        let cpu = title("CPU of the hub");
        let about = ("11", cpu.as_str(), "microseconds a delivery", false, "1 x libzmq");
        sections.push(section(about, &contenders, &results, Run::cpu_each));
        let age = title("age at arrival, p50");
        let about = ("11", age.as_str(), "microseconds", false, "no target");
        sections.push(section(about, &contenders, &results, |run| run.p50));
    }
    sections
}

fn publish_zmq(work: &Work) -> Run {
    let context = Context::new();
    let hub = unlimited(&context, PUB);
    let address = bind(&hub);
    let (links, ticks) = (work.links.to_string(), work.ticks.to_string());
    let words = ["--role", "subscribe", "--address", &address, "--links", &links];
    let mut command = proc::again(&words);
    command.args(["--ticks", &ticks]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("this program starts again");
    let mut output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
    // A subscriber misses what is published before it is known: it is greeted until it has heard.
    let ready = thread::spawn(move || {
        let mut line = String::new();
        output.read_line(&mut line).expect("the subscribers say that they are ready");
        output
    });
    while !ready.is_finished() {
        hub.send(&b""[..], 0).expect("a PUB takes everything");
        thread::sleep(Duration::from_millis(10));
    }
    let mut output = ready.join().expect("the subscribers are ready");
    thread::sleep(Duration::from_millis(300));

    let (used, began) = (Use::of_threads(), nanos());
    let mut payload = vec![7; SIZE];
    payload[16..22].fill(0);
    for sequence in 0..work.ticks {
        number(&mut payload, sequence);
        payload[8..16].copy_from_slice(&nanos().to_le_bytes());
        hub.send(&payload[..], 0).expect("a PUB takes everything");
    }
    let mut line = String::new();
    output.read_line(&mut line).expect("the subscribers say what they saw");
    let used = Use::of_threads().since(&used);
    child.kill().expect("the subscribers are there");
    child.wait().expect("the subscribers end");
    Run::parse(&line, work, began, used)
}

/// The second process of libzmq's hub.
pub(crate) fn subscribe(args: &Args) {
    let (links, ticks) = (args.number("links", 1), args.number("ticks", 1) as u64);
    let address = args.value("address").expect("--address tcp://HOST:PORT");
    let context = Context::new();
    let (done, finished) = mpsc::channel();
    let (heard, all_heard) = mpsc::channel();
    let seen = Arc::new(Seen::new(1));
    for _ in 0..links {
        let socket = unlimited(&context, SUB);
        socket.connect(address).expect("the hub is bound");
        socket.set_subscribe(b"").expect("a known option");
        let mut end = End::new(&seen, 1, ticks, &done);
        let heard = heard.clone();
        thread::spawn(move || {
            let (mut message, mut is_greeted) = (Message::new(), false);
            loop {
                socket.recv(&mut message, 0).expect("a message arrives");
                if !message.is_empty() {
                    end.handle(&message);
                } else if !std::mem::replace(&mut is_greeted, true) {
                    let _main_waits = heard.send(());
                }
            }
        });
    }
    (0..links).for_each(|_| all_heard.recv().expect("every subscriber is greeted"));
    // If a receiver panics there is nothing to wait for.
    drop(done);
    println!("ready");
    let mut ends: Vec<f64> =
        (0..links).map(|_| finished.recv().expect("every link ends")).collect();
    ends.sort_by(f64::total_cmp);
    println!("{}", seen.report(&ends));
    // The hub counts what it used before it stops us.
    thread::sleep(Duration::from_secs(60));
}

/// A socket that drops nothing, however much waits.
fn unlimited(context: &Context, kind: zmq::SocketType) -> zmq::Socket {
    let socket = socket(context, kind);
    socket.set_sndhwm(0).expect("a known option");
    socket.set_rcvhwm(0).expect("a known option");
    socket
}
