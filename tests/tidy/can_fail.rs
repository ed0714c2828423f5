//! Every rule detects what breaks it, and ignores what only looks like it.

use super::source::Source;
use super::{circles, lessons, paths, rules};

type Rule = fn(&[Source]) -> Vec<String>;

#[track_caller]
fn breaks(rule: Rule, path: &str, text: &str) {
    let complaints = rule(&[Source::new(path, text)]);
    assert_eq!(complaints.len(), 1, "{complaints:?} for {text:?}");
    assert!(complaints[0].starts_with(&format!("{path}:")), "{complaints:?}");
}

#[track_caller]
fn passes(rule: Rule, path: &str, text: &str) {
    assert_eq!(rule(&[Source::new(path, text)]), [""; 0], "{text:?}");
}

#[test]
fn an_import_from_the_right_is_seen_however_it_is_written() {
    let wrong = [
        ("src/protocol/frame.rs", "use crate::liveness::Time;"),
        ("src/protocol/mod.rs", "use crate::{liveness};"),
        ("src/liveness/mod.rs", "use crate::{protocol::Frame, link::{self, Link}};"),
        ("src/liveness/pulse.rs", "fn f() { crate::node::Node::start() }"),
        ("src/link/mod.rs", "use super::node;"),
        ("src/link/reader.rs", "use super::super::node::Node;"),
        ("src/link/reader/deep.rs", "use super::super::super::ffi;"),
        ("src/config/mod.rs", "pub use\n    crate :: connection::LinkEvent;"),
        ("src/config/mod.rs", "use crate::link::LinkOptions;"),
        ("src/sim/mod.rs", "use crate::journal;"),
        ("src/node/mod.rs", "use crate::ffi;"),
        ("src/bin/peerbeat/main.rs", "use peerbeat::ffi::Handle;"),
        ("src/attic/mod.rs", ""),
    ];
    for (path, text) in wrong {
        let complaints = rules::imports(&[Source::new(path, text)]);
        assert!(!complaints.is_empty(), "{path}: {text}");
    }
    let right = [
        ("src/protocol/frame.rs", "use super::ProtocolError; // not crate::link"),
        ("src/liveness/mod.rs", "use crate::protocol::{Frame}; const S: &str = \"crate::node\";"),
        (
            "src/link/reader.rs",
            "use super::sender; use crate::link::Link; use crate::connection::X;",
        ),
        ("src/node/mod.rs", "use crate::{config::Config, link, liveness, protocol};"),
        ("src/bin/peerbeat/demo/mod.rs", "use crate::node; use peerbeat::node::Node;"),
        ("src/lib.rs", "pub mod node;"),
    ];
    for (path, text) in right {
        if !path.starts_with("src/bin/") {
            passes(rules::imports, path, text);
        }
    }
}

#[test]
fn a_circle_of_files_is_seen() {
    let circle = |files: &[(&str, &str)]| {
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        circles::circles(&sources)
    };
    let here = ("src/ffi/here.rs", "use super::there::{A, B};");
    let wrong = [
        ("src/ffi/there.rs", "fn f() { super::here::g() }"),
        ("src/ffi/there.rs", "use crate::ffi::{guard::guard, here};"),
    ];
    for there in wrong {
        assert_eq!(circle(&[here, there]).len(), 2, "{there:?}");
    }
    let deep =
        [here, ("src/ffi/there.rs", "use super::far::C;"), ("src/ffi/far.rs", "use super::here;")];
    assert_eq!(circle(&deep).len(), 3);
    let right = [
        here,
        ("src/ffi/there.rs", "use super::far::C; use super::there::D;"),
        ("src/ffi/far.rs", ""),
    ];
    assert_eq!(circle(&right), [""; 0]);
    // What `mod.rs` re-exports is no file.
    assert_eq!(
        circle(&[("src/ffi/here.rs", "use super::A;"), ("src/ffi/mod.rs", "pub use here::*;")]),
        [""; 0]
    );
}

#[test]
fn a_clock_below_link_is_seen() {
    for text in [
        "fn f() { let t = Instant::now(); }",
        "fn f() { std::time::Instant::now() }",
        "use std::time::SystemTime;",
        "use std::{time::Duration, thread};",
        "use std::thread::JoinHandle;",
        "use std::net::TcpStream;",
        "use std::{net::{IpAddr, UdpSocket}};",
        "fn f() { thread::sleep(d) }",
    ] {
        breaks(rules::clocks, "src/liveness/pulse.rs", text);
        passes(rules::clocks, "src/link/reader.rs", text);
    }
    passes(rules::clocks, "src/liveness/time.rs", "use std::time::Instant; // Instant::now()");
    passes(rules::clocks, "src/config/value.rs", "use std::net::{IpAddr, Ipv6Addr, SocketAddr};");
}

