//! The foreign framings by themselves: every split point, garbage, and what they write.

use peerbeat::protocol::{
    Bye, ByeCode, Decoded, Decoder, Frame, Framing, Heartbeat, ProtocolError,
};
use proptest::prelude::*;

use crate::examples::fix::Fix;
use crate::examples::soupbintcp::Soup;
use crate::examples::stomp::{Stomp, frame};

/// Feeds `parts` one after the other and lists what came out, with what was wrong at the end.
fn decode<F: Framing>(framing: F, parts: &[&[u8]]) -> (Vec<String>, Option<ProtocolError>) {
    let (mut decoder, mut out) = (Decoder::new(framing), Vec::new());
    for part in parts {
        let mut part = *part;
        while !part.is_empty() {
            let spare = decoder.spare();
            let count = spare.len().min(part.len());
            spare[..count].copy_from_slice(&part[..count]);
            decoder.handle_filled(count);
            part = &part[count..];
            loop {
                match decoder.poll_frame() {
                    Ok(None) => break,
                    Ok(Some(Frame::Data(data))) => out.push(data.escape_ascii().to_string()),
                    Ok(Some(Frame::Bye(bye))) => out.push(format!("BYE {}", bye.text)),
                    Ok(Some(other)) => out.push(other.name().to_owned()),
                    Err(error) => return (out, Some(error)),
                }
            }
        }
    }
    (out, None)
}

/// Whole, cut in two at every byte, and byte by byte.
fn same_at_every_split<F: Framing>(framing: impl Fn() -> F, wire: &[u8], passes_over: &str) {
    let kept = |parts: &[&[u8]]| {
        let (mut out, error) = decode(framing(), parts);
        out.retain(|frame| frame != passes_over);
        (out, error)
    };
    let whole = kept(&[wire]);
    assert!(whole.0.len() > 2 && whole.1.is_none(), "{whole:?}");
    for at in 1..wire.len() {
        assert_eq!(kept(&[&wire[..at], &wire[at..]]), whole, "cut at {at}");
    }
    let bytes: Vec<&[u8]> = wire.chunks(1).collect();
    assert_eq!(kept(&bytes), whole);
}

fn fix() -> Fix {
    Fix::new("US", "THEM")
}

fn stomp_wire() -> Vec<u8> {
    let mut wire = b"\n\r\nMESSAGE\r\nmessage-id:7\r\n\r\nwindows lines\0\n\n".to_vec();
    wire.extend(frame("MESSAGE", &[("content-length", "3")], b""));
    // With a content-length the body may hold NUL; without, it ends at the first.
    wire.truncate(wire.len() - 1);
    wire.extend(b"a\0b\0\nRECEIPT\nreceipt-id:1\n\n\0ERROR\nmessage:no\n\nbody\0");
    wire
}

#[test]
fn stomp_is_the_same_at_every_split() {
    let (frames, error) = decode(Stomp, &[&stomp_wire()]);
    assert_eq!(error, None);
    assert_eq!(
        frames,
        [
            "HEARTBEAT",
            r"MESSAGE\r\nmessage-id:7\r\n\r\nwindows lines\x00",
            r"MESSAGE\ncontent-length:3\n\na\x00b\x00",
            r"RECEIPT\nreceipt-id:1\n\n\x00",
            "BYE no",
        ]
    );
    same_at_every_split(|| Stomp, &stomp_wire(), "HEARTBEAT");
}

#[test]
fn soupbintcp_is_the_same_at_every_split() {
    let wire = b"\0\x01H\0\x05Stick\0\x05+note\0\x01S\0\x03Uok\0\x01Z";
    let (frames, _) = decode(Soup, &[wire]);
    assert_eq!(
        frames,
        ["HEARTBEAT", "Stick", "an unknown frame", "S", "Uok", "BYE end of session"]
    );
    same_at_every_split(|| Soup, wire, "");
}

/// What the other side of a FIX session would write.
fn fix_wire() -> Vec<u8> {
    let (theirs, mut wire) = (Fix::new("THEM", "US"), Vec::new());
    theirs.encode_data(b"35=8\x0111=order 1\x01", &mut wire).unwrap();
    theirs.encode_heartbeat(&Heartbeat::default(), &mut wire);
    theirs.encode_data(b"35=1\x01112=x\x01", &mut wire).unwrap();
    theirs.encode_bye(&Bye { code: ByeCode::CLOSE, text: "" }, &mut wire);
    wire
}

#[test]
fn fix_is_the_same_at_every_split_and_counts_no_message_twice() {
    let wire = fix_wire();
    let (frames, error) = decode(fix(), &[&wire]);
    assert_eq!((frames.len(), error), (4, None));
    assert!(frames[0].starts_with(r"35=8\x0134=1\x0149=THEM\x0156=US\x0152="), "{}", frames[0]);
    assert!(frames[0].ends_with(r"\x0111=order 1\x01"), "{}", frames[0]);
    assert_eq!((frames[1].as_str(), frames[3].as_str()), ("HEARTBEAT", "BYE orderly close"));
    same_at_every_split(fix, &wire, "");
}

