//! Malicious strangers, one kind per row, from a separate process: silent sockets, HELLOs sent byte
//! by byte, invalid HELLOs, probes, and half-open connections.
//!
//! During each attack a configured peer comes and goes, the node redials a peer of its own, and a
//! link that is up must live. Shown are how long the configured peer waited for its welcome, and
//! what the attack cost us in memory, threads and CPU, beside what it cost the attackers.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::node::NodeOptions;

use crate::common::{HELLO, Mock, PATIENCE, addr, bye, heartbeat, hello};
use crate::held::{held, resident_kib};
use crate::limits::Healthy;
use crate::network::iptables;
use crate::rig::ms;
use crate::table::Row;

/// How often the configured peer comes, and how often a link of the node's own is cut.
const VISITS: usize = 200;
const CUTS: usize = 10;
/// A peer that waits longer for its welcome was kept out. Loose: a busy machine is none of it.
const WELCOME_MAX: Duration = ms(2000);

pub(crate) fn silent(row: &mut Row) {
    with_python(row, "silent");
}

pub(crate) fn drips(row: &mut Row) {
    attacked(row, "drips");
}

pub(crate) fn bad(row: &mut Row) {
    attacked(row, "bad");
}

pub(crate) fn probes(row: &mut Row) {
    attacked(row, "probes");
}

pub(crate) fn half_open(row: &mut Row) {
    with_python(row, "half-open");
}

/// std binds no socket before it connects and writes no raw packets; Python does.
fn with_python(row: &mut Row, kind: &str) {
    match Command::new("python3").arg("-c").arg("").status() {
        Ok(status) if status.success() => attacked(row, kind),
        _ => row.skipped = Some("no python3".to_owned()),
    }
}

/// Lives with an attack of that kind for a while.
fn attacked(row: &mut Row, kind: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = format!(
        "add-peer
            remote-name own
            addr 127.0.0.1
            port {}
            reconnect-time-min 0.05
            reconnect-time-max 0.2
        end-peer",
        listener.local_addr().unwrap().port()
    );
    let mut healthy = Healthy::start_with(&own, NodeOptions::default());
    let mut dialled = Mock::welcome(&listener, "own");
    healthy.seen.wait_up("own", 1);
    let to = addr(&healthy.server);
    let (before, memory) = (held(), resident_kib());
    let mut attack = Attack::start(kind, to);
    let (began, cpu) = (Instant::now(), ticks("self"));
    let attackers_cpu = attack.ticks();
    let (mut waits, mut redials, mut threads, mut most_memory) = (Vec::new(), 0, 0, 0);
    for number in 0..VISITS {
        if number % (VISITS / CUTS) == 0 {
            row.tried += 1;
            dialled.cut();
            dialled = Mock::welcome(&listener, "own");
            row.detected += 1;
            healthy.send();
        }
        row.tried += 1;
        let (wait, again) = visit(to);
        waits.push(wait);
        redials += again;
        row.detected += 1;
        threads = held().threads.max(threads);
        most_memory = resident_kib().max(most_memory);
        thread::sleep(ms(10));
    }
    let seconds = began.elapsed().as_secs_f64();
    let share = |ticks: u64| ticks as f64 / seconds;
    let (ours, theirs) = (share(ticks("self") - cpu), share(attack.ticks() - attackers_cpu));
    let done = attack.end();
    waits.sort();
    let [half, most, all] =
        [50, 99, 100].map(|share| waits[(VISITS * share / 100).min(VISITS) - 1]);
    row.notes.push(format!(
        "welcome after {half:.1?} (median), {most:.1?} (99 of 100), {all:.1?} (all), {redials} of \
         its {VISITS} dials tried again; {done} in {seconds:.1} s"
    ));
    row.notes.push(format!(
        "CPU {ours:.0} % here, {theirs:.0} % there; memory {memory} to {most_memory} KiB; \
         threads {} to {threads}; refused {}, probes {}",
        before.threads,
        healthy.server.stats().refusals,
        healthy.server.stats().probes
    ));
    if most > WELCOME_MAX {
        row.wrong.push(format!("the configured peer waited {most:?}"));
    }
    // A thread a handshake, and those of the links that come and go.
    if threads > before.threads + NodeOptions::default().handshakes_max + 16 {
        row.wrong.push(format!("{threads} threads"));
    }
    if most_memory > memory + (64 << 10) {
        row.wrong.push(format!("memory grew to {most_memory} KiB"));
    }
    drop(dialled);
    healthy.settle(row);
}

