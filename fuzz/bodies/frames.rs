//! Any bytes in any pieces: the decoder never panics, yields the same frames as for the bytes in
//! one piece, holds no more memory than was received, stays at an error, and its frames encode to
//! the same bytes.
//!
//! The input is a frame limit (2 bytes), the number of cuts (1 byte), the lengths of the pieces (1
//! byte each), and the stream.

use peerbeat::protocol::{CONTROL_MAX, Decoded, Decoder, Frame, Framing, Native, ProtocolError};

/// Frames as text, and the error that ended them.
type Transcript = (Vec<String>, Option<ProtocolError>);

/// Runs one input; what breaks a promise panics.
pub(crate) fn run(data: &[u8]) {
    let [low, high, cuts, rest @ ..] = data else { return };
    let framing = match u16::from_be_bytes([*high, *low]) {
        0 => Native::default(),
        limit => Native::with_frame_max(limit.into()),
    };
    let (lengths, stream) = rest.split_at(rest.len().min(usize::from(*cuts)));
    let whole = by_definition(framing, stream);
    assert_eq!(whole, in_pieces(framing, stream, lengths));
    assert_eq!(whole, in_pieces(framing, stream, &[]));
}

/// What the framing says without a decoder; each frame must survive its own encoding.
fn by_definition(framing: Native, mut stream: &[u8]) -> Transcript {
    let mut frames = Vec::new();
    loop {
        match framing.decode(stream) {
            Ok(Decoded::Partial) => return (frames, None),
            Ok(Decoded::Whole { length, frame }) => {
                assert!(
                    (5..=stream.len()).contains(&length)
                        && length <= framing.frame_max().max(CONTROL_MAX) + 4
                );
                check_encoding(&frame);
                frames.push(format!("{frame:?}"));
                stream = &stream[length..];
            }
            Err(error) => {
                assert!(!error.to_string().contains(char::is_control), "{error:?}");
                return (frames, Some(error));
            }
        }
    }
}

fn check_encoding(frame: &Frame<'_>) {
    let framing = Native::with_frame_max(1 << 20);
    let mut out = Vec::new();
    match frame {
        Frame::Data(data) => framing.encode_data(data, &mut out).expect("it came in a frame"),
        Frame::Heartbeat(heartbeat) => framing.encode_heartbeat(heartbeat, &mut out),
        Frame::Hello(hello) => hello.encode(&mut out).expect("a HELLO that was read"),
        Frame::Bye(bye) => framing.encode_bye(bye, &mut out),
        Frame::Unknown { .. } => return,
    }
    let again = framing.decode(&out).expect("what we encode decodes");
    assert_eq!(again, Decoded::Whole { length: out.len(), frame: *frame });
}

fn in_pieces(framing: Native, mut stream: &[u8], lengths: &[u8]) -> Transcript {
    let mut decoder = Decoder::new(framing);
    let mut frames = Vec::new();
    let mut lengths = lengths.iter().map(|length| usize::from(*length));
    while !stream.is_empty() {
        let spare = decoder.spare();
        assert!(!spare.is_empty(), "no space to receive into");
        let wanted = lengths.next().unwrap_or(usize::MAX);
        let count = wanted.min(stream.len()).min(spare.len());
        spare[..count].copy_from_slice(&stream[..count]);
        decoder.handle_filled(count);
        stream = &stream[count..];
        let held = decoder.pending().len();
        assert!(decoder.capacity() <= (64 << 10).max(2 * held));
        loop {
            match decoder.poll_frame() {
                Ok(Some(frame)) => frames.push(format!("{frame:?}")),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.poll_frame().err().as_ref(), Some(&error), "it stays");
                    return (frames, Some(error));
                }
            }
        }
    }
    (frames, None)
}
