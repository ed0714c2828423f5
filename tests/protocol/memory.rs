//! What a peer can make a decoder hold.

use super::{Transcript, feed, frame};
use peerbeat::protocol::{Decoder, Framing, Native};

const SMALL: usize = 1 << 10;
const USUAL: usize = 64 << 10;

fn decoder() -> Decoder<Native> {
    Decoder::new(Native::default())
}

/// Receives `piece` as a read of the decoder's own spare space would.
fn receive(decoder: &mut Decoder<Native>, piece: &[u8]) -> usize {
    let mut seen = Transcript::default();
    feed(decoder, piece, &mut seen);
    assert_eq!(seen.error, None);
    seen.frames.len()
}

#[test]
fn a_new_decoder_holds_nothing() {
    assert_eq!(decoder().capacity(), 0);
}

#[test]
fn nothing_is_allocated_on_the_word_of_a_length() {
    let mut decoder = decoder();
    receive(&mut decoder, &(16u32 << 20).to_be_bytes());
    receive(&mut decoder, b"\x03");
    for _ in 0..200 {
        assert!(!decoder.spare().is_empty());
        assert_eq!(decoder.capacity(), SMALL);
    }
    // A thousand bytes later nothing has changed: they fit.
    receive(&mut decoder, &[0; 1000]);
    assert_eq!(decoder.capacity(), SMALL);
}

#[test]
fn the_buffer_grows_only_with_received_bytes() {
    let mut decoder = decoder();
    let wire = frame(3, &vec![3; (16 << 20) - 1]);
    let mut received = 0;
    for piece in wire.chunks(1021) {
        assert!(decoder.spare().len() <= decoder.capacity());
        let allowed = if received < SMALL { SMALL } else { USUAL.max(2 * received) };
        assert!(decoder.capacity() <= allowed, "{} for {received}", decoder.capacity());
        received += piece.len();
        let whole = receive(&mut decoder, piece);
        assert_eq!(whole, usize::from(received == wire.len()));
    }
    assert!(decoder.capacity() <= 32 << 20);
}

#[test]
fn a_large_frame_gives_its_memory_back_to_small_traffic() {
    let mut decoder = decoder();
    assert_eq!(receive(&mut decoder, &frame(3, &vec![7; 1 << 20])), 1);
    assert!(decoder.capacity() > USUAL);
    let mut rounds = 0;
    while decoder.capacity() > USUAL {
        assert_eq!(receive(&mut decoder, &frame(3, b"tick")), 1);
        rounds += 1;
        assert!(rounds <= 65, "still {} bytes", decoder.capacity());
    }
    assert_eq!(decoder.capacity(), USUAL);
}

#[test]
fn a_grown_buffer_is_kept_for_64_rounds_of_small_traffic_and_not_65() {
    let mut decoder = decoder();
    receive(&mut decoder, &frame(3, &vec![7; 100_000]));
    let grown = decoder.capacity();
    assert_eq!(grown, 2 * USUAL);
    for round in 1..=64 {
        receive(&mut decoder, &frame(3, b"tick"));
        assert_eq!(decoder.capacity(), grown, "round {round}");
    }
    receive(&mut decoder, &frame(3, b"tick"));
    assert_eq!(decoder.capacity(), USUAL);
}

#[test]
fn whole_frames_that_fill_the_buffer_exactly_do_not_make_it_larger() {
    let mut decoder = decoder();
    let frames = frame(3, &[7; 59]).repeat(1024);
    assert_eq!(frames.len(), USUAL);
    for _ in 0..10 {
        assert_eq!(receive(&mut decoder, &frames), 1024);
        assert!(decoder.spare().len() <= USUAL);
        assert_eq!(decoder.capacity(), USUAL);
    }
}

#[test]
fn what_is_held_moves_to_the_front_only_when_less_than_half_is_free() {
    for (filled, moves) in [(120, false), (512, false), (513, true), (1000, true)] {
        let mut decoder = decoder();
        let mut bytes = frame(3, &vec![7; filled - 15]);
        bytes.extend_from_slice(&frame(3, &[8; 100])[..10]);
        assert_eq!((receive(&mut decoder, &bytes), bytes.len()), (1, filled));
        let free = if moves { SMALL - 10 } else { SMALL - filled };
        assert_eq!(decoder.spare().len(), free, "{filled} of {SMALL} filled");
        assert_eq!(decoder.pending(), &bytes[filled - 10..]);
    }
}

#[test]
fn a_buffer_of_the_usual_size_does_not_shrink_to_itself() {
    let mut decoder = decoder();
    let ticks = frame(3, &[7; 123]).repeat(20);
    receive(&mut decoder, &[&ticks[..], &ticks[..10]].concat());
    assert_eq!((decoder.spare().len(), decoder.capacity()), (USUAL - 1546, USUAL));
    for round in 0..100 {
        assert_eq!(decoder.spare().len(), USUAL - 1546, "moved in round {round}");
    }
}

