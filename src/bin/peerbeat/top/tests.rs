//! The pictures in full, and what the keys do.
//!
//! Each is made of a journal that is written here, as of the time of its last record.

use super::*;

/// A journal of four peers, each in another state.
fn journal() -> String {
    let lines = [
        r#""at":"2026-11-28T13:42:00.000000Z","event":"up","peer":"feed02","addr":"10.2.0.2:25000","direction":"dialled","remote_name":"feed02-a","remote_label":"""#,
        r#""at":"2026-11-28T13:42:00.100000Z","event":"up","peer":"feed07","addr":"10.2.0.7:25000","direction":"dialled","remote_name":"feed07-a","remote_label":"""#,
        r#""at":"2026-11-28T13:42:00.200000Z","event":"up","peer":"feed12","addr":"10.2.0.12:25000","direction":"accepted","remote_name":"feed12-a","remote_label":"""#,
        r#""at":"2026-11-28T13:42:01.000000Z","event":"dial-failed","peer":"feed31","addr":"10.2.0.31:25000","reason":"connect","detail":"Connection refused"#,
    ];
    let stats = |at: &str, peer: &str, up: bool, silent: &str, messages: u64| {
        format!(
            r#""at":"2026-11-28T13:42:{at}Z","event":"stats","peer":"{peer}","connected":{up},"up_ms":60000,"silent_ms":{silent},"heartbeat_time_ms":1000,"slack_ms":500,"limit_ms":1500,"configured_ms":15000,"received_ms":1000,"source":"peer","messages_received":{messages},"bytes_received":{}0,"messages_sent":7,"bytes_sent":700,"queued_bytes":64000,"connects":1,"dial_failures":3,"round_trip_last_ms":0.3,"round_trip_min_ms":0.2,"peer_lateness":{{"count":9,"p50_ms":0.1,"p99_ms":2.1,"p999_ms":3,"max_ms":4}},"advice":["heartbeat-time and slack fit what was measured"]"#,
            messages
        )
    };
    let mut text: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    text[3].push('"');
    text.push(stats("38.000000", "feed02", true, "210", 0));
    text.push(
        r#""at":"2026-11-28T13:42:38.000000Z","event":"late","peer":"feed12","silent_ms":1250"#
            .to_owned(),
    );
    text.push(r#""at":"2026-11-28T13:42:38.500000Z","event":"down","peer":"feed07","reason":"silent","detail":"no byte arrived within the limit","silent_ms":1500.1,"limit_ms":1500"#.to_owned());
    text.push(stats("39.000000", "feed02", true, "210", 1200));
    text.push(stats("39.000000", "feed12", true, "1310", 5));
    text.iter().map(|line| format!("{{\"v\":1,\"node\":\"hub\",{line}}}\n")).collect()
}

fn model() -> Model {
    let mut model = Model::default();
    journal().lines().for_each(|line| model.handle_line(line));
    assert_eq!(model.skipped, 0);
    model
}

fn drawn(model: &Model, view: &mut View, columns: usize, lines: usize) -> String {
    let lines = frame::frame(model, view, Size { columns, lines }, model.last);
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_worst_come_first_and_80_columns_do() {
    let expected = "\
hub  2026-11-28 13:42:39 UTC  39 s  4 peers: 1 up  1 late  1 down  1 never up
in 1.2k/s 12kB/s  out 0/s 0B/s  losses 1: silent 1

  PEER        STATE    SILENT / LIMIT  BEAT   RTT  LATE QUEUE LOST LAST LOSS
! feed07      down 0s                                            1 silent
~ feed12      late     1.31 ###- 1.50 1.00s 300us 2.1ms   64k    0
? feed31      never up connect: Connection refused               0
  feed02      up 39s   0.21 ---- 1.50 1.00s 300us 2.1ms   64k    0


  13:42:00.000  feed02        up: dialled 10.2.0.2:25000
  13:42:00.100  feed07        up: dialled 10.2.0.7:25000
  13:42:00.200  feed12        up: accepted 10.2.0.12:25000
  13:42:01.000  feed31        dial failed: connect: Connection refused
  13:42:38.000  feed12        late: silent for 1.2500 s
  13:42:38.500  feed07        DOWN silent: 1.5001 s, limit 1.5000 s
  ! down ~ late ? never
";
    assert_eq!(drawn(&model(), &mut View::default(), 80, 24), expected);
}

#[test]
fn every_size_is_filled_and_none_is_passed() {
    let mut model = model();
    for index in 0..1000 {
        let name = format!("peer{index:04}\u{1b}[2J{}", "x".repeat(index % 40));
        model.add_peer(&name);
    }
    for (columns, lines) in [(80, 24), (132, 43), (132, 24), (40, 10), (10, 3), (1, 1), (300, 200)]
    {
        for one_peer in [None, Some("feed12".to_owned())] {
            let mut view = View { chosen: 990, has_keys: true, ..View::default() };
            let size = Size { columns, lines };
            let drawn = match &one_peer {
                None => frame::frame(&model, &mut view, size, model.last),
                Some(name) => {
                    let peer = &model.peers[name];
                    detail::frame(&model, name, peer, size, model.last, (false, true))
                }
            };
            assert!(drawn.len() <= (lines - 1).max(2), "{columns}x{lines}: {drawn:#?}");
            for line in &drawn {
                assert!(line.chars().count() <= columns, "{columns}: {line}");
                assert!(!line.contains('\u{1b}'), "{line:?}");
            }
        }
    }
    let wide = drawn(&model, &mut View::default(), 132, 24);
    assert!(wide.contains("10.2.0.12:25000"), "{wide}");
    assert!(wide.contains("IN/S ADDRESS"), "{wide}");
}

#[test]
fn one_peer_is_shown_with_reasons_and_silences() {
    let model = model();
    let peer = &model.peers["feed12"];
    let size = Size { columns: 80, lines: 24 };
    let lines = detail::frame(&model, "feed12", peer, size, model.last, (false, true));
    let text = lines.join("\n");
    for words in [
        "feed12  late",
        "address         10.2.0.12:25000, accepted, calls itself \"feed12-a\"",
        "silent          1.31s of 1.5 s, then it is down",
        "heartbeat-time  1 s, the peer asked for it + slack 0.5 s (configured 15 s, the",
        "silences        #",
        "round trip      300us last, 200us least",
        "ends            none; failed dials 3",
        "advice          heartbeat-time and slack fit what was measured",
        "13:42:38.000  late: silent for 1.2500 s",
    ] {
        assert!(text.contains(words), "no \"{words}\" in\n{text}");
    }
}

#[test]
fn keys_choose_sort_and_find() {
    let model = model();
    let mut view = View { has_keys: true, ..View::default() };
    let names = |view: &View| -> Vec<String> {
        let listed = frame::listed(&model, view, model.last);
        listed.into_iter().map(|(name, _)| name.clone()).collect()
    };
    let press = |view: &mut View, key| {
        let names = names(view);
        view.press(key, 10, &names)
    };
    assert_eq!(names(&view), ["feed07", "feed12", "feed31", "feed02"]);
    assert!(press(&mut view, Key::Down) && press(&mut view, Key::Enter));
    assert_eq!(view.one_peer.as_deref(), Some("feed12"));
    press(&mut view, Key::Down);
    assert_eq!(view.one_peer.as_deref(), Some("feed31"));
    press(&mut view, Key::Escape);
    assert_eq!(view.one_peer, None);
    press(&mut view, Key::Char('s'));
    assert_eq!(names(&view), ["feed02", "feed07", "feed12", "feed31"]);
    press(&mut view, Key::Char('d'));
    assert_eq!(names(&view), ["feed07", "feed31"]);
    press(&mut view, Key::Char('d'));
    for key in [Key::Char('/'), Key::Char('q'), Key::Erase, Key::Char('0'), Key::Char('2')] {
        assert!(press(&mut view, key));
    }
    assert!(drawn(&model, &mut view, 80, 24).contains("find: 02_"));
    press(&mut view, Key::Enter);
    assert_eq!(names(&view), ["feed02"]);
    assert!(!press(&mut view, Key::Char('q')));
}

#[test]
fn a_state_is_told_by_a_letter_and_never_by_a_colour_alone() {
    let model = model();
    let mut coloured = View { colours: true, ..View::default() };
    let coloured = drawn(&model, &mut coloured, 80, 24);
    assert!(coloured.contains("\u{1b}[31m! feed07") && coloured.contains("\u{1b}[33m~ feed12"));
    let plain = drawn(&model, &mut View::default(), 80, 24);
    assert!(!plain.contains('\u{1b}'));
}

#[test]
fn a_picture_of_nothing_says_so() {
    let mut view = View { has_keys: true, ..View::default() };
    let text = drawn(&Model::default(), &mut view, 80, 24);
    assert!(text.contains("0 peers: 0 up") && text.contains("no peers so far"), "{text}");
    let head = frame::head(&Model::default(), Duration::ZERO).swap_remove(0);
    assert!(head.contains("no event yet"), "{head}");
    let mut down_only = View { down_only: true, find: "x".to_owned(), ..View::default() };
    drawn(&model(), &mut down_only, 80, 24);
}

#[test]
fn lines_that_are_not_records_are_counted() {
    let mut model = model();
    model.handle_line("what?");
    model.handle_line("");
    assert!(drawn(&model, &mut View::default(), 80, 24).contains("1 line not read"));
}
