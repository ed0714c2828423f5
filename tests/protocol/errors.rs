//! Every way in which bytes can be wrong, with the message that a person reads.

use super::{Transcript, decode, decode_with, frame, hello, vectors};
use peerbeat::protocol::{
    Decoded, Decoder, FRAME_MAX, Frame, Framing, Heartbeat, Hello, Native, ProtocolError,
};

fn message(seen: Transcript) -> String {
    assert_eq!(seen.frames, [""; 0], "a frame came before the error");
    seen.error.map_or("no error".to_owned(), |error| error.to_string())
}

/// What the bytes are, the bytes, and the message.
type Bad<'a> = (&'a str, Vec<u8>, &'a str);

#[track_caller]
fn all_are_named(table: &[Bad<'_>]) {
    for (what, bytes, expected) in table {
        assert_eq!(message(decode(bytes)), *expected, "{what}");
    }
}

#[test]
fn lengths_that_cannot_be_are_named() {
    all_are_named(&[
        ("length 0", b"\0\0\0\0".to_vec(), "frame of length 0 (allowed: 1 or more)"),
        (
            "one above the limit",
            b"\x01\0\0\x01".to_vec(),
            "frame of length 16777217 (allowed: up to 16777216)",
        ),
        (
            "the greatest length",
            b"\xff\xff\xff\xff".to_vec(),
            "frame of length 4294967295 (allowed: up to 16777216)",
        ),
        (
            "HTTP",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            "frame of length 1195725856 (allowed: up to 16777216): \
             the other side seems to speak HTTP",
        ),
        (
            "a TLS ClientHello",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            "frame of length 369295618 (allowed: up to 16777216): \
             the other side seems to speak TLS",
        ),
        (
            "SSH",
            b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
            "frame of length 1397966893 (allowed: up to 16777216): \
             the other side seems to speak SSH",
        ),
    ]);
}

#[test]
fn hellos_that_cannot_be_are_named() {
    all_are_named(&[
        (
            "magic",
            frame(1, b"PBHX\x01\x00\x00\x00\x00\x00\x01n\x00"),
            "HELLO begins with \"PBHX\" (allowed: \"PBHB\")",
        ),
        (
            "magic that is not text",
            frame(1, b"\x00\n\"\xff\x01\x00"),
            "HELLO begins with \"\\x00\\n\\\"\\xff\" (allowed: \"PBHB\")",
        ),
        ("version 0", frame(1, b"PBHB\x00"), "protocol version 0 (allowed: 1)"),
        (
            "version 2, whatever else has changed with it",
            frame(1, b"PBHB\x02"),
            "protocol version 2 (allowed: 1)",
        ),
        ("version 255", frame(1, b"PBHB\xff\x00\x00"), "protocol version 255 (allowed: 1)"),
        ("name not UTF-8", frame(1, &hello(b"a\xffb", b"")), "name is not UTF-8"),
        ("name cut in a character", frame(1, &hello(b"a\xc3", b"")), "name is not UTF-8"),
        ("label not UTF-8", frame(1, &hello(b"n", b"\xff")), "label is not UTF-8"),
        ("no name", frame(1, &hello(b"", b"l")), "name is empty"),
        ("newline in a name", frame(1, &hello(b"a\nb", b"")), "name holds a control character"),
        ("NUL in a name", frame(1, &hello(b"\0", b"")), "name holds a control character"),
        ("escape in a name", frame(1, &hello(b"\x1b[2J", b"")), "name holds a control character"),
        ("DEL in a name", frame(1, &hello(b"a\x7f", b"")), "name holds a control character"),
        (
            "C1 control in a name",
            frame(1, &hello("a\u{85}".as_bytes(), b"")),
            "name holds a control character",
        ),
        ("empty HELLO", frame(1, b""), "HELLO with 0 payload bytes (needed: 4)"),
    ]);
}

#[test]
fn byes_and_heartbeats_that_cannot_be_are_named() {
    all_are_named(&[
        ("text of BYE not UTF-8", frame(4, b"\x00bye\xff"), "text of BYE is not UTF-8"),
        ("text of BYE cut in a character", frame(4, b"\x00\xe2\x82"), "text of BYE is not UTF-8"),
        (
            "text of BYE of 255 bytes cut in a character",
            frame(4, &[b"\x00", "a".repeat(254).as_bytes(), b"\xc3"].concat()),
            "text of BYE is not UTF-8",
        ),
        (
            "over-long text of BYE, not UTF-8 in its known part",
            frame(4, &[b"\x00", "a".repeat(100).as_bytes(), &[0xff; 200]].concat()),
            "text of BYE is not UTF-8",
        ),
        ("empty BYE", frame(4, b""), "BYE with 0 payload bytes (needed: 1)"),
        ("empty HEARTBEAT", frame(2, b""), "HEARTBEAT with 0 payload bytes (needed: 4)"),
    ]);
}

#[test]
fn errors_that_no_bytes_alone_make_have_their_message_too() {
    let table = [
        (
            ProtocolError::Unexpected { frame: "DATA", allowed: "HELLO" },
            "DATA where HELLO is allowed",
        ),
        (ProtocolError::Foreign { detail: "checksum 7".to_owned() }, "checksum 7"),
        (
            ProtocolError::Name { field: "label", problem: "is over 255 bytes long" },
            "label is over 255 bytes long",
        ),
    ];
    for (error, expected) in table {
        assert_eq!(error.to_string(), expected);
        assert!(std::error::Error::source(&error).is_none());
    }
}

#[test]
fn other_programs_are_recognised_by_their_first_bytes() {
    let http = ["GET ", "POST", "HEAD", "PUT ", "OPTI", "CONN", "HTTP", "DELE", "PATC", "TRAC"];
    for head in http.into_iter().chain(["PRI "]) {
        let text = message(decode(head.as_bytes()));
        assert!(text.ends_with(": the other side seems to speak HTTP"), "{head}: {text}");
    }
    for head in [b"\x17\x03\x01\x02", b"\x16\x02\x01\x02", b"get ", b"SSH "] {
        let text = message(decode(head));
        assert!(text.ends_with("(allowed: up to 16777216)"), "{text}");
    }
}

#[test]
fn a_length_is_judged_from_its_four_bytes_alone() {
    for max in [1, 2, 5, 255, 256, 1023, 1024, 1025, FRAME_MAX, 1 << 30] {
        let framing = Native::with_frame_max(max);
        // What is not DATA may have 1024 bytes whatever the limit is.
        let max = u32::try_from(max.max(1024)).expect("fits the length field");
        let at = max.to_be_bytes();
        let above = (max + 1).to_be_bytes();
        assert_eq!(decode_with(framing, &[&at]), Transcript::default(), "{max}");
        assert_eq!(
            decode_with(framing, &[&above[..3]]),
            Transcript::default(),
            "three bytes of {max} + 1"
        );
        let too_long =
            ProtocolError::TooLong { length: u64::from(max) + 1, max: max.into(), head: above };
        assert_eq!(decode_with(framing, &[&above]).error, Some(too_long));
    }
}

#[test]
fn data_above_the_limit_is_refused_once_its_type_is_read_and_nothing_else_is() {
    for max in [1, 2, 28, 29, 1023] {
        let framing = Native::with_frame_max(max);
        let above = u32::try_from(max + 1).expect("fits the length field");
        let head = above.to_be_bytes();
        assert_eq!(decode_with(framing, &[&head]), Transcript::default(), "{max}: no type yet");
        let data = [&head[..], b"\x03"].concat();
        let too_long = ProtocolError::TooLong { length: above.into(), max: max as u64, head };
        assert_eq!(decode_with(framing, &[&data]).error, Some(too_long), "{max}");
    }
    // With the smallest limit of all, whatever is not a message is as it always is.
    let framing = Native::with_frame_max(1);
    for (bytes, expected) in vectors::all() {
        let seen = decode_with(framing, &[bytes]);
        match expected {
            Frame::Data(data) if !data.is_empty() => assert!(seen.error.is_some(), "{seen:?}"),
            _ => assert_eq!(seen.frames, [format!("{expected:?}")]),
        }
    }
    let longest = frame(0x77, &[b'x'; 1023]);
    assert_eq!(decode_with(framing, &[&longest]).frames, ["Unknown { kind: 119 }"]);
}

#[test]
fn a_frame_exactly_at_the_limit_passes_both_ways() {
    for max in [1, 2, 5, 1000, FRAME_MAX] {
        let framing = Native::with_frame_max(max);
        let payload = vec![b'x'; max - 1];
        let mut wire = Vec::new();
        framing.encode_data(&payload, &mut wire).expect("exactly at the limit");
        assert_eq!(decode_with(framing, &[&wire]).frames.len(), 1);

        let refused = framing.encode_data(&vec![b'x'; max], &mut wire);
        let expected = format!("frame of length {} (allowed: up to {max})", max + 1);
        assert_eq!(refused.map_err(|error| error.to_string()), Err(expected));
        assert_eq!(wire.len(), max + 4, "nothing is appended by a refusal");
    }
}

#[test]
fn the_limit_stays_within_the_length_field() {
    assert_eq!(Native::with_frame_max(0).frame_max(), 1);
    assert_eq!(Native::with_frame_max(usize::MAX).frame_max(), u32::MAX as usize);
    assert_eq!(Native::default().frame_max(), 16 << 20);
    assert_eq!(Native::default(), Native::with_frame_max(FRAME_MAX));
    // The largest length of all is only a frame that has not arrived.
    let widest = Native::with_frame_max(usize::MAX);
    assert_eq!(decode_with(widest, &[b"\xff\xff\xff\xff\x03xyz"]), Transcript::default());
}

#[test]
fn a_payload_of_every_length_below_its_fields_is_short() {
    let full = hello(b"name", b"label");
    // Where each field of that HELLO ends: magic, version, flags, id, count, name, count, label.
    let ends = [4, 5, 6, 10, 11, 15, 16, 21];
    for found in 0..full.len() {
        let needed = ends.iter().copied().find(|end| *end > found).expect("below the whole");
        let expected = format!("HELLO with {found} payload bytes (needed: {needed})");
        assert_eq!(message(decode(&frame(1, &full[..found]))), expected);
    }
    for found in 0..4 {
        let expected = format!("HEARTBEAT with {found} payload bytes (needed: 4)");
        assert_eq!(message(decode(&frame(2, &[0; 4][..found]))), expected);
    }
    assert_eq!(message(decode(&frame(4, b""))), "BYE with 0 payload bytes (needed: 1)");
    // DATA has no field that could be missing.
    assert_eq!(decode(&frame(3, b"")).frames, ["Data([])"]);
}

#[test]
fn a_name_that_promises_more_bytes_than_there_are_is_short() {
    let mut payload = hello(b"n", b"");
    payload[10] = 255;
    let expected = "HELLO with 13 payload bytes (needed: 266)";
    assert_eq!(message(decode(&frame(1, &payload))), expected);
}

#[test]
fn an_error_stays_and_says_so_again() {
    let mut decoder = Decoder::new(Native::default());
    let mut seen = Transcript::default();
    super::feed(&mut decoder, b"\0\0\0\x01\x03\0\0\0\0", &mut seen);
    assert_eq!(seen.frames, ["Data([])"]);
    assert_eq!(seen.error, Some(ProtocolError::ZeroLength));
    for _ in 0..3 {
        assert_eq!(decoder.poll_frame(), Err(ProtocolError::ZeroLength));
        assert_eq!(decoder.pending(), b"\0\0\0\0");
        assert!(!decoder.spare().is_empty());
    }
}

#[test]
fn frames_before_a_bad_one_are_handed_out() {
    let bytes = [frame(3, b"one"), frame(9, b"?"), frame(4, b"")].concat();
    let seen = decode(&bytes);
    assert_eq!(seen.frames, ["Data([111, 110, 101])", "Unknown { kind: 9 }"]);
    assert_eq!(
        seen.error.map(|e| e.to_string()).as_deref(),
        Some("BYE with 0 payload bytes (needed: 1)")
    );
}

#[test]
fn a_hello_that_cannot_be_read_cannot_be_written() {
    let long = "n".repeat(256);
    let table = [
        ("", "", "name is empty"),
        (long.as_str(), "", "name is over 255 bytes long"),
        ("a\tb", "", "name holds a control character"),
        ("\u{9f}", "", "name holds a control character"),
        ("n", long.as_str(), "label is over 255 bytes long"),
    ];
    for (name, label, expected) in table {
        let mut out = b"kept".to_vec();
        let refused = Hello::default().name(name).label(label).encode(&mut out);
        assert_eq!(refused.map_err(|error| error.to_string()), Err(expected.to_owned()));
        assert_eq!(out, b"kept", "nothing is appended by a refusal");
    }
    let longest = "é".repeat(127) + "x";
    let mut out = Vec::new();
    let widest = Hello::default()
        .name(&longest)
        .label(&longest)
        .id(u32::MAX)
        .always(true)
        .probe(true)
        .heartbeat_time_ms(Some(u32::MAX));
    widest.encode(&mut out).expect("255 bytes are allowed");
    assert_eq!(out.len(), 4 + 1 + 12 + 510 + 4);
    assert_eq!(decode(&out).error, None);
}

/// A foreign framing that takes so many bytes for a whole frame.
struct Says(usize);

impl Framing for Says {
    fn decode<'a>(&self, bytes: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        if bytes.is_empty() {
            return Ok(Decoded::Partial);
        }
        Ok(Decoded::Whole { length: self.0, frame: Frame::Unknown { kind: 0 } })
    }

    fn encode_data(&self, _: &[u8], _: &mut Vec<u8>) -> Result<(), ProtocolError> {
        Ok(())
    }

    fn encode_heartbeat(&self, _: &Heartbeat, _: &mut Vec<u8>) {}
}

#[test]
fn a_framing_that_takes_nothing_or_more_than_there_is_can_neither_spin_nor_panic() {
    for (says, frames) in [(0, 0), (1, 3), (2, 1), (3, 1), (4, 0), (usize::MAX, 0)] {
        let mut decoder = Decoder::new(Says(says));
        let mut seen = Transcript::default();
        super::feed(&mut decoder, b"abc", &mut seen);
        assert_eq!(seen.frames.len(), frames, "{says} of 3 bytes");
        let rest = 3 - frames * says.min(3);
        assert_eq!(decoder.pending().len(), rest);
        let expected = (rest > 0).then(|| format!("the framing called {says} bytes a whole frame"));
        assert_eq!(seen.error.map(|error| error.to_string()), expected);
    }
}