#[test]
fn the_time_of_day_is_seen_outside_the_command() {
    breaks(rules::time_of_day, "src/node/mod.rs", "use std::time::{Duration, SystemTime};");
    breaks(rules::time_of_day, "src/link/clock.rs", "fn f() { std::time::UNIX_EPOCH; }");
    passes(rules::time_of_day, "src/bin/peerbeat/json.rs", "use std::time::SystemTime;");
}

#[test]
fn unsafe_outside_ffi_is_seen() {
    breaks(rules::no_unsafe, "src/link/stream.rs", "fn f() { unsafe { g() } }");
    passes(rules::no_unsafe, "src/ffi/mod.rs", "fn f() { unsafe { g() } }");
    passes(rules::no_unsafe, "src/lib.rs", "#[allow(unsafe_code)] // unsafe\nmod ffi;");
}

#[test]
fn a_vectored_write_is_seen() {
    breaks(rules::no_writev, "src/link/stream.rs", "fn f() { stream.write_vectored(&parts) }");
    passes(rules::no_writev, "src/link/stream.rs", "/// no `write_vectored` here");
}

#[test]
fn a_second_recovery_of_locks_is_seen() {
    let taken = "fn f() { lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner) }";
    breaks(rules::one_recovery, "src/node/turns.rs", taken);
    passes(rules::one_recovery, "src/cable/wire.rs", taken);
}

#[test]
fn a_c_function_with_code_outside_the_guard_is_seen() {
    for body in [
        "",
        "0",
        "let x = y; guard(|| x)",
        "guard(|| 0); 1",
        "guarded(|| 0)",
        "guard(|| 0) + f()",
        "if x { guard(|| 0) }",
        "guard",
        "guard::status(|| Ok(())); 0",
        "let g = 1; guard::value(g, || 0)",
    ] {
        let text = format!("pub extern \"C\" fn peerbeat_x(a: [u8; 4]) -> i32 {{ {body} }}");
        breaks(rules::guarded, "src/ffi/link.rs", &text);
    }
    for body in [
        "guard(|| 0)",
        "guard::value(0, || 1)",
        "guard!(x, { 0 })",
        "guard! { 0 }",
        "guard(|| { f(); 1 });",
    ] {
        let text = format!("pub unsafe extern \"C\" fn peerbeat_x() -> i32 {{\n  {body}\n}}");
        passes(rules::guarded, "src/ffi/link.rs", &text);
        breaks(rules::guarded, "src/link/handle.rs", &text);
    }
    passes(rules::guarded, "src/ffi/x.rs", "type F = extern \"C\" fn(i32); fn f() { 0 }");
    passes(rules::guarded, "src/ffi/x.rs", "extern \"C\" { fn free(p: *mut u8); }");
}

#[test]
fn long_files_functions_and_lines_are_seen() {
    let lines = |count: usize| "x\n".repeat(count);
    passes(rules::file_length, "src/x.rs", &lines(500));
    breaks(rules::file_length, "src/x.rs", &lines(501));

    let function = |count: usize| format!("fn f() {{\n{}}}\n", lines(count - 2));
    passes(rules::function_length, "src/x.rs", &function(70));
    breaks(rules::function_length, "src/x.rs", &function(71));
    breaks(
        rules::function_length,
        "tests/x.rs",
        &format!("mod m {{ impl X {{ {} }} }}", function(90)),
    );
    let braces =
        "fn f() { let a = '{'; let b = \"}\\\"}{\"; let c = r#\"{\"{\"#; let d = b'{'; /* { */ }\n";
    passes(rules::function_length, "src/x.rs", &(braces.to_owned() + &lines(100)));
    passes(
        rules::function_length,
        "src/x.rs",
        &format!("trait X {{ fn f(a: [u8; 2]); }}\n{}", lines(99)),
    );

    passes(rules::line_length, "src/x.rs", &"é".repeat(100));
    breaks(rules::line_length, "src/x.rs", &"x".repeat(101));
    passes(rules::line_length, "src/x.rs", &format!("//! | {} |", "x".repeat(200)));
    let long = "x ".repeat(100);
    passes(rules::line_length, "src/x.rs", &format!("let a = \"{long}\\n\\\n{long}\";"));
    breaks(rules::line_length, "src/x.rs", &format!("let a = \"x\"; // {long}"));
    breaks(rules::line_length, "src/x.rs", &format!("    /// {long}"));
}

#[test]
fn a_head_that_is_missing_short_or_long_is_seen() {
    let head = |count: usize| "//! words\n".repeat(count) + "\nuse x;\n";
    for count in [0, 1, 2, 16] {
        breaks(rules::heads, "src/link/reader.rs", &head(count));
    }
    for count in [3, 15] {
        passes(rules::heads, "src/link/reader.rs", &head(count));
    }
    passes(rules::heads, "src/protocol/mod.rs", &head(100));
    breaks(rules::heads, "src/protocol/mod.rs", &head(2));
    breaks(rules::heads, "src/link/reader.rs", &("use x;\n".to_owned() + &head(5)));
}

