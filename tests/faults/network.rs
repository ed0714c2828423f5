//! A network of our own, in which packets can be dropped without a FIN or a reset.
//!
//! The test runs itself again as root of a user and network namespace; there the loopback carries
//! nothing but its own packets, and iptables decides which of them arrive.

use std::process::Command;

const INSIDE: &str = "PEERBEAT_FAULTS_NETWORK";

/// Runs the named test again inside a network of its own and says `false`; there it says `true`.
/// Where the machine does not allow that, it says so loudly and skips the test.
pub(crate) fn own_network(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some_and(|value| value == name) {
        return true;
    }
    let probe = "ip link set lo up && iptables -A INPUT -p tcp --dport 9 -j DROP";
    let able = Command::new("unshare").args(["-Urn", "sh", "-c", probe]).output();
    match able {
        Ok(output) if output.status.success() => {}
        other => {
            let why = match other {
                Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
                Err(e) => e.to_string(),
            };
            eprintln!("SKIPPED: {name}: no network of our own with iptables in it: {why}");
            return false;
        }
    }
    let run = "ip link set lo up && exec \"$0\" --exact \"$1\" --test-threads=1 --nocapture \
               --include-ignored";
    let exe = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(["-Urn", "sh", "-c", run])
        .arg(exe)
        .arg(name)
        .env(INSIDE, name)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} in a network of its own:\n{text}");
    assert!(text.contains("1 passed"), "{name} in a network of its own ran nothing:\n{text}");
    print!("{text}");
    false
}

/// Drops all packets to this port from now on.
pub(crate) fn drop_to(port: u16) {
    iptables(&["-A", "INPUT", "-p", "tcp", "--dport", &port.to_string(), "-j", "DROP"]);
}

/// Lets packets to this port arrive again.
pub(crate) fn carry_to(port: u16) {
    iptables(&["-D", "INPUT", "-p", "tcp", "--dport", &port.to_string(), "-j", "DROP"]);
}

fn iptables(arguments: &[&str]) {
    let done = Command::new("iptables").args(["-w"]).args(arguments).status().unwrap();
    assert!(done.success(), "iptables {arguments:?}");
}
