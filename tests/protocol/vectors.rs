//! The vectors of the wire format as literal bytes, both ways.

use std::sync::Arc;

use super::{decode, frame, hello};
use peerbeat::protocol::{
    Bye, ByeCode, Decoded, Frame, Framing, Heartbeat, Hello, Native, Timing, VERSION,
};

const HELLO: &[u8] = b"\x00\x00\x00\x1f\x01\x50\x42\x48\x42\x01\x00\x00\x00\x00\x00\x0f\
    \x66\x78\x70\x72\x69\x63\x65\x61\x64\x61\x70\x74\x65\x72\x31\x03\x66\x78\x31";
const HELLO_VALUE: &[u8] = b"\x00\x00\x00\x23\x01\x50\x42\x48\x42\x01\x00\x00\x00\x00\x00\x0f\
    \x66\x78\x70\x72\x69\x63\x65\x61\x64\x61\x70\x74\x65\x72\x31\x03\x66\x78\x31\x00\x00\x13\x88";
const HEARTBEAT: &[u8] = b"\x00\x00\x00\x05\x02\x00\x00\x13\x88";
const HEARTBEAT_TIMED: &[u8] =
    b"\x00\x00\x00\x1d\x02\x00\x00\x3a\x98\x00\x00\x00\x00\x00\x0f\x42\x40\
    \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
const DATA: &[u8] = b"\x00\x00\x00\x05\x03\x74\x69\x63\x6b";
const DATA_EMPTY: &[u8] = b"\x00\x00\x00\x01\x03";
const BYE: &[u8] =
    b"\x00\x00\x00\x15\x04\x01\x70\x65\x65\x72\x20\x6e\x6f\x74\x20\x6b\x6e\x6f\x77\x6e\
    \x20\x68\x65\x72\x65";

/// Every vector with the frame that it encodes.
pub(super) fn all() -> Vec<(&'static [u8], Frame<'static>)> {
    let timing = Timing { sent_us: 1_000_000, echo_us: 0, echo_age_us: 0 };
    let hello = Hello::default().name("fxpriceadapter1").label("fx1");
    vec![
        (HELLO, Frame::Hello(hello)),
        (HELLO_VALUE, Frame::Hello(hello.heartbeat_time_ms(Some(5000)))),
        (HEARTBEAT, Frame::Heartbeat(Heartbeat { heartbeat_time_ms: 5000, timing: None })),
        (
            HEARTBEAT_TIMED,
            Frame::Heartbeat(Heartbeat { heartbeat_time_ms: 15000, timing: Some(timing) }),
        ),
        (DATA, Frame::Data(b"tick")),
        (DATA_EMPTY, Frame::Data(b"")),
        (BYE, Frame::Bye(Bye { code: ByeCode(1), text: "peer not known here" })),
    ]
}

/// Writes a frame through the public encoders.
pub(super) fn encode(frame: &Frame<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match frame {
        Frame::Hello(hello) => hello.encode(&mut out).expect("a legal HELLO"),
        Frame::Heartbeat(heartbeat) => Native::default().encode_heartbeat(heartbeat, &mut out),
        Frame::Data(payload) => {
            Native::default().encode_data(payload, &mut out).expect("a short payload");
        }
        Frame::Bye(bye) => Native::default().encode_bye(bye, &mut out),
        Frame::Unknown { kind } => out = super::frame(*kind, b""),
    }
    out
}

#[test]
fn vectors_decode_to_their_frames() {
    for (bytes, frame) in all() {
        let whole = Decoded::Whole { length: bytes.len(), frame };
        assert_eq!(Native::default().decode(bytes), Ok(whole));
    }
}

#[test]
fn frames_encode_to_their_vectors() {
    for (bytes, frame) in all() {
        assert_eq!(encode(&frame), bytes, "{frame:?}");
    }
}

#[test]
fn a_shared_framing_is_the_same_framing() {
    let shared = Arc::new(Native::with_frame_max(40));
    for (bytes, frame) in all() {
        let mut out = Vec::new();
        match frame {
            Frame::Data(data) => shared.encode_data(data, &mut out).expect("short"),
            Frame::Heartbeat(heartbeat) => shared.encode_heartbeat(&heartbeat, &mut out),
            Frame::Bye(bye) => shared.encode_bye(&bye, &mut out),
            Frame::Hello(_) | Frame::Unknown { .. } => out = bytes.to_vec(),
        }
        assert_eq!(out, bytes);
        assert_eq!(shared.decode(bytes), Ok(Decoded::Whole { length: bytes.len(), frame }));
    }
    assert!(shared.encode_data(&[0; 40], &mut Vec::new()).is_err());
}

