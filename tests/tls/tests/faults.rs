//! The same faults on plain TCP and over TLS, side by side: the reasons are those of plain TCP, but
//! for what only TLS can know, and verdicts are as punctual.
//!
//! Prints the table with `cargo test --test faults -- --nocapture`. The peer that is stopped is
//! another process; packets are lost in a network namespace; without one that part is reported as
//! skipped.

#[path = "../../common/accept.rs"]
mod accept;
#[path = "../../common/skip.rs"]
mod skip;

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use accept::accept;
use peerbeat::cable::{Cable, Way};
use peerbeat::link::{Down, DownReason, Inbox, Link, Role, Stream, open};
use peerbeat_tls::{Authority, LONG, client_end_with, client_of, ends, options, server_end};
use skip::say_skipped;

type AnyStream = Arc<dyn Stream>;
type AnyLink = (Link<AnyStream>, Inbox);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Plain,
    Tls,
}

/// Both ends of a connection over a cable, the dialling one first.
fn pair(kind: Kind, authority: &Authority) -> (AnyStream, AnyStream, Cable) {
    let through = |addr: SocketAddr| {
        let cable = Cable::between(addr).expect("a cable");
        (cable.addr(), cable)
    };
    if kind == Kind::Tls {
        let (near, far, cable) = ends(authority, through);
        return (near, far, cable);
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (addr, cable) = through(listener.local_addr().expect("an address"));
    let near = TcpStream::connect(addr).expect("it listens");
    let far = accept(&listener);
    (Arc::new(near), Arc::new(far), cable)
}

fn link(stream: AnyStream, heartbeat_ms: u64, slack_ms: u64) -> AnyLink {
    open(stream, Role::NoHandshake, &options(heartbeat_ms, slack_ms)).expect("a link")
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What became of a link, as a cell of the table.
fn cell(down: &Down) -> String {
    let word = down.reason.as_str();
    let Some(limit) = down.limit.filter(|_| down.reason == DownReason::Silent) else {
        return word.to_owned();
    };
    assert!(down.silence >= limit, "early: {down}");
    let late = down.silence - limit;
    assert!(late < ms(1500), "late: {down}");
    format!("{word}, {:.1} ms after the limit", late.as_secs_f64() * 1e3)
}

fn pulled(kind: Kind, authority: &Authority) -> String {
    let (near, far, cable) = pair(kind, authority);
    let (near, _far) = (link(near, 100, 200), link(far, 100, 60_000));
    thread::sleep(ms(150));
    cable.pull();
    cell(&near.0.wait_down(LONG).expect("it ends"))
}

fn stuck(kind: Kind, authority: &Authority) -> String {
    let (near, far, cable) = pair(kind, authority);
    let (near, _far) = (link(near, 100, 300), link(far, 100, 60_000));
    cable.freeze(Way::Out);
    while near.0.send(&[7; 100_000]).is_ok() {}
    let down = near.0.wait_down(LONG).expect("it ends");
    assert!(down.unsent_bytes > 0, "{down}");
    cell(&down)
}

fn cut(kind: Kind, authority: &Authority) -> String {
    let (near, far, cable) = pair(kind, authority);
    let (near, _far) = (link(near, 100, 60_000), link(far, 100, 60_000));
    cable.cut();
    cell(&near.0.wait_down(LONG).expect("it ends"))
}

fn reset(kind: Kind, authority: &Authority) -> String {
    let (near, far, cable) = pair(kind, authority);
    let (near, _far) = (link(near, 100, 60_000), link(far, 100, 60_000));
    cable.reset();
    cell(&near.0.wait_down(LONG).expect("it ends"))
}

fn closed(kind: Kind, authority: &Authority) -> String {
    let (near, far, _cable) = pair(kind, authority);
    let (near, far) = (link(near, 100, 60_000), link(far, 100, 60_000));
    far.0.close();
    cell(&near.0.wait_down(LONG).expect("it ends"))
}

/// 256 KiB take three limits; every byte is life.
fn slow(kind: Kind, authority: &Authority) -> String {
    let (near, far, cable) = pair(kind, authority);
    cable.rate(128 << 10);
    let (near, far) = (link(near, 100, 500), link(far, 100, 500));
    near.0.send(&[7; 262_144]).expect("room");
    assert_eq!(far.1.recv(Some(LONG)).expect("a message").len(), 262_144);
    assert!(near.0.is_up() && far.0.is_up());
    "up, all arrives".to_owned()
}

/// The peer is a process that is stopped, as a machine that hangs.
fn stopped(kind: Kind, authority: &Authority) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut child = peer(kind, authority, listener.local_addr().expect("an address"));
    let socket = accept(&listener);
    let stream: AnyStream = match kind {
        Kind::Plain => Arc::new(socket),
        Kind::Tls => server_end(authority, socket),
    };
    let near = link(stream, 100, 300);
    assert_eq!(*near.1.recv(Some(LONG)).expect("a message"), *b"here");
    let stop = Command::new("kill").args(["-STOP", &child.id().to_string()]).status();
    assert!(stop.expect("kill runs").success());
    let down = near.0.wait_down(LONG).expect("it ends");
    child.kill().expect("it is ours");
    child.wait().expect("it is ours");
    cell(&down)
}

/// This program as the peer at `addr`: see `a_peer`.
fn peer(kind: Kind, authority: &Authority, addr: SocketAddr) -> Child {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let parts = authority.parts("client").map(|part| hex(&part)).join(" ");
    let mut command = Command::new(env::current_exe().expect("a path"));
    command.args(["a_peer", "--exact", "--ignored", "--nocapture"]);
    command.env("PEER_OF", addr.to_string()).env("PEER_KIND", format!("{kind:?}"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("a child");
    // The key does not belong into the environment.
    let mut input = child.stdin.take().expect("it is piped");
    writeln!(input, "{parts}").expect("it reads");
    child
}

#[test]
#[ignore = "the other process of a test"]
fn a_peer() {
    let Ok(addr) = env::var("PEER_OF") else { return };
    let mut line = String::new();
    BufReader::new(std::io::stdin()).read_line(&mut line).expect("the parts");
    let byte =
        |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("hex"), 16).expect("hex");
    let part = |hex: &str| hex.as_bytes().chunks(2).map(byte).collect::<Vec<u8>>();
    let mut parts = line.split_whitespace().map(part);
    let parts = [(); 3].map(|()| parts.next().expect("three parts"));
    let socket = TcpStream::connect(addr).expect("it listens");
    let stream: AnyStream = match env::var("PEER_KIND").as_deref() {
        Ok("Tls") => client_end_with(client_of(parts), socket),
        _ => Arc::new(socket),
    };
    let (link, _inbox) = link(stream, 100, 60_000);
    link.send(b"here").expect("room");
    link.wait_down(LONG);
}

/// On a line with a delay.
fn delayed(kind: Kind, authority: &Authority) -> String {
    let (near, far, cable) = pair(kind, authority);
    cable.delay(ms(40));
    both_ways(near, far)
}

/// In a namespace whose loopback loses packets.
fn lossy(kind: Kind, authority: &Authority) -> String {
    let (near, far, _cable) = pair(kind, authority);
    both_ways(near, far)
}

fn both_ways(near: AnyStream, far: AnyStream) -> String {
    let (near, far) = (link(near, 100, 3000), link(far, 100, 3000));
    for (from, to) in [(&near, &far), (&far, &near)] {
        for _ in 0..3 {
            from.0.send(&[7; 262_144]).expect("room");
        }
        for _ in 0..3 {
            assert_eq!(to.1.recv(Some(LONG)).expect("a message").len(), 262_144);
        }
    }
    assert!(near.0.is_up() && far.0.is_up());
    "up, all arrives".to_owned()
}

/// And then loses all of them.
fn lost(kind: Kind, authority: &Authority) -> String {
    let (near, far, _cable) = pair(kind, authority);
    let (near, _far) = (link(near, 100, 600), link(far, 100, 60_000));
    thread::sleep(ms(150));
    packets("-I");
    let down = near.0.wait_down(LONG).expect("it ends");
    packets("-D");
    cell(&down)
}

/// Drops all packets (`-I`), or does so no more (`-D`).
fn packets(action: &str) {
    let done = Command::new("iptables").args([action, "INPUT", "-j", "DROP"]).status();
    assert!(done.expect("iptables runs").success());
}

/// Packets are lost and delayed by the kernel's netem, or, in a kernel without it, only lost.
const LOSS: &str = "(tc qdisc add dev lo root netem delay 20ms loss 2% 2>/dev/null || \
    iptables -A INPUT -m statistic --mode random --probability 0.02 -j DROP)";

type Fault = (&'static str, fn(Kind, &Authority) -> String);

fn rows(faults: &[Fault]) -> Vec<[String; 3]> {
    let authority = Authority::new();
    let row = |(what, fault): &Fault| {
        let cells = [Kind::Plain, Kind::Tls].map(|kind| fault(kind, &authority));
        let [plain, tls] = cells;
        [(*what).to_owned(), plain, tls]
    };
    faults.iter().map(row).collect()
}

#[test]
fn faults_over_tls_are_those_of_plain_tcp() {
    let faults: [Fault; 8] = [
        ("cable pulled", pulled),
        ("peer stopped (SIGSTOP)", stopped),
        ("peer stops reading, while we send", stuck),
        ("line cut", cut),
        ("reset", reset),
        ("orderly close", closed),
        ("40 ms of delay each way", delayed),
        ("slow line, 256 KiB longer than the limit", slow),
    ];
    let mut all = rows(&faults);
    let losses = in_namespace();
    if losses.is_empty() {
        say_skipped("lost packets over TLS", "there is no namespace with iptables here");
    }
    all.extend(losses);
    let mut table = "| fault | plain TCP | TLS |\n|---|---|---|\n".to_owned();
    for [what, plain, tls] in &all {
        table += &format!("| {what} | {plain} | {tls} |\n");
    }
    println!("{table}");
    let word = |cell: &str| cell.split(',').next().unwrap_or_default().to_owned();
    for [what, plain, tls] in &all {
        match what.as_str() {
            // Without a goodbye only TLS knows that it is no end.
            "line cut" => assert_eq!([word(plain), word(tls)], ["eof", "io"]),
            _ => assert_eq!(word(plain), word(tls), "{what}"),
        }
    }
}

/// Marks a process that is in its own namespace.
const INSIDE: &str = "PEERBEAT_INSIDE_A_NAMESPACE";

/// The rows of `inside_a_namespace`; none if there can be no such namespace.
fn in_namespace() -> Vec<[String; 3]> {
    let program = env::current_exe().expect("a path");
    // An ordinary user's PATH lacks the folders that iptables is in.
    let script = format!(
        "PATH=$PATH:/usr/sbin:/sbin; ip link set lo up; command -v iptables && {LOSS} && echo made && \
         exec \"$0\" inside_a_namespace --exact --ignored --nocapture"
    );
    let mut command = Command::new("unshare");
    command.args(["-Urn", "sh", "-c", &script]).arg(program).env(INSIDE, "1");
    let ran = command.output();
    let Ok(output) = ran else { return Vec::new() };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !text.contains("made") {
        return Vec::new();
    }
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<_> = text.lines().filter_map(|line| line.split_once("ROW|")).collect();
    assert_eq!(rows.len(), 2, "{text}");
    let cells = |row: &str| {
        let mut cells = row.split('|').map(str::to_owned);
        [(); 3].map(|()| cells.next().expect("three cells"))
    };
    rows.into_iter().map(|(_, row)| cells(row)).collect()
}

#[test]
#[ignore = "runs in a namespace of its own"]
fn inside_a_namespace() {
    // By hand it would cut off the machine.
    if env::var_os(INSIDE).is_none() {
        return;
    }
    let faults: [Fault; 2] = [("2 % of packets lost", lossy), ("every packet lost", lost)];
    for row in rows(&faults) {
        println!("ROW|{}", row.join("|"));
    }
}