#[test]
fn a_stranger_at_the_top_level_is_seen() {
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(
        rules::top_level(names(&["src", "tests", "fuzz", ".ci", ".git", "LICENSE"])),
        [""; 0]
    );
    let complaints =
        rules::top_level(names(&["src", "benches", "NOTES.md", "proptest-regressions"]));
    assert_eq!(complaints.len(), 3);
}

#[test]
fn a_sleep_in_a_test_of_the_core_is_seen() {
    for path in ["tests/liveness.rs", "tests/liveness/x.rs", "tests/sim/x.rs", "src/sim/x.rs"] {
        breaks(rules::no_sleep, path, "fn a() { thread::sleep(ms(1)) }");
        breaks(rules::no_sleep, path, "fn a() { from.recv_timeout(ms(1)).ok(); }");
        passes(rules::no_sleep, path, "// no sleep\nfn asleep() {}");
    }
    passes(rules::no_sleep, "tests/link/x.rs", "fn a() { thread::sleep(ms(1)) }");
}

#[test]
fn an_accept_without_end_is_seen() {
    let text = "fn a(l: &TcpListener) { let far = l.accept().unwrap().0; }";
    breaks(rules::no_endless_accept, "tests/link/x.rs", text);
    passes(rules::no_endless_accept, "tests/link/x.rs", "fn a() { accept(&l); x.accept(1) }");
    passes(rules::no_endless_accept, "tests/common/accept.rs", text);
    passes(rules::no_endless_accept, "tests/bench/x.rs", text);
}

#[test]
fn a_reference_to_the_outside_is_seen() {
    breaks(rules::no_outside, "README.md", &["see ..", "shared/x"].join("/"));
    breaks(rules::no_outside, "src/x.rs", &["// as DESIGN", "md has it"].join("."));
    breaks(rules::no_outside, "tests/x.rs", &["const P: &str = \"", "work", "main\";"].join("/"));
    passes(rules::no_outside, "src/x.rs", "// shared by both threads; ../tests/x");
}

#[test]
fn lessons_are_found_in_every_way_of_writing_them() {
    let table = [
        ("// lesson 12", vec![12]),
        ("// lessons 7, 33", vec![7, 33]),
        ("/// never attempted (lesson 14). Deadlines (lesson 9), a stall", vec![14, 9]),
        ("//! peer's (lesson 32), and neither is the time (lessons 33 and 34).", vec![32, 33, 34]),
        ("/// (`PROTOCOL H2`, `lesson 20`).", vec![20]),
        ("let lesson = 5;", vec![]),
        ("// the lessons of others", vec![]),
    ];
    for (line, expected) in table {
        assert_eq!(lessons::numbers(line), expected, "{line}");
    }
    let source = Source::new("tests/x.rs", "// lesson 78\n/// (lesson\n/// 1).\n");
    let table = lessons::table(&[source]);
    assert_eq!(lessons::unknown(&table), ["tests/x.rs:1: no lesson 78"]);
    assert_eq!(lessons::missing(&table).len(), 76);
}

#[test]
fn comments_and_literals_are_no_code() {
    let comments = "a /* b /* c */ d */ e // f\n";
    let literals = "\"g \\\" h\" 'i' '\\'' b\"j\" r#\"k \" l\"# 'm n b'o' \"p\nq\" r";
    let text = &[comments, literals].concat();
    let source = Source::new("x.rs", text);
    let seen = |word| rules::names(&source, word);
    for word in ["a", "e", "m", "n"] {
        assert!(seen(word), "{word} is code: {:?}", source.code);
    }
    for word in ["b", "c", "d", "f", "g", "h", "i", "j", "k", "l", "o", "p", "q"] {
        assert!(!seen(word), "{word} is not code: {:?}", source.code);
    }
    assert_eq!(source.code.lines().count(), text.lines().count());
    let named = paths::all(&Source::new("x.rs", "use a::{b::{self, c as d}, e,};\nf::g::<h::i>()"));
    let texts: Vec<_> = named.iter().map(paths::Named::text).collect();
    for expected in ["a::b::self", "a::b::c", "a::e", "f::g", "h::i"] {
        assert!(texts.iter().any(|text| text == expected), "{expected} in {texts:?}");
    }
}

#[test]
fn a_chain_of_lets_is_seen() {
    let wrong = [
        "fn a() { if let Some(x) = y && z { b() } }",
        "fn a() {\n    if y\n        && let Some(x) = z(1)\n    {\n        b()\n    }\n}",
        "fn a() { while let A { b, .. } = c.d(|e| { e }) && f { g() } }",
    ];
    for text in wrong {
        breaks(rules::let_chains, "src/x.rs", text);
    }
    let right = [
        "fn a() { let x = y && z; }",
        "fn a() { if let Some(x) = y.filter(|x| x && z) { if a && b {} } }",
        "fn a() { if let Some(x) = &&y { b && c; } }",
        "fn a() { let Some(x) = y else { return a && b }; }",
        "// if let Some(x) = y && z {",
    ];
    for text in right {
        passes(rules::let_chains, "src/x.rs", text);
    }
}
