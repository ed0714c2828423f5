//! Four processes of the feed program: a hub, its backup, and two adapters that fail over.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::tools::{ROOT, build, cc, must, scratch};

/// A process that runs, and what it prints.
struct Feed {
    name: String,
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Feed {
    fn start(program: &Path, name: &str, config: &Path, period: &str) -> Self {
        let mut command = Command::new(program);
        command.arg(config).arg(period).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (give, lines) = channel();
        thread::spawn(move || {
            for line in out.lines() {
                let Ok(line) = line else { return };
                if give.send(line).is_err() {
                    return;
                }
            }
        });
        Self { name: name.to_owned(), child, lines, seen: Vec::new() }
    }

    /// Waits for a line that holds these words, and returns it.
    #[track_caller]
    fn says(&mut self, words: &[&str]) -> String {
        let began = Instant::now();
        loop {
            let Ok(line) = self.lines.recv_timeout(LIMIT.saturating_sub(began.elapsed())) else {
                panic!("{} did not say {words:?} but {:#?}", self.name, self.seen);
            };
            self.seen.push(line.clone());
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }

    fn signal(&self, name: &str) {
        must(Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()));
    }

    #[track_caller]
    fn ends_well(mut self) {
        self.signal("TERM");
        self.says(&["stopped"]);
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{}: {status}, {:#?}", self.name, self.seen);
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn config(name: &str, text: &str) -> PathBuf {
    let path = scratch(&format!("feed-{name}.conf"));
    fs::write(&path, text).unwrap();
    path
}

fn hub(port: &str) -> String {
    let peer = |name| format!("add-peer\nremote-name {name}\n{TIMES}end-peer\n");
    let global = format!("datasrc-name hub\ndatasrc-interface 127.0.0.1\ndatasrc-port {port}\n");
    global + &peer("a1") + &peer("a2")
}

fn adapter(name: &str, ports: &str, times: &str) -> String {
    format!(
        "datasrc-name {name}\nadd-peer\nremote-name hub\naddr 127.0.0.1 127.0.0.1\nport {ports}\n\
         {times}connect-timeout 10\nreconnect-time-min 0.1\nreconnect-time-max 0.5\nend-peer\n"
    )
}

// lesson 73
#[test]
fn four_processes_fail_over_reload_and_end_in_order() {
    let Some(cc) = cc() else { return };
    let program = build(&cc, &Path::new(ROOT).join("tests/c/feed.c"), &["-std=gnu11"]);
    let start = |name, path: &Path, period| Feed::start(&program, name, path, period);
    let port_of = |line: String| line.rsplit_once(':').unwrap().1.to_owned();

    let mut first = start("hub", &config("hub", &hub("auto")), "0");
    let first_port = port_of(first.says(&["listening on"]));
    let mut backup = start("backup", &config("backup", &hub("auto")), "0");
    let backup_port = port_of(backup.says(&["listening on"]));
    let ports = format!("{first_port} {backup_port}");
    let paths = ["a1", "a2"].map(|name| config(name, &adapter(name, &ports, TIMES)));
    let mut one = start("a1", &paths[0], "20");
    let mut two = start("a2", &paths[1], "20");
    for adapter in [&mut one, &mut two] {
        adapter.says(&["hub: up: dialled", &first_port]);
    }
    // Whichever adapter's comes first.
    let mut ticks = [(); 2].map(|()| first.says(&["first tick: EURUSD"]));
    ticks.sort();
    assert!(ticks[0].contains("a1: first") && ticks[1].contains("a2: first"), "{ticks:?}");

    // The hub is killed: both find the backup.
    first.signal("KILL");
    for adapter in [&mut one, &mut two] {
        adapter.says(&["hub: down: "]);
        adapter.says(&["hub: up: dialled", &backup_port]);
    }
    backup.says(&["first tick"]);
    backup.says(&["first tick"]);

    // The backup is stopped: its silence is noticed, and a hub that is there again is found.
    let mut again = start("hub again", &config("again", &hub(&first_port)), "0");
    again.says(&["listening on"]);
    backup.signal("STOP");
    for adapter in [&mut one, &mut two] {
        adapter.says(&["hub: down: silent"]);
        adapter.says(&["hub: up: dialled", &first_port]);
    }
    again.says(&["first tick"]);
    again.says(&["first tick"]);
    backup.signal("CONT");

    // A reload with errors, one that is refused, and one that acts on the living link.
    fs::write(&paths[0], "add-peer\nheartbeat-time never\nend-peer\n").unwrap();
    one.signal("HUP");
    one.says(&["heartbeat-time"]);
    fs::write(&paths[0], "datasrc-port 1\n").unwrap();
    one.signal("HUP");
    one.says(&["reload: ", "datasrc-port"]);
    fs::write(&paths[0], adapter("a1", &ports, TIMES_REDUCED)).unwrap();
    one.signal("HUP");
    one.says(&["reloaded"]);
    one.says(&["hub", "heartbeat-time"]);
    one.signal("USR1");
    let totals = one.says(&["hub: totals: "]);
    assert!(!totals.contains(" 0 silent") && !totals.contains(" 0 ticks out"), "{totals}");

    for feed in [one, two, again, backup] {
        feed.ends_well();
    }
}

const TIMES: &str = "heartbeat-time 1\nheartbeat-slack-time 2\n";
const TIMES_REDUCED: &str = "heartbeat-time 0.8\nheartbeat-slack-time 2\n";
/// Long, because machines are busy; each wait ends with what it waits for.
const LIMIT: Duration = Duration::from_secs(60);