/// The configured peer comes and goes; how long it waited for its welcome, and how often it had to
/// dial again.
fn visit(to: SocketAddr) -> (Duration, usize) {
    let (dialled, mut again) = (Instant::now(), 0);
    let mut other = loop {
        let mut other = Mock::dial(to);
        other.say(&hello("other", "", 0));
        if other.frame().is_some_and(|(kind, _)| kind == HELLO) {
            break other;
        }
        assert!(dialled.elapsed() < PATIENCE, "the configured peer is kept out");
        again += 1;
        thread::sleep(ms(5));
    };
    let wait = dialled.elapsed();
    other.say(&bye(0, ""));
    other.expect_end();
    (wait, again)
}

/// The CPU time that a process has used, in hundredths of a second.
fn ticks(process: &str) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let field = |index: usize| after_name.split_whitespace().nth(index).unwrap().parse::<u64>();
    field(11).unwrap() + field(12).unwrap()
}

/// The process of the attackers.
struct Attack {
    child: Child,
}

const ATTACK: &str = "PEERBEAT_CAMPAIGN_ATTACK";

impl Attack {
    /// Starts it, and returns once it is at full strength.
    fn start(kind: &str, to: SocketAddr) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "attacks::attackers", "--ignored", "--nocapture", "--test-threads=1"])
            .env(ATTACK, format!("{kind} {to}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.as_mut().unwrap();
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"@@ready") {
            assert_eq!(stdout.read(&mut byte).unwrap(), 1, "the attackers failed: {text:?}");
            text.extend(byte);
        }
        Self { child }
    }

    /// The CPU time of it, and of the script that it runs.
    fn ticks(&self) -> u64 {
        let own = self.child.id().to_string();
        let tasks = fs::read_dir(format!("/proc/{own}/task")).unwrap();
        let children = tasks.filter_map(|task| {
            // A thread may end in this moment.
            fs::read_to_string(task.ok()?.path().join("children")).ok()
        });
        let children: String = children.collect();
        children.split_whitespace().map(ticks).sum::<u64>() + ticks(&own)
    }

    /// Ends it; what it has done, in words.
    fn end(&mut self) -> String {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.child.stdout.as_mut().unwrap().read_to_string(&mut text).unwrap();
        assert!(self.child.wait().unwrap().success(), "{text}");
        text.lines().find_map(|line| line.strip_prefix("@@done ")).unwrap().to_owned()
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test of its own: what the process of the attackers does until its input ends.
#[test]
#[ignore = "run by the campaign, in a process of its own"]
fn attackers() {
    let Ok(words) = std::env::var(ATTACK) else { return };
    let (kind, to) = words.split_once(' ').unwrap();
    let to: SocketAddr = to.parse().unwrap();
    let done: &AtomicUsize = Box::leak(Box::default());
    let what = match kind {
        "silent" => return python(SILENT, to),
        "half-open" => {
            // Nothing answers for these sources, so the connections stay half open.
            let rule = ["INPUT", "-p", "tcp", "-d", "127.66.0.0/16", "-j", "DROP"];
            iptables(&[&["-A"], &rule[..]].concat());
            python(HALF_OPEN, to);
            iptables(&[&["-D"], &rule[..]].concat());
            return;
        }
        "drips" => {
            several(200, move |_| drip(to, done));
            "dripping HELLOs"
        }
        "bad" => {
            several(8, move |worker| say_wrong(worker, to, done));
            "bad HELLOs"
        }
        "probes" => {
            several(10, move |_| probe(to, done));
            "probes"
        }
        other => panic!("no attack is called {other}"),
    };
    while done.load(Ordering::Relaxed) < 100 {
        thread::sleep(ms(5));
    }
    print!("@@ready");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    println!("\n@@done {} {what}", done.load(Ordering::Relaxed));
}

/// HELLOs that come a byte at a time.
fn drip(to: SocketAddr, done: &AtomicUsize) {
    loop {
        let Ok(mut stream) = TcpStream::connect(to) else { continue };
        done.fetch_add(1, Ordering::Relaxed);
        for byte in hello("client", "", 0) {
            if stream.write_all(&[byte]).is_err() {
                break;
            }
            thread::sleep(ms(100));
        }
    }
}

/// Bytes that are no HELLO from a peer.
fn say_wrong(worker: usize, to: SocketAddr, done: &AtomicUsize) {
    let wrong = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0xff; 20],
        hello("nobody", "", 0),
        hello("", "", 0),
        hello("client", "", 0)[..12].to_vec(),
        bye(0, "first"),
        vec![0, 0, 0, 0],
    ];
    for index in worker.. {
        let Ok(mut stream) = TcpStream::connect(to) else { continue };
        let _ = stream.set_read_timeout(Some(ms(1000)));
        let _ = stream.write_all(&wrong[index % wrong.len()]);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read(&mut [0; 64]);
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// A probe every 10 ms.
fn probe(to: SocketAddr, done: &AtomicUsize) {
    let mut bytes = hello("x", "", 0);
    bytes[10] |= 2;
    bytes.extend(heartbeat(1));
    let mut next = Instant::now();
    loop {
        next += ms(10);
        if let Ok(mut stream) = TcpStream::connect(to) {
            let _ = stream.set_read_timeout(Some(ms(1000)));
            let _ = stream.write_all(&bytes);
            while stream.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
            done.fetch_add(1, Ordering::Relaxed);
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Starts so many threads, as many as the machine gives, which end with the process.
fn several(count: usize, work: impl Fn(usize) + Clone + Send + 'static) {
    for worker in 0..count {
        let work = work.clone();
        if thread::Builder::new().stack_size(128 << 10).spawn(move || work(worker)).is_err() {
            return;
        }
    }
}

/// Runs a script whose input is ours, and which says itself what it has done.
fn python(script: &str, to: SocketAddr) {
    let port = to.port().to_string();
    let status = Command::new("python3").args(["-c", script, &port]).status();
    assert!(status.unwrap().success());
}

/// Ten thousand sockets from fifty addresses, or as many as a process may have; the oldest goes
/// when another one comes.
const SILENT: &str = r#"
import collections, resource, select, socket, sys
port = int(sys.argv[1])
most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 64, 10000)
kept, opened = collections.deque(), 0
def end():
    return select.select([sys.stdin], [], [], 0)[0]
while not end():
    s = socket.socket()
    s.bind(("127.0.1.%d" % (opened % 50 + 1), 0))
    s.settimeout(1)
    try:
        s.connect(("127.0.0.1", port))
    except OSError:
        continue
    kept.append(s)
    opened += 1
    if len(kept) > most:
        kept.popleft().close()
    if opened == most:
        print("@@ready", end="", flush=True)
print("\n@@done %d silent sockets, %d at a time" % (opened, most))
"#;

/// SYNs from addresses that never answer, as fast as they can be written.
const HALF_OPEN: &str = r#"
import random, select, socket, struct, sys
port = int(sys.argv[1])
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
def checksum(b):
    t = sum(struct.unpack(">%dH" % (len(b) // 2), b))
    t = (t >> 16) + (t & 0xffff)
    return ~(t + (t >> 16)) & 0xffff
sent, to = 0, bytes([127, 0, 0, 1])
while not select.select([sys.stdin], [], [], 0)[0]:
    for _ in range(50):
        source = bytes([127, 66, random.randrange(256), random.randrange(1, 255)])
        head = struct.pack(">HHIIBB", random.randrange(1024, 65535), port, sent, 0, 0x50, 2)
        rest = struct.pack(">H", 65535), b"\0\0", b"\0\0"
        tcp = head + b"".join(rest)
        sum_ = checksum(source + to + b"\0\6\0\x14" + tcp)
        tcp = head + rest[0] + struct.pack(">H", sum_) + rest[2]
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, source, to)
        s.sendto(ip + tcp, ("127.0.0.1", 0))
        sent += 1
    if sent == 1000:
        print("@@ready", end="", flush=True)
print("\n@@done %d half-open connections" % sent)
"#;
