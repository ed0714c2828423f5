//! A network of our own, in which packets can be dropped without a FIN or a reset.
//!
//! The test runs itself again as root of a user and network namespace; there the loopback carries
//! nothing but its own packets, and iptables decides which of them arrive.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::skip::say_skipped;

const INSIDE: &str = "PEERBEAT_FAULTS_NETWORK";

/// The place in which a test runs.
#[derive(Debug)]
pub(crate) enum Place {
    /// In a network of its own.
    Inside,
    /// It has just run there, and this is the process that sent it.
    Done,
    /// The machine does not allow that: why.
    Unable(String),
}

/// Runs the named test again inside a network of its own and returns `false`; there it returns
/// `true`. If the machine does not allow that, the test is skipped and reported as skipped.
pub(crate) fn own_network(name: &str) -> bool {
    match enter(name) {
        Place::Inside => true,
        Place::Done => false,
        Place::Unable(why) => {
            say_skipped(name, &format!("no network of our own with iptables in it: {why}"));
            false
        }
    }
}

/// Runs the named test again inside a network of its own, if that is possible. What it prints is
/// shown line by line, so that a long one can be watched.
pub(crate) fn enter(name: &str) -> Place {
    if std::env::var_os(INSIDE).is_some_and(|value| value == name) {
        return Place::Inside;
    }
    // An ordinary user's PATH lacks the folders that iptables is in.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let probe = "ip link set lo up && iptables -A INPUT -p tcp --dport 9 -j DROP";
    match Command::new("unshare").args(["-Urn", "sh", "-c", probe]).env("PATH", &path).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            return Place::Unable(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        Err(e) => return Place::Unable(e.to_string()),
    }
    let run = "ip link set lo up && exec \"$0\" --exact \"$1\" --test-threads=1 --nocapture \
               --include-ignored 2>&1";
    let mut child = Command::new("unshare")
        .args(["-Urn", "sh", "-c", run])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(INSIDE, name)
        .env("PATH", path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        println!("{line}");
        text += &line;
        text.push('\n');
    }
    assert!(child.wait().unwrap().success(), "{name} in a network of its own:\n{text}");
    assert!(text.contains("1 passed"), "{name} in a network of its own ran nothing:\n{text}");
    Place::Done
}

/// Drops all packets to this port from now on.
pub(crate) fn drop_to(port: u16) {
    iptables(&["-A", "INPUT", "-p", "tcp", "--dport", &port.to_string(), "-j", "DROP"]);
}

/// Lets packets to this port arrive again.
pub(crate) fn carry_to(port: u16) {
    iptables(&["-D", "INPUT", "-p", "tcp", "--dport", &port.to_string(), "-j", "DROP"]);
}

/// Calls `iptables`.
pub(crate) fn iptables(arguments: &[&str]) {
    let done = Command::new("iptables").args(["-w"]).args(arguments).status().unwrap();
    assert!(done.success(), "iptables {arguments:?}");
}

/// Drops all packets to these ports from now on: one call for all of them, because a process for
/// each takes longer than some limits.
pub(crate) fn drop_to_all(ports: &[u16]) {
    firewall(ports, "DROP");
}

/// Drops all packets to and from this port from now on.
pub(crate) fn drop_of(port: u16) {
    drop_to(port);
    iptables(&["-A", "INPUT", "-p", "tcp", "--sport", &port.to_string(), "-j", "DROP"]);
}

/// Lets all packets arrive again.
pub(crate) fn carry_all() {
    iptables(&["-F", "INPUT"]);
}

/// Does this with all packets to these ports from now on.
pub(crate) fn firewall(ports: &[u16], target: &str) {
    let rule = |port: &u16| format!("-A INPUT -p tcp --dport {port} -j {target}\n");
    let text = format!("*filter\n{}COMMIT\n", ports.iter().map(rule).collect::<String>());
    let mut child = Command::new("iptables-restore")
        .args(["-w", "--noflush"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "iptables-restore of {text}");
}

/// Calls `ip`.
pub(crate) fn ip(arguments: &[&str]) {
    let done = Command::new("ip").args(arguments).status().unwrap();
    assert!(done.success(), "ip {arguments:?}");
}