#[test]
fn encoders_append() {
    let mut out = b"before".to_vec();
    for (_, frame) in all() {
        match frame {
            Frame::Hello(hello) => hello.encode(&mut out).expect("a legal HELLO"),
            Frame::Heartbeat(heartbeat) => heartbeat.encode(&mut out),
            Frame::Bye(bye) => bye.encode(&mut out),
            Frame::Data(data) => Native::default().encode_data(data, &mut out).expect("short"),
            Frame::Unknown { .. } => {}
        }
    }
    let vectors: Vec<u8> = all().iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect();
    assert_eq!(out, [&b"before"[..], &vectors].concat());
}

#[test]
fn every_field_of_a_hello_is_in_its_place() {
    let said = Hello::default()
        .name("n")
        .label("l")
        .id(0x0102_0304)
        .always(true)
        .probe(false)
        .heartbeat_time_ms(Some(0x1112_1314));
    let mut out = Vec::new();
    said.encode(&mut out).expect("a legal HELLO");
    assert_eq!(out, b"\x00\x00\x00\x13\x01PBHB\x01\x01\x01\x02\x03\x04\x01n\x01l\x11\x12\x13\x14");
    assert_eq!(decode(&out).frames, [format!("{:?}", Frame::Hello(said))]);
    assert_eq!(out[9], VERSION);
}

#[test]
fn every_field_of_a_heartbeat_is_in_its_place() {
    let timing = Timing { sent_us: 0x1112, echo_us: 0x2122, echo_age_us: 0x3132 };
    let beat = Heartbeat { heartbeat_time_ms: 0x0102_0304, timing: Some(timing) };
    let bytes = b"\x00\x00\x00\x1d\x02\x01\x02\x03\x04\0\0\0\0\0\0\x11\x12\0\0\0\0\0\0\x21\x22\
        \0\0\0\0\0\0\x31\x32";
    assert_eq!(encode(&Frame::Heartbeat(beat)), bytes);
    assert_eq!(decode(bytes).frames, [format!("{:?}", Frame::Heartbeat(beat))]);
}

#[test]
fn unknown_flags_are_ignored_and_only_bits_0_and_1_are_ours() {
    let cases = [
        (0xfc, false, false),
        (0xff, true, true),
        (0x01, true, false),
        (0x02, false, true),
        (0x80, false, false),
    ];
    for (flags, always, probe) in cases {
        let mut payload = hello(b"n", b"");
        payload[5] = flags;
        let said = Hello::default().name("n").id(7).always(always).probe(probe);
        let expected = format!("{:?}", Frame::Hello(said));
        assert_eq!(decode(&frame(1, &payload)).frames, [expected], "flags {flags:#x}");
        let mut written = Vec::new();
        said.encode(&mut written).expect("a legal HELLO");
        assert_eq!(written[10], flags & 3, "flags {flags:#x}");
    }
}

#[test]
fn a_hello_carries_its_heartbeat_time_in_the_first_four_bytes_behind_the_label() {
    let cases: [(&[u8], Option<u32>); 7] = [
        (b"", None),
        (b"\x01", None),
        (b"\x01\x02\x03", None),
        (b"\0\0\0\0", Some(0)),
        (b"\x01\x02\x03\x04", Some(0x0102_0304)),
        (b"\xff\xff\xff\xff", Some(u32::MAX)),
        (b"\x01\x02\x03\x04\xff\xff\xff\xff\xff", Some(0x0102_0304)),
    ];
    for (tail, heartbeat_time_ms) in cases {
        let payload = [&hello(b"n", b"l")[..], tail].concat();
        let said = Hello::default().name("n").label("l").id(7).heartbeat_time_ms(heartbeat_time_ms);
        let expected = format!("{:?}", Frame::Hello(said));
        assert_eq!(decode(&frame(1, &payload)).frames, [expected], "{tail:?}");
    }
}

#[test]
fn unknown_types_are_skipped_one_by_one() {
    for kind in (0..=u8::MAX).filter(|kind| !(1..=4).contains(kind)) {
        for payload in [&b""[..], b"x", &[0xff; 300]] {
            let bytes = [frame(kind, payload), DATA.to_vec()].concat();
            let seen = decode(&bytes);
            let unknown = format!("{:?}", Frame::Unknown { kind });
            assert_eq!(seen.frames, [unknown, format!("{:?}", Frame::Data(b"tick"))]);
            assert_eq!(seen.error, None);
        }
    }
}

#[test]
fn longer_known_frames_are_accepted() {
    for (bytes, known) in all() {
        let (Frame::Hello(_) | Frame::Heartbeat(_)) = known else { continue };
        for more in [1, 2, 7, 23, 300] {
            let mut longer = bytes[5..].to_vec();
            longer.resize(longer.len() + more, 0xee);
            let seen = decode(&frame(bytes[4], &longer));
            if bytes == HEARTBEAT && more >= 24 {
                let Some(Frame::Heartbeat(_)) = whole(&frame(bytes[4], &longer)) else {
                    panic!("a heartbeat with fields of the future was refused");
                };
            } else if bytes == HELLO && more >= 4 {
                let Frame::Hello(known) = known else { continue };
                let said = known.heartbeat_time_ms(Some(0xeeee_eeee));
                assert_eq!(seen.frames, [format!("{:?}", Frame::Hello(said))], "{more} bytes");
            } else {
                assert_eq!(seen.frames, [format!("{known:?}")], "{more} bytes more");
            }
            assert_eq!(seen.error, None);
        }
    }
}

