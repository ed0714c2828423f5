//! The vectors as data, which other implementations read too: each line describes its bytes.

use super::{decode, vectors};
use peerbeat::protocol::{Decoded, Frame, Framing, Hello, Native};

const FILE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/protocol/vectors.txt"));

/// How a vector is meant, what it is, and its bytes.
struct Vector {
    kind: &'static str,
    text: &'static str,
    bytes: Vec<u8>,
}

fn all() -> Vec<Vector> {
    let mut lines = FILE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut vectors = Vec::new();
    while let Some(line) = lines.next() {
        let (kind, text) = line.split_once(' ').expect("a kind and a text");
        let hex: String = lines.next().expect("a line of bytes").split_whitespace().collect();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits");
        let bytes = (0..hex.len()).step_by(2).map(byte).collect();
        vectors.push(Vector { kind, text: text.trim_start(), bytes });
    }
    vectors
}

/// A frame in the words of the file.
fn describe(frame: &Frame<'_>) -> String {
    match frame {
        Frame::Data(data) => format!("DATA \"{}\"", data.escape_ascii()),
        Frame::Heartbeat(beat) => {
            let timing = beat
                .timing
                .map(|t| format!(" sent {} echo {} age {}", t.sent_us, t.echo_us, t.echo_age_us));
            format!("HEARTBEAT {}{}", beat.heartbeat_time_ms, timing.unwrap_or_default())
        }
        Frame::Hello(Hello { name, label, id, always, probe, heartbeat_time_ms, .. }) => {
            let flags = u8::from(*always) | u8::from(*probe) << 1;
            let value = heartbeat_time_ms.map(|value| format!(" heartbeat-time {value}"));
            let value = value.unwrap_or_default();
            format!("HELLO flags {flags} id {id} name \"{name}\" label \"{label}\"{value}")
        }
        Frame::Bye(bye) => format!("BYE {} \"{}\"", bye.code.0, bye.text),
        Frame::Unknown { kind } => format!("skipped, type 0x{kind:02x}"),
    }
}

#[test]
fn every_vector_reads_as_it_says_or_is_refused_with_its_reason() {
    let mut counts = [0; 3];
    for Vector { kind, text, bytes } in all() {
        match kind {
            "frame" | "reads" => {
                let Ok(Decoded::Whole { length, frame }) = Native::default().decode(&bytes) else {
                    panic!("{text}: {:?}", Native::default().decode(&bytes));
                };
                assert_eq!((length, describe(&frame).as_str()), (bytes.len(), text));
                let is_ours = !text.starts_with("skipped") && vectors::encode(&frame) == bytes;
                assert_eq!(is_ours, kind == "frame", "{text}");
                counts[usize::from(kind == "reads")] += 1;
            }
            "refuse" => {
                let seen = decode(&bytes);
                assert_eq!(seen.frames, [""; 0], "{text}");
                assert_eq!(seen.error.map(|error| error.to_string()).as_deref(), Some(text));
                counts[2] += 1;
            }
            _ => panic!("no such kind: {kind}"),
        }
    }
    assert!(counts.iter().all(|count| *count >= 5), "{counts:?}");
}

/// A frame of every kind, and the ones that the other tests know as literal bytes.
#[test]
fn the_file_has_the_vectors_of_the_other_tests() {
    for (bytes, frame) in vectors::all() {
        let found = all().into_iter().find(|vector| vector.bytes == bytes);
        let text = found.map(|vector| format!("{} {}", vector.kind, vector.text));
        assert_eq!(text, Some(format!("frame {}", describe(&frame))));
    }
}
