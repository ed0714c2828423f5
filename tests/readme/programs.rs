//! README's two programs in Rust, built as described with `cargo add --path`, and run.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::harness::{PATIENCE, exit_code};
use crate::{blocks, readme, root};

/// A process that is killed with the test, and its lines.
struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = lines(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line in time")
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("sh").args(["-c", "kill -$0 $1", name, &pid]).status().unwrap();
        assert!(status.success(), "kill -{name} {pid}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn lines(stdout: ChildStdout) -> Receiver<String> {
    let (to, lines) = channel();
    thread::spawn(move || {
        BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| to.send(line))
    });
    lines
}

fn cargo(folder: &Path, line: &str, path: Option<PathBuf>) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder).args(line.split(' ')).args(path).env("CARGO_PROFILE_DEV_DEBUG", "0");
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Makes a package of the two programs, which differ from README in the port alone: the system
/// chooses one, and the feed is given it.
fn package() -> PathBuf {
    let readme = readme();
    let [hub, feed] = blocks(&readme, "rust,no_run")[..] else { panic!("two programs in Rust") };
    let hub = hub.replace("datasrc-port  25000", "datasrc-port  auto");
    let feed = feed.replace("\"localhost:25000\"", "&*std::env::var(\"HUB\")?");
    assert!(hub.contains("auto") && feed.contains("HUB"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme");
    fs::create_dir_all(folder.join("src/bin")).unwrap();
    let manifest = "[package]\nname = \"first\"\nedition = \"2024\"\n\n[workspace]\n";
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("src/bin/hub.rs"), hub).unwrap();
    fs::write(folder.join("src/bin/feed.rs"), feed).unwrap();
    assert!(readme.contains("\ncargo add --path ../peerbeat\n"));
    cargo(&folder, "add --quiet --offline --path", Some(root()));
    cargo(&folder, "build --quiet --offline --target-dir target", None);
    folder.join("target/debug")
}

/// A line without what differs from run to run: addresses, and times that were measured.
fn plain(line: &str) -> String {
    let is_measured = |word: &str| {
        let fraction = word.split_once('.').map(|(_, fraction)| fraction);
        fraction.is_some_and(|fraction| fraction.len() == 4 && fraction.parse::<u32>().is_ok())
    };
    let is_addr = |word: &str| {
        let port = word.trim_end_matches(',').rsplit_once(':').map(|(_, port)| port);
        port.is_some_and(|port| port.parse::<u16>().is_ok())
    };
    let words = line.split(' ').map(|word| match word {
        word if is_measured(word) => "N",
        word if is_addr(word) => "ADDR",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What the hub printed until the suspended feed was down. Both must end well after that.
fn play(programs: &Path) -> Vec<String> {
    let mut hub = Program::start(&mut Command::new(programs.join("hub")));
    let mut printed = vec![hub.line(), hub.line()];
    let listening = printed.iter().find_map(|line| line.strip_prefix("-: listening on "));
    let port = listening.unwrap().rsplit(':').next().unwrap();
    let addr = format!("localhost:{port}");
    let mut feed = Program::start(Command::new(programs.join("feed")).env("HUB", addr));
    while !printed.last().unwrap().ends_with("5 bytes") {
        printed.push(hub.line());
    }
    feed.signal("STOP");
    while !printed.last().unwrap().contains(": down:") {
        printed.push(hub.line());
    }
    feed.signal("CONT");
    let last = feed.line();
    assert!(last.starts_with("down: "), "{last}");
    assert_eq!(exit_code(&mut feed.child), Some(0));
    hub.child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert_eq!(exit_code(&mut hub.child), Some(0));
    printed
}

#[test]
fn the_first_programs_print_what_it_shows() {
    let readme = readme();
    let shown = blocks(&readme, "text").into_iter().find(|block| block.starts_with("press Enter"));
    let mut shown: Vec<_> = shown.unwrap().lines().map(plain).collect();
    let programs = package();
    // A machine that holds the hub up may add that it was stalled, or pass the warning over.
    let mut printed = Vec::new();
    for _ in 0..3 {
        printed = play(&programs).iter().map(|line| plain(line)).collect();
        // With `bindv6only` it listens twice, once for each kind of address.
        let mut listens = false;
        printed.retain(|line| {
            !line.contains(" listening on ") || !std::mem::replace(&mut listens, true)
        });
        // The node's thread and the program's own race for the first line.
        printed[..2].sort();
        shown[..2].sort();
        if printed == shown {
            return;
        }
    }
    assert_eq!(printed, shown);
}
