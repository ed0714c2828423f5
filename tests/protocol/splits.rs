//! Bytes arrive in any pieces: the frames are the same.

use super::{Transcript, decode, decode_with, feed, frame, vectors};
use peerbeat::protocol::{Decoder, Native};

/// All vectors in a row, an unknown frame among them, so that splits also fall between frames.
fn stream() -> Vec<u8> {
    let mut bytes: Vec<u8> = vectors::all().iter().flat_map(|(b, _)| b.iter().copied()).collect();
    bytes.extend_from_slice(&frame(0x77, b"from the future"));
    bytes.extend_from_slice(&frame(3, b"the end"));
    bytes
}

// lesson 36
#[test]
fn every_two_part_split_of_every_frame_yields_the_frame() {
    for (bytes, expected) in vectors::all() {
        for at in 0..=bytes.len() {
            let (left, right) = bytes.split_at(at);
            let seen = decode_with(Native::default(), &[left, right]);
            assert_eq!(seen.frames, [format!("{expected:?}")], "split at {at}");
            assert_eq!(seen.error, None);
        }
    }
}

// lesson 36
#[test]
fn no_frame_is_there_before_its_last_byte() {
    for (bytes, expected) in vectors::all() {
        let mut decoder = Decoder::new(Native::default());
        let mut seen = Transcript::default();
        for (at, byte) in bytes.iter().enumerate() {
            assert_eq!(seen, Transcript::default(), "after {at} bytes of {expected:?}");
            assert_eq!(decoder.pending(), &bytes[..at]);
            feed(&mut decoder, &[*byte], &mut seen);
        }
        assert_eq!(seen.frames, [format!("{expected:?}")]);
        assert_eq!(decoder.pending(), b"");
    }
}

#[test]
fn every_two_and_three_part_split_of_a_stream_yields_the_same_frames() {
    let bytes = stream();
    let expected = decode(&bytes);
    assert_eq!(expected.frames.len(), 9);
    for first in 0..=bytes.len() {
        for second in (first..=bytes.len()).step_by(1 + first % 3) {
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            assert_eq!(decode_with(Native::default(), &pieces), expected, "{first}, {second}");
        }
    }
}

#[test]
fn a_stream_byte_by_byte_yields_the_same_frames() {
    let bytes = stream();
    let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(decode_with(Native::default(), &pieces), decode(&bytes));
}

// lesson 36
#[test]
fn polling_between_pieces_loses_nothing_however_often() {
    let bytes = stream();
    let mut decoder = Decoder::new(Native::default());
    let mut seen = Transcript::default();
    for piece in bytes.chunks(3) {
        // A timed-out read: space was offered, nothing came.
        for _ in 0..70 {
            assert!(!decoder.spare().is_empty());
            decoder.handle_filled(0);
            super::drain(&mut decoder, &mut seen);
        }
        feed(&mut decoder, piece, &mut seen);
    }
    assert_eq!(seen, decode(&bytes));
}

#[test]
fn frames_larger_than_every_buffer_size_arrive_whole_at_every_alignment() {
    // Around the sizes at which the buffer grows and moves.
    for size in [1019, 1020, 1024, 4096, 65_530, 65_531, 65_532, 131_067, 131_072, 200_000] {
        for lead in [0, 1, 5, 4000, 40_000] {
            let payload: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let bytes = [frame(3, &vec![9; lead]), frame(3, &payload), frame(3, b"tail")].concat();
            let whole = decode(&bytes);
            assert_eq!(whole.frames.len(), 3);
            for step in [1000, 4096, 65_536, 70_001] {
                let pieces: Vec<&[u8]> = bytes.chunks(step).collect();
                let seen = decode_with(Native::default(), &pieces);
                assert!(seen == whole, "size {size}, lead {lead}, step {step}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "more bytes filled than there was space")]
fn filling_more_than_the_space_is_the_callers_mistake() {
    let mut decoder = Decoder::new(Native::default());
    let space = decoder.spare().len();
    decoder.handle_filled(space + 1);
}