#[test]
fn a_fix_message_of_the_specifications_own_kind_is_read() {
    // Written out, with length and sum made here and not by the example.
    let text = "8=FIX.4.4|9=57|35=0|34=1|49=THEM|56=US|52=20240229-23:59:59|112=are you|10=";
    let head = text.replace('|', "\x01");
    let body = head.find("35=").unwrap();
    assert_eq!(head.len() - 3 - body, 57);
    let sum = head[..head.len() - 3].bytes().map(u32::from).sum::<u32>() % 256;
    let wire = format!("{head}{sum:03}\x01");
    assert_eq!(decode(fix(), &[wire.as_bytes()]), (vec!["HEARTBEAT".to_owned()], None));
}

#[test]
fn what_a_framing_writes_it_finds_again_without_counting() {
    fn check<F: Framing>(framing: F, message: &[u8]) {
        let mut wire = Vec::new();
        for round in 0..3 {
            let mut frame = Vec::new();
            match round {
                0 => framing.encode_data(message, &mut frame).unwrap(),
                1 => framing.encode_heartbeat(&Heartbeat::default(), &mut frame),
                _ => framing.encode_bye(&Bye { code: ByeCode::CLOSE, text: "" }, &mut frame),
            }
            for _ in 0..2 {
                let own = framing.decode_own(&frame);
                let Ok(Decoded::Whole { length, frame: seen }) = own else {
                    panic!("round {round}: {own:?}");
                };
                assert_eq!(length, frame.len(), "round {round}: {own:?}");
                assert!(round > 0 || matches!(seen, Frame::Data(_)), "round {round}: {own:?}");
            }
            wire.extend(frame);
        }
        let first = framing.decode_own(&wire);
        assert!(matches!(first, Ok(Decoded::Whole { length, .. }) if length < wire.len()));
    }
    check(Stomp, &frame("SEND", &[("destination", "/queue/a")], b"tick"));
    check(Soup, b"tick");
    check(fix(), b"35=D\x0111=1\x01");
}

#[test]
fn strangers_are_refused_by_their_first_bytes() {
    for stranger in
        [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01\x02\x00", b"SSH-2.0-OpenSSH", b"\0\0\0\x05\x02"]
    {
        assert!(decode(Stomp, &[stranger]).1.is_some(), "stomp: {stranger:?}");
        assert!(decode(fix(), &[&stranger[..4]]).1.is_some(), "fix: {stranger:?}");
    }
    assert!(decode(Soup, &[b"\0\0"]).1.is_some());
    assert!(decode(Soup, &[b"\0\x01R"]).1.is_some(), "a client's heartbeat from a server");
}

#[test]
fn nothing_waits_for_an_end_without_a_limit() {
    let endless = [b'A'; 64];
    assert!(decode(Stomp, &[&endless]).1.is_some(), "command");
    let head = [b"SEND\n".to_vec(), b"header:x\n".repeat(4096)].concat();
    assert!(decode(Stomp, &[&head]).1.is_some(), "headers");
    let body = [b"SEND\n\n".to_vec(), vec![b'x'; 2 << 20]].concat();
    assert!(decode(Stomp, &[&body]).1.is_some(), "body");
    let long = format!("SEND\ncontent-length:{}\n\n", usize::MAX);
    assert!(decode(Stomp, &[long.as_bytes()]).1.is_some(), "content-length");
    for length in ["0\x01", "65537\x01", "99999999", "-1\x01", "\x01"] {
        let head = format!("8=FIX.4.4\x019={length}");
        assert!(decode(fix(), &[head.as_bytes()]).1.is_some(), "BodyLength {length:?}");
    }
}

#[test]
fn fix_refuses_a_wrong_sum_and_a_gap() {
    let mut wire = fix_wire();
    let end = wire.len() - 2;
    wire[end] = if wire[end] == b'0' { b'1' } else { b'0' };
    let (frames, error) = decode(fix(), &[&wire]);
    assert_eq!(frames.len(), 3, "the ones before it are whole");
    assert!(error.unwrap().to_string().contains("CheckSum"));

    let theirs = Fix::new("THEM", "US");
    let (mut dropped, mut wire) = (Vec::new(), Vec::new());
    theirs.encode_heartbeat(&Heartbeat::default(), &mut dropped);
    theirs.encode_heartbeat(&Heartbeat::default(), &mut wire);
    assert!(decode(fix(), &[&wire]).1.unwrap().to_string().contains("MsgSeqNum 2 (allowed: 1)"));
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..12),
        Just(b"MESSAGE\n".to_vec()),
        Just(b"content-length:4\n".to_vec()),
        Just(b"\n\n".to_vec()),
        Just(b"\r\n\0".to_vec()),
        Just(b"8=FIX.4.4\x019=".to_vec()),
        Just(b"5\x0135=0\x0110=163\x01".to_vec()),
        Just(b"\0\x02Sx".to_vec()),
        Just(b"\xff\xffS".to_vec()),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// No garbage panics, spins, or reads otherwise when it comes in pieces.
    #[test]
    fn garbage_is_refused_and_nothing_else(wire in pieces(), at in any::<prop::sample::Index>()) {
        let at = at.index(wire.len() + 1);
        let parts = [&wire[..at], &wire[at..]];
        let beatless = |(mut out, error): (Vec<String>, Option<ProtocolError>)| {
            out.retain(|frame| frame != "HEARTBEAT");
            (out, error.is_some())
        };
        prop_assert_eq!(beatless(decode(Stomp, &parts)), beatless(decode(Stomp, &[&wire])));
        prop_assert_eq!(beatless(decode(Soup, &parts)), beatless(decode(Soup, &[&wire])));
        prop_assert_eq!(beatless(decode(fix(), &parts)), beatless(decode(fix(), &[&wire])));
    }
}
