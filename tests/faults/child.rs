//! This binary again, as a process of its own that can be frozen.
//!
//! A child plays a role, reports what happens on its standard output, one line each, and exits when
//! its standard input ends, so that no child outlives its test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use peerbeat::link::{Link, LinkEvent};
use peerbeat::protocol::Native;

use crate::mock::{Beating, LONG, heartbeat};
use crate::rig::{Seen, ms, notes, options};

const ROLE: &str = "PEERBEAT_FAULTS_ROLE";
/// The prefix of each line that a child itself prints.
const MARK: &str = "@@";

/// A process in a role.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    lines: Receiver<(Instant, String)>,
    _stdin: ChildStdin,
}

impl Process {
    /// Runs this binary in a role with arguments.
    pub(crate) fn start(role: &str, arguments: &[String]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child::role", "--ignored", "--nocapture", "--test-threads=1"])
            .env(ROLE, [&[role.to_owned()], arguments].concat().join(" "))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (to, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let Some((_, seen)) = line.split_once(MARK) else { continue };
                if to.send((Instant::now(), seen.to_owned())).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, _stdin: stdin }
    }

    /// Sends a signal by name, and returns an instant from before.
    pub(crate) fn signal(&self, name: &str) -> Instant {
        let before = Instant::now();
        let pid = self.child.id().to_string();
        let done = Command::new("sh").args(["-c", "kill -$0 $1", name, &pid]).status().unwrap();
        assert!(done.success(), "kill -{name} {pid}");
        before
    }

    /// The next line, which must come.
    pub(crate) fn line(&self) -> (Instant, String) {
        self.lines.recv_timeout(LONG).expect("the child says something")
    }

    /// The lines that come within `span`.
    pub(crate) fn listen(&self, span: Duration) -> Vec<(Instant, String)> {
        let until = Instant::now() + span;
        let mut lines = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => lines.push(line),
                Err(_) => return lines,
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Even if it is frozen.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{MARK}{line}").unwrap();
    out.flush().unwrap();
}

/// Not a test of its own: what a child process runs.
#[test]
#[ignore = "run by other tests, in a process of its own"]
fn role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    thread::spawn(|| {
        let _end = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let words: Vec<&str> = role.split(' ').collect();
    match words[..] {
        ["links", address, count, heartbeat, slack] => {
            links(address, count.parse().unwrap(), number(heartbeat), number(slack));
        }
        ["peer", value, period] => peer(number(value), number(period)),
        _ => panic!("no role: {role}"),
    }
}

fn number(word: &str) -> u64 {
    word.parse().unwrap()
}

/// Makes links to an address and prints the events of each.
fn links(address: &str, count: usize, heartbeat_ms: u64, slack_ms: u64) {
    let options = options(heartbeat_ms, slack_ms).stack_size(64 << 10);
    let _links: Vec<Link> = (0..count)
        .map(|index| {
            let stream = TcpStream::connect(address.parse::<SocketAddr>().unwrap()).unwrap();
            let (notes, _log) = notes(move |_, seen| match seen {
                Seen::Event(LinkEvent::Stalled { .. }) => say(&format!("stalled {index}")),
                Seen::Down(down) => {
                    let limit = down.limit.unwrap_or_default();
                    let early = limit.saturating_sub(down.silence).as_nanos();
                    let (up, silence) = (down.up, down.silence);
                    let word = down.reason.as_str();
                    say(&format!(
                        "down {index} up {up:?} silence {silence:?} {word} early {early}"
                    ));
                }
                _ => {}
            });
            Link::start_with(stream, Native::default(), &options, notes).unwrap()
        })
        .collect();
    say("ready");
    thread::sleep(Duration::from_secs(600));
}

/// Says its port, then reads and beats on every connection that comes.
fn peer(value_ms: u64, period_ms: u64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    say(&listener.local_addr().unwrap().to_string());
    let mut beating = Vec::new();
    for mut stream in listener.incoming().map(Result::unwrap) {
        let beat = heartbeat(u32::try_from(value_ms).unwrap());
        beating.push(Beating::start(stream.try_clone().unwrap(), beat, ms(period_ms)));
        thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
    }
}
