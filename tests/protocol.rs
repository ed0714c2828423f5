//! The wire format checked against its description: literal bytes, every split, every error,
//! bounded memory.
//!
//! Frames are compared as their debug text, so that a transcript owns itself and a failure reads.

use std::hash::{DefaultHasher, Hash, Hasher};

use peerbeat::protocol::{Decoder, Frame, Framing, Native, ProtocolError};

#[path = "protocol/errors.rs"]
mod errors;
#[path = "common/frames.rs"]
mod frames;
#[path = "protocol/memory.rs"]
mod memory;
#[path = "protocol/properties.rs"]
mod properties;
#[path = "protocol/splits.rs"]
mod splits;
#[path = "protocol/vector_file.rs"]
mod vector_file;
#[path = "protocol/vectors.rs"]
mod vectors;

use frames::frame;

/// What came out of a decoder: frames in order, and the error that ended them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Transcript {
    frames: Vec<String>,
    error: Option<ProtocolError>,
}

/// Puts `piece` into the decoder, through spare space that is never empty, and takes out all that
/// is whole after every fill.
fn feed<F: Framing>(decoder: &mut Decoder<F>, mut piece: &[u8], into: &mut Transcript) {
    while !piece.is_empty() {
        let spare = decoder.spare();
        assert!(!spare.is_empty(), "no space to receive into");
        let count = piece.len().min(spare.len());
        spare[..count].copy_from_slice(&piece[..count]);
        decoder.handle_filled(count);
        piece = &piece[count..];
        drain(decoder, into);
    }
}

/// The debug text of a frame; of long data only its length and hash, or large frames take seconds.
fn describe(frame: &Frame<'_>) -> String {
    match frame {
        Frame::Data(data) if data.len() > 512 => {
            let mut hasher = DefaultHasher::new();
            data.hash(&mut hasher);
            format!("Data of {} bytes, hash {:x}", data.len(), hasher.finish())
        }
        _ => format!("{frame:?}"),
    }
}

fn drain<F: Framing>(decoder: &mut Decoder<F>, into: &mut Transcript) {
    loop {
        match decoder.poll_frame() {
            Ok(Some(frame)) => into.frames.push(describe(&frame)),
            Ok(None) => return,
            Err(error) => {
                into.error = Some(error);
                return;
            }
        }
    }
}

/// Decodes the pieces with a new decoder.
fn decode_with(framing: Native, pieces: &[&[u8]]) -> Transcript {
    let mut decoder = Decoder::new(framing);
    let mut transcript = Transcript::default();
    for piece in pieces {
        feed(&mut decoder, piece, &mut transcript);
    }
    transcript
}

fn decode(bytes: &[u8]) -> Transcript {
    decode_with(Native::default(), &[bytes])
}

/// A HELLO's payload with this name and label, whatever they hold.
fn hello(name: &[u8], label: &[u8]) -> Vec<u8> {
    let mut payload = b"PBHB\x01\x00\x00\x00\x00\x07".to_vec();
    for text in [name, label] {
        payload.push(u8::try_from(text.len()).expect("a text of a HELLO is short"));
        payload.extend_from_slice(text);
    }
    payload
}
