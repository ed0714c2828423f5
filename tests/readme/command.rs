//! README's configuration files, and the commands that it shows.

use std::collections::BTreeSet;
use std::path::Path;

use crate::harness::{Ended, Folder};
use crate::{blocks, quoted, read, readme, section};

/// The two files, each in a block that begins with its name.
fn files(readme: &str) -> [String; 2] {
    ["# hub.conf\n", "# feed.conf\n"].map(|head| {
        let blocks = blocks(readme, "text");
        let file = blocks.into_iter().find(|block| block.starts_with(head));
        file.unwrap_or_else(|| panic!("no {head}")).to_owned()
    })
}

fn folder(port: Option<&str>) -> Folder {
    let [hub, feed] = files(&readme());
    let with = |text: &str| port.map_or(text.to_owned(), |port| text.replace("25000", port));
    Folder::with(&[("hub.conf", &with(&hub)), ("feed.conf", &with(&feed))])
}

#[test]
fn check_finds_nothing_wrong_and_prints_the_links_shown() {
    let readme = readme();
    let text = section(&readme, "Two configuration files");
    let Ended { code, stdout, stderr } = folder(None).peerbeat("check hub.conf feed.conf");
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let shown = blocks(text, "text").into_iter().find(|block| block.contains("in force"));
    let printed: String = stdout.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    assert!(printed.contains(shown.expect("what is in force")), "{printed}");
    assert!(printed.ends_with("\nno warnings\n"), "{printed}");
}

#[test]
fn the_files_make_the_link_that_check_announces() {
    let hub = folder(Some("auto"));
    let mut running = hub.start("run hub.conf --json");
    let port = running.port().to_string();
    let other = folder(Some(&port));
    let mut feed = other.start("run feed.conf --send-every 0.5 --json");
    assert_eq!(running.wait_for("up").str("peer"), "feed");
    assert_eq!(feed.wait_for("up").str("peer"), "hub");
    // Only the hub has a heartbeat-time, and the feed adopts it.
    let adopted = feed.wait_for("heartbeat-time");
    assert_eq!(adopted.number("to_ms"), 1000.0, "{adopted:?}");
}

#[test]
fn every_command_and_option_that_it_shows_exists() {
    let readme = readme();
    let folder = Folder::new();
    let help = |command: &str| folder.peerbeat(&format!("help {command}")).stdout;
    let all = folder.peerbeat("--help").stdout;
    let is_command = |word: &str| all.contains(&format!("\n  {word} "));
    let (mut commands, mut options) = (BTreeSet::new(), 0);
    let code = blocks(&readme, "sh").join("\n");
    let lines = code.lines().map(|line| line.split('#').next().unwrap());
    let prose = readme.split("\n```").step_by(2).collect::<String>();
    for line in lines.chain(quoted(&prose)) {
        let line = line.replace("cargo run --release -- ", "peerbeat ");
        let named = line.strip_prefix("peerbeat ");
        let line = named.unwrap_or(&line);
        let command = line.split(' ').next().unwrap();
        assert!(named.is_none() || is_command(command), "{line}: {all}");
        if !is_command(command) {
            continue;
        }
        let help = help(command);
        for option in line.split(' ').filter(|word| word.starts_with("--")) {
            assert!(help.contains(&format!("\n  {option} ")), "{line}: {help}");
            options += 1;
        }
        commands.insert(command.to_owned());
    }
    assert!(commands.len() >= 6 && options >= 5, "{commands:?}, {options} options");
}

#[test]
fn the_page_for_operators_lists_every_command() {
    assert!(readme().contains("](src/operating.md) lists all items and commands"));
    let page = read(Path::new("src/operating.md"));
    let help = Folder::new().peerbeat("--help").stdout;
    let (_, list) = help.split_once("COMMAND [OPTIONS]\n\n").unwrap();
    let list = list.split("\n\n").next().unwrap();
    let commands: Vec<&str> = list.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
    assert!(commands.len() >= 8, "{help}");
    for command in commands {
        let row = format!("| `peerbeat {command}");
        assert!(page.contains(&row), "no {row}");
    }
}

#[test]
fn the_page_for_operators_lists_every_item() {
    let page = read(Path::new("src/operating.md"));
    let source = read(Path::new("src/config/items.rs"));
    let list = |name: &str| {
        let (_, rest) = source.split_once(&format!("\nconst {name}: [")).expect(name);
        let items = rest.split("];").next().unwrap().split('"').skip(1).step_by(2);
        items.map(str::to_owned).collect::<Vec<_>>()
    };
    let items = [list("GLOBAL"), list("PEER")].concat();
    assert!(items.len() > 30 && items.iter().any(|item| item == "remote-name"), "{items:?}");
    for item in items {
        assert!(page.contains(&format!("`{item}`")), "{item}");
    }
}

#[test]
fn the_screen_of_top_has_the_columns_shown() {
    let ended = folder(Some("auto")).peerbeat("top hub.conf --once --wait 0");
    let head = ended.stdout.lines().find(|line| line.contains("SILENT / LIMIT"));
    let head = head.unwrap_or_else(|| panic!("{ended:?}"));
    let readme = readme();
    let shown = section(&readme, "All peers on one screen");
    assert!(shown.lines().any(|line| line.trim_end() == head.trim_end()), "{head}");
    // Marks, names and states of a screen are lines of 80 columns at most.
    assert!(blocks(shown, "text")[0].lines().all(|line| line.len() <= 80));
}
