//! The other way round: many peers send to one hub, which is this process; they are a second one,
//! and the same raw sockets with a buffer each whatever the hub is.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use super::common::proc::{self, Use};
use super::common::{Args, Contender, alternate, heading, number, ours, raw};
use super::hub::{Design, Run, Work};
use super::receive::{End, Seen};
use super::{SIZE, counts, messages, nanos, print_table, rounds};

/// All peers send as fast as they can, from four threads.
pub(crate) fn measure(args: &Args) {
    for links in counts(args, "100") {
        heading(&format!("{links} peers send to one hub, 64 bytes, as fast as they can"));
        let work = Work::at_full_speed(links, messages(args) / links as u64);
        let designs = [Design::RawBatched, Design::Peerbeat];
        let mut contenders: Vec<Contender<'_, Run>> = Vec::new();
        for design in designs {
            contenders.push((design.as_str(), Box::new(move || gather(design, &work))));
        }
        let results = alternate(rounds(args), &mut contenders);
        let names = designs.map(Design::as_str);
        print_table(&names.into_iter().zip(results).collect::<Vec<_>>(), "raw-batched");
    }
}

fn gather(design: Design, work: &Work) -> Run {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    let address = listener.local_addr().expect("a bound listener has an address").to_string();
    let mut command = proc::again(&["--role", "send", "--address", &address]);
    command.args(["--links", &work.links.to_string(), "--ticks", &work.ticks.to_string()]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("this program starts again");
    let (done, finished) = mpsc::channel();
    let seen = Arc::new(Seen::new(1));
    let mut kept = Vec::new();
    for _ in 0..work.links {
        let (stream, _) = listener.accept().expect("the peers dial");
        let mut end = End::new(&seen, 1, work.ticks, &done);
        if design == Design::RawBatched {
            let read = move || end.read(stream);
            thread::Builder::new().stack_size(64 << 10).spawn(read).expect("a thread a socket");
        } else {
            let handler = move |_: &_, payload: &[u8]| end.handle(payload);
            kept.push(ours::start(stream, &ours::every_second(), handler));
        }
    }
    let output = child.stdout.take().expect("its output is a pipe");
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).expect("the peers say that they are ready");
    let (used, began) = (Use::of_other_threads(), nanos());
    let mut input = child.stdin.take().expect("its input is a pipe");
    input.write_all(b"go\n").expect("the peers wait for it");
    // What a thread of a raw socket has used is counted while it lives: the peers stay.
    let mut ends: Vec<f64> =
        (0..work.links).map(|_| finished.recv().expect("every peer ends")).collect();
    let used = Use::of_other_threads().since(&used);
    ends.sort_by(f64::total_cmp);
    child.kill().expect("the peers are there");
    child.wait().expect("the peers end");
    Run::parse(&seen.report(&ends), work, began, used)
}

/// The peers.
pub(crate) fn send(args: &Args) {
    let (links, ticks) = (args.number("links", 1), args.number("ticks", 1) as u64);
    let address = args.value("address").expect("--address HOST:PORT");
    let dial = |_| {
        let stream = TcpStream::connect(address).expect("the hub listens");
        stream.set_nodelay(true).expect("a connected socket takes options");
        (stream, Vec::with_capacity(raw::BUFFER))
    };
    let mut senders: Vec<Sender> = (0..links).map(dial).collect();
    thread::sleep(Duration::from_millis(300));
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).expect("the hub says when");
    thread::scope(|scope| {
        for part in senders.chunks_mut(links.div_ceil(THREADS)) {
            scope.spawn(move || send_part(part, ticks));
        }
    });
    thread::sleep(Duration::from_secs(60));
}

/// A socket and what is to be written to it.
type Sender = (TcpStream, Vec<u8>);

fn send_part(senders: &mut [Sender], ticks: u64) {
    let mut payload = vec![7; SIZE];
    payload[16..22].fill(0);
    for sequence in 0..ticks {
        number(&mut payload, sequence);
        payload[8..16].copy_from_slice(&nanos().to_le_bytes());
        for (stream, buffer) in senders.iter_mut() {
            if buffer.len() + raw::HEAD + SIZE > raw::BUFFER {
                stream.write_all(buffer).expect("the hub reads on");
                buffer.clear();
            }
            raw::frame(&payload, buffer);
        }
    }
    for (stream, buffer) in senders {
        stream.write_all(buffer).expect("the hub reads on");
    }
}

/// Threads that send.
const THREADS: usize = 4;