#[test]
fn a_message_takes_no_more_memory_than_its_bytes() {
    let (framing, mut wire) = (Native::default(), Vec::new());
    framing.encode_data(&[7; 10_000], &mut wire).expect("below the limit");
    assert_eq!((wire.len(), wire.capacity()), (10_005, 10_005));
}

#[test]
fn part_of_a_frame_survives_the_shrinking() {
    let mut decoder = decoder();
    receive(&mut decoder, &frame(3, &vec![7; 1 << 20]));
    let last = frame(3, &vec![8; USUAL]);
    receive(&mut decoder, &last[..USUAL - 1]);
    for _ in 0..100 {
        assert!(!decoder.spare().is_empty());
    }
    assert_eq!(decoder.capacity(), USUAL);
    assert_eq!(decoder.pending(), &last[..USUAL - 1]);
    assert_eq!(receive(&mut decoder, &last[USUAL - 1..]), 1);
}

#[test]
fn a_buffer_that_holds_as_much_as_the_usual_one_is_not_shrunk_to_grow_again() {
    let mut decoder = decoder();
    receive(&mut decoder, &frame(3, &vec![7; 1 << 20]));
    let grown = decoder.capacity();
    receive(&mut decoder, &frame(3, &vec![8; USUAL])[..USUAL]);
    for _ in 0..100 {
        assert!(!decoder.spare().is_empty());
        assert_eq!(decoder.capacity(), grown);
    }
}

#[test]
fn a_stream_of_large_frames_keeps_its_buffer() {
    let mut decoder = decoder();
    let large = frame(3, &vec![7; 200 << 10]);
    receive(&mut decoder, &large);
    let held = decoder.capacity();
    for _ in 0..200 {
        assert_eq!(receive(&mut decoder, &large), 1);
        assert_eq!(decoder.capacity(), held);
    }
}

#[test]
fn a_busy_link_is_offered_the_usual_space_after_one_full_read() {
    let mut decoder = decoder();
    let ticks: Vec<u8> = frame(3, b"tick").repeat(2000);
    let count = decoder.spare().len();
    assert_eq!(count, SMALL);
    receive(&mut decoder, &ticks[..count]);
    assert!(decoder.spare().len() > USUAL / 2);
    assert_eq!(decoder.capacity(), USUAL);
}

#[test]
fn a_link_with_only_heartbeats_stays_small() {
    let mut decoder = decoder();
    for _ in 0..5000 {
        assert_eq!(receive(&mut decoder, b"\x00\x00\x00\x05\x02\x00\x00\x13\x88"), 1);
        assert_eq!(decoder.capacity(), SMALL);
    }
}

#[test]
fn a_quiet_link_gives_everything_back_unless_a_frame_is_under_way() {
    let mut decoder = decoder();
    receive(&mut decoder, &frame(3, &vec![7; 1 << 20]));
    receive(&mut decoder, b"\x00\x00\x00\x05\x03ti");
    decoder.shrink();
    assert_eq!(decoder.pending(), b"\x00\x00\x00\x05\x03ti");
    assert_eq!(receive(&mut decoder, b"ck"), 1);
    decoder.shrink();
    assert_eq!(decoder.capacity(), 0);
    assert_eq!(receive(&mut decoder, b"\x00\x00\x00\x05\x03tick"), 1);
    assert_eq!(decoder.capacity(), SMALL);
}

#[test]
fn space_is_offered_even_while_no_frames_are_taken() {
    let mut decoder = decoder();
    let mut held = 0;
    while held < 1 << 20 {
        let space = decoder.spare();
        assert!(!space.is_empty());
        let count = space.len().min(999);
        space[..count].fill(0);
        decoder.handle_filled(count);
        held += count;
        assert_eq!(decoder.pending().len(), held);
        assert!(decoder.capacity() <= USUAL.max(2 * held));
    }
}

#[test]
fn the_decoder_knows_its_framing() {
    let decoder = Decoder::new(Native::with_frame_max(77));
    assert_eq!(decoder.framing().frame_max(), 77);
    let mut out = Vec::new();
    assert!(decoder.framing().encode_data(&[0; 77], &mut out).is_err());
    assert!(out.is_empty(), "a refused payload leaves nothing behind");
}

#[test]
fn what_is_discarded_is_forgotten_and_the_next_frame_is_read_from_its_front() {
    let mut decoder = decoder();
    receive(&mut decoder, b"\x00\x00\x00\x05\x03ti");
    decoder.discard();
    assert_eq!(decoder.pending(), b"");
    assert_eq!(receive(&mut decoder, b"\x00\x00\x00\x05\x03tick"), 1);
}