#[test]
fn a_heartbeat_with_part_of_its_timing_has_none() {
    for length in 4..28 {
        let mut payload = [0xffu8; 28];
        payload[..4].copy_from_slice(&5000u32.to_be_bytes());
        let untimed = Heartbeat { heartbeat_time_ms: 5000, timing: None };
        let bytes = frame(2, &payload[..length]);
        assert_eq!(whole(&bytes), Some(Frame::Heartbeat(untimed)), "{length} payload bytes");
    }
}

// lesson 3
#[test]
fn every_boundary_of_a_heartbeat_time_goes_round_trip() {
    let edges = (0..32).flat_map(|bit| {
        let power = 1u32 << bit;
        [power - 1, power, power + 1]
    });
    for heartbeat_time_ms in edges.chain([u32::MAX - 1, u32::MAX]) {
        let beat = Heartbeat { heartbeat_time_ms, timing: None };
        let bytes = encode(&Frame::Heartbeat(beat));
        assert_eq!(bytes[5..], heartbeat_time_ms.to_be_bytes());
        assert_eq!(whole(&bytes), Some(Frame::Heartbeat(beat)));
    }
}

#[test]
fn an_over_long_bye_is_cut_at_255_bytes_and_never_inside_a_character() {
    for (ending, kept) in
        [("aa", 255), ("é", 254), ("€", 254), ("𝄞", 254), ("a€", 255), ("\u{80}", 254)]
    {
        let text = "a".repeat(254) + ending;
        let bytes = encode(&Frame::Bye(Bye { code: ByeCode::CLOSE, text: &text }));
        assert_eq!(bytes, frame(4, &[b"\0", &text.as_bytes()[..kept]].concat()), "{ending:?}");
    }
    let exact = "a".repeat(253) + "é";
    let bytes = encode(&Frame::Bye(Bye { code: ByeCode::CLOSE, text: &exact }));
    assert_eq!(whole(&bytes), Some(Frame::Bye(Bye { code: ByeCode(0), text: &exact })));
}

#[test]
fn an_over_long_bye_of_the_peers_reads_as_its_first_255_bytes() {
    for (ending, kept) in
        [("aa", 255), ("é", 254), ("€", 254), ("𝄞", 254), ("a€", 255), ("aé and on", 255)]
    {
        let text = "a".repeat(254) + ending;
        let bytes = frame(4, &[b"\x06", text.as_bytes()].concat());
        let bye = Bye { code: ByeCode::SHUTTING_DOWN, text: &text[..kept] };
        assert_eq!(whole(&bytes), Some(Frame::Bye(bye)), "{ending:?}");
    }
    // What follows the known 255 bytes may be anything: this is how version 1 grows.
    let bytes = frame(4, &[b"\x00", "a".repeat(255).as_bytes(), b"\xff\xfe"].concat());
    let bye = Bye { code: ByeCode::CLOSE, text: &"a".repeat(255) };
    assert_eq!(whole(&bytes), Some(Frame::Bye(bye)));
}

#[test]
fn bye_codes_read_as_the_protocol_lists_them() {
    let known = [
        (ByeCode::CLOSE, 0, "orderly close"),
        (ByeCode::UNKNOWN_PEER, 1, "refused: peer not known here"),
        (ByeCode::ALREADY_CONNECTED, 2, "refused: already connected"),
        (ByeCode::VERSION, 3, "refused: version"),
        (ByeCode::PROTOCOL, 4, "protocol error"),
        (ByeCode::TOO_SLOW, 5, "handshake too slow"),
        (ByeCode::SHUTTING_DOWN, 6, "shutting down"),
        (ByeCode::TOO_MANY, 7, "refused: too many connections"),
    ];
    for (code, number, words) in known {
        assert_eq!((code.0, code.to_string().as_str()), (number, words));
        assert_eq!(code.meaning(), Some(words));
    }
    for number in 8..=u8::MAX {
        assert_eq!(ByeCode(number).meaning(), None);
        assert_eq!(ByeCode(number).to_string(), format!("closed, code {number}"));
    }
}

#[test]
fn frames_have_names() {
    let names: Vec<_> = all().iter().map(|(_, frame)| frame.name()).collect();
    assert_eq!(names, ["HELLO", "HELLO", "HEARTBEAT", "HEARTBEAT", "DATA", "DATA", "BYE"]);
    assert_eq!(Frame::Unknown { kind: 9 }.name(), "an unknown frame");
}

fn whole(bytes: &[u8]) -> Option<Frame<'_>> {
    match Native::default().decode(bytes) {
        Ok(Decoded::Whole { length, frame }) if length == bytes.len() => Some(frame),
        _ => None,
    }
}
