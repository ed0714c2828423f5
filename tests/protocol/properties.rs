//! Laws that hold for all bytes, however they are split.

use super::{Transcript, decode_with, describe, drain, feed, frame, vectors};
use peerbeat::protocol::{
    Bye, ByeCode, Decoded, Decoder, Frame, Framing, Heartbeat, Hello, Native, TEXT_MAX, Timing,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 512 })
    }
}

/// Bytes that are often nearly right: whole frames, frames with made-up payloads, and noise.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let vectors: Vec<Vec<u8>> = vectors::all().iter().map(|(bytes, _)| bytes.to_vec()).collect();
    let piece = prop_oneof![
        4 => prop::sample::select(vectors.clone()),
        3 => (any::<u8>(), vec(any::<u8>(), 0..300)).prop_map(|(kind, body)| frame(kind, &body)),
        2 => (1u8..5, vec(any::<u8>(), 0..40)).prop_map(|(kind, body)| frame(kind, &body)),
        1 => (prop::sample::select(vectors), any::<prop::sample::Index>(), any::<u8>()).prop_map(
            |(mut bytes, at, byte)| {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                bytes
            }
        ),
        1 => (5000usize..150_000).prop_map(|size| frame(3, &vec![1; size])),
        1 => vec(any::<u8>(), 0..20),
    ];
    vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

/// `bytes` cut at the points that `cuts` choose.
fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut points: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    points.extend([0, bytes.len()]);
    points.sort_unstable();
    points.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// What the framing says of all the bytes at once, without a decoder: the naive model.
fn by_definition(framing: Native, mut bytes: &[u8]) -> Transcript {
    let mut seen = Transcript::default();
    loop {
        match framing.decode(bytes) {
            Ok(Decoded::Partial) => return seen,
            Ok(Decoded::Whole { length, frame }) => {
                seen.frames.push(describe(&frame));
                bytes = &bytes[length..];
            }
            Err(error) => {
                seen.error = Some(error);
                return seen;
            }
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes_in_any_pieces_are_what_they_are_as_a_whole(
        bytes in stream(),
        cuts in vec(any::<prop::sample::Index>(), 0..30),
        frame_max in prop_oneof![Just(16usize << 20), 1usize..400, 1usize..200_000],
    ) {
        let framing = Native::with_frame_max(frame_max);
        let whole = decode_with(framing, &[&bytes]);
        prop_assert!(whole == by_definition(framing, &bytes));
        prop_assert!(whole == decode_with(framing, &pieces(&bytes, &cuts)));
    }

    #[test]
    fn pure_noise_never_panics_and_is_the_same_byte_by_byte(
        bytes in vec(any::<u8>(), 0..200),
        frame_max in 1usize..=1 << 30,
    ) {
        let framing = Native::with_frame_max(frame_max);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(decode_with(framing, &single), by_definition(framing, &bytes));
    }

    #[test]
    fn memory_follows_what_is_held_and_never_passes_the_limit(
        bytes in stream(),
        cuts in vec(any::<prop::sample::Index>(), 0..30),
        frame_max in 1usize..100_000,
    ) {
        let mut decoder = Decoder::new(Native::with_frame_max(frame_max));
        let mut seen = Transcript::default();
        let mut most_held = 0;
        for piece in pieces(&bytes, &cuts) {
            for part in piece.chunks(1000) {
                if seen.error.is_some() {
                    break;
                }
                feed(&mut decoder, part, &mut seen);
                most_held = most_held.max(decoder.pending().len() + part.len());
                prop_assert!(decoder.capacity() <= (64 << 10).max(2 * most_held));
                prop_assert!(decoder.capacity() <= (64 << 10).max(2 * (frame_max.max(1024) + 4)));
            }
        }
    }

    #[test]
    fn every_frame_goes_round_trip(
        name in "\\PC{1,60}",
        label in "(?s).{0,60}",
        text in "(?s).{0,300}",
        numbers in any::<(u32, bool, u32, u8, u64, u64, u64, bool)>(),
        (probe, in_hello) in any::<(bool, Option<u32>)>(),
        payload in vec(any::<u8>(), 0..2000),
    ) {
        let (id, always, heartbeat_time_ms, code, sent_us, echo_us, echo_age_us, timed) = numbers;
        let timing = timed.then_some(Timing { sent_us, echo_us, echo_age_us });
        prop_assume!(name.len() <= TEXT_MAX && !name.contains(char::is_control));
        prop_assume!(label.len() <= TEXT_MAX);
        let hello = Hello::default().name(&name).label(&label).id(id);
        let frames = [
            Frame::Hello(hello.always(always).probe(probe).heartbeat_time_ms(in_hello)),
            Frame::Heartbeat(Heartbeat { heartbeat_time_ms, timing }),
            Frame::Data(&payload),
            Frame::Bye(Bye { code: ByeCode(code), text: &text }),
        ];
        for said in frames {
            let bytes = vectors::encode(&said);
            let mut decoder = Decoder::new(Native::default());
            let mut seen = Transcript::default();
            feed(&mut decoder, &bytes[..bytes.len() - 1], &mut seen);
            prop_assert_eq!(&seen, &Transcript::default());
            decoder.spare()[0] = bytes[bytes.len() - 1];
            decoder.handle_filled(1);
            let heard = decoder.poll_frame().expect("what was encoded decodes").expect("whole");
            match (said, heard) {
                (Frame::Bye(said), Frame::Bye(heard)) => {
                    prop_assert_eq!(said.code, heard.code);
                    prop_assert!(said.text.starts_with(heard.text));
                    let cut = said.text.len() - heard.text.len();
                    prop_assert!(cut == 0 || (252..=255).contains(&heard.text.len()));
                }
                _ => prop_assert_eq!(said, heard),
            }
            drain(&mut decoder, &mut seen);
            prop_assert_eq!(seen, Transcript::default());
        }
    }
}
