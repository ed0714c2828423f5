//! `cable`: words and scripts that break a line between two programs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::accept::accept;
use crate::basics::listener;
use crate::harness::{Folder, PATIENCE, exit_code};
use crate::json::Value;

#[test]
fn words_on_stdin_are_obeyed() {
    let (listener, port) = listener();
    let folder = Folder::new();
    let mut command = folder.command(&format!("cable 0 127.0.0.1:{port} --json --until-eof"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut cable = command.spawn().unwrap();
    let mut stdin = cable.stdin.take().unwrap();
    let mut stdout = BufReader::new(cable.stdout.take().unwrap()).lines();
    let mut next = |event: &str| {
        let record = Value::parse(&stdout.next().unwrap().unwrap());
        assert_eq!((record.number("v"), record.str("event")), (1.0, event), "{record:?}");
        record
    };
    let addr = next("listening").str("addr").to_owned();
    let near = TcpStream::connect(&addr).unwrap();
    let mut far = accept(&listener);
    assert_eq!(next("opened").number("connection"), 1.0);
    far.set_read_timeout(Some(PATIENCE)).unwrap();
    (&near).write_all(b"tick").unwrap();
    far.read_exact(&mut [0; 4]).unwrap();

    // What has passed is counted once it has.
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        writeln!(stdin, "status").unwrap();
        if next("status").number("passed_out_bytes") == 4.0 {
            break;
        }
        assert!(std::time::Instant::now() < until, "four bytes are counted");
    }
    writeln!(stdin, "delay out 1ms\n\npull\npul\nstatus").unwrap();
    assert_eq!(next("done").str("words"), "delay out 1ms");
    assert_eq!(next("done").str("words"), "pull");
    let status = next("status");
    assert_eq!((status.number("open"), status.number("passed_out_bytes")), (1.0, 4.0));
    assert_eq!(status.get("out").get("pulled"), &Value::Bool(true));
    assert_eq!(status.get("out").number("delay_ms"), 1.0);
    assert_eq!(status.get("in").number("delay_ms"), 0.0);
    (&near).write_all(b"tock").unwrap();
    // What vanishes is counted when it does.
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        writeln!(stdin, "status").unwrap();
        if next("status").number("vanished_bytes") == 4.0 {
            break;
        }
        assert!(std::time::Instant::now() < until);
    }
    writeln!(stdin, "plug").unwrap();
    assert_eq!(next("done").str("words"), "plug");
    assert_eq!(far.read(&mut [0]).unwrap(), 0);
    drop(stdin);
    assert_eq!(exit_code(&mut cable), Some(0));
    let mut stderr = String::new();
    cable.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(stderr, "peerbeat cable: unknown word \"pul\": did you mean pull?\n");
}

#[test]
fn a_script_runs_by_itself() {
    let (_listener, port) = listener();
    let folder = Folder::new();
    let script = "0.2s plug;0s pull;every 300ms reset;0.9s quit".replace(' ', "\t");
    let line = format!("cable 0 127.0.0.1:{port} --json --script {script}");
    let mut command = folder.command("cable");
    command.args(line.split(' ').skip(1).map(|word| word.replace('\t', " ")));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let records: Vec<Value> = text.lines().map(Value::parse).collect();
    let done = records.iter().filter(|record| record.str("event") == "done");
    let done: Vec<&str> = done.map(|record| record.str("words")).collect();
    assert_eq!(done[..3], ["pull", "plug", "reset"], "{text}");
}

#[test]
fn what_it_says_to_a_person_fits_a_terminal() {
    let (_listener, port) = listener();
    let folder = Folder::new();
    let mut command = folder.command("cable");
    command.args(["0", &format!("127.0.0.1:{port}"), "--script", "help; rate 20k; status; quit"]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("listening on 127.0.0.1:"), "{text}");
    assert!(text.contains("\nout: rate 20000 bytes a second; 0 bytes\n"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn an_address_that_is_taken_is_a_failure() {
    let (_listener, port) = listener();
    let ended = Folder::new().peerbeat(&format!("cable {port} 127.0.0.1:1"));
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""));
    assert!(ended.stderr.starts_with(&format!("peerbeat cable: 127.0.0.1:{port}: ")), "{ended:?}");
}
