//! Decoding 64-byte frames from memory.
//!
//! *memory*: adding up one word a cache line of the same bytes, which is what must be fetched.
//! *by hand*: a loop that reads the length word and the payload's first eight bytes. *framing*:
//! [`Framing::decode`] on the same slice. *decoder*: [`Decoder`] as a link uses it, the bytes being
//! in its buffer as if a read had put them there; *and copy*: with the copy that the kernel makes
//! of them in a link; *copy*: that copy alone. *encode*: the other direction, for comparison.
//!
//! Instructions a frame come from callgrind, if valgrind is installed: this program runs itself
//! twice under `valgrind --tool=callgrind`, with 100,000 frames and with 300,000, and divides what
//! the difference cost.

mod common;

use std::cell::RefCell;
use std::hint::black_box;
use std::process::Command;

use common::{
    Args, Contender, Cost, Spread, Table, alternate, heading, number_of, proc, ratio, raw,
};
use peerbeat::protocol::{Decoded, Decoder, Frame, Framing, Native};

type Body = fn(&[u8]) -> u64;

const BODIES: [(&str, Body); 7] = [
    ("by hand", by_hand),
    ("memory", memory),
    ("framing", framing),
    ("decoder", decoder),
    ("decoder and copy", decoder_and_copy),
    ("copy", copy),
    ("encode", encode),
];

fn main() {
    let args = Args::parse();
    if let Some(name) = args.value("count") {
        return count(name, args.number("frames", 1));
    }
    println!("# Decoding 64-byte frames from memory");
    let noise = proc::Noise::start();
    heading("Frames a second (target: at least 150 M/s, or the memory's limit)");
    let frames = args.scaled(100_000_000);
    let wire = wire(WINDOW);
    for body in [framing, decoder, decoder, decoder_and_copy, decoder] {
        assert_eq!(body(&wire), by_hand(&wire), "all walk the same frames");
    }
    let run = |body: Body| {
        let (wire, rounds) = (&wire, frames.div_ceil(WINDOW as u64));
        Box::new(move || {
            Cost::of(rounds * WINDOW as u64, || {
                for _ in 0..rounds {
                    black_box(body(black_box(wire)));
                }
            })
        })
    };
    let mut contenders: Vec<Contender<'_, Cost>> = Vec::new();
    for (name, body) in BODIES {
        contenders.push((name, run(body)));
    }
    let results = alternate(args.rounds(), &mut contenders);
    let mut table = Table::new(["what", "M frames/s", "ns a frame", "x by hand", "instructions"]);
    for ((name, _), costs) in contenders.iter().zip(&results) {
        table.row([
            (*name).to_owned(),
            Spread::of(costs.iter().map(Cost::rate)).to_string(),
            Spread::of(costs.iter().map(|cost| 1e3 / cost.rate())).to_string(),
            ratio(costs, &results[0], Cost::rate).to_string(),
            instructions(name).map_or("no valgrind".to_owned(), |count| format!("{count:.1}")),
        ]);
    }
    table.print();
    noise.report();
}

/// `count` DATA frames of 64 bytes, one behind the other.
fn wire(count: usize) -> Vec<u8> {
    let mut wire = Vec::new();
    for _ in 0..count {
        raw::frame(&[7; 64], &mut wire);
    }
    wire
}

fn by_hand(mut wire: &[u8]) -> u64 {
    let mut sum = 0_u64;
    while let Some((head, rest)) = wire.split_first_chunk::<4>() {
        let (frame, rest) = rest.split_at(u32::from_be_bytes(*head) as usize);
        sum = sum.wrapping_add(number_of(&frame[1..]));
        wire = rest;
    }
    sum
}

fn memory(wire: &[u8]) -> u64 {
    wire.chunks_exact(64).fold(0, |sum: u64, line| sum.wrapping_add(number_of(line)))
}

fn framing(wire: &[u8]) -> u64 {
    let (native, mut at, mut sum) = (Native::default(), 0, 0_u64);
    while let Ok(Decoded::Whole { length, frame }) = native.decode(&wire[at..]) {
        if let Frame::Data(payload) = frame {
            sum = sum.wrapping_add(number_of(payload));
        }
        at += length;
    }
    sum
}

/// The bytes are in the decoder's buffer from the first round on: all of them were taken, so its
/// spare space begins where it began then, and its contents have not changed.
fn decoder(wire: &[u8]) -> u64 {
    DECODER.with_borrow_mut(|decoder| {
        if decoder.capacity() < raw::BUFFER {
            for _ in 0..8 {
                copied(decoder, wire);
            }
        }
        let count = decoder.spare().len().min(wire.len());
        decoder.handle_filled(count);
        take_all(decoder)
    })
}

fn decoder_and_copy(wire: &[u8]) -> u64 {
    DECODER.with_borrow_mut(|decoder| copied(decoder, wire))
}

fn copied(decoder: &mut Decoder<Native>, mut wire: &[u8]) -> u64 {
    let mut sum = 0_u64;
    while !wire.is_empty() {
        let spare = decoder.spare();
        let count = spare.len().min(wire.len());
        spare[..count].copy_from_slice(&wire[..count]);
        decoder.handle_filled(count);
        wire = &wire[count..];
        sum = sum.wrapping_add(take_all(decoder));
    }
    sum
}

fn take_all(decoder: &mut Decoder<Native>) -> u64 {
    let mut sum = 0_u64;
    while let Ok(Some(frame)) = decoder.poll_frame() {
        if let Frame::Data(payload) = frame {
            sum = sum.wrapping_add(number_of(payload));
        }
    }
    sum
}

fn copy(wire: &[u8]) -> u64 {
    BUFFER.with_borrow_mut(|buffer| {
        buffer.clear();
        buffer.extend_from_slice(wire);
        number_of(black_box(buffer))
    })
}

thread_local! {
    static DECODER: RefCell<Decoder<Native>> = RefCell::new(Decoder::new(Native::default()));
    static BUFFER: RefCell<Vec<u8>> = RefCell::default();
}

/// The other direction, for the table: as many frames encoded into one buffer.
fn encode(wire: &[u8]) -> u64 {
    let native = Native::default();
    let payload = black_box([7; 64]);
    BUFFER.with_borrow_mut(|out| {
        out.clear();
        for _ in 0..wire.len() / FRAME {
            native.encode_data(&payload, out).expect("64 bytes fit a frame");
        }
        number_of(black_box(out))
    })
}

/// Under callgrind: some frames of one body, and nothing else.
fn count(name: &str, frames: usize) {
    let wire = wire(WINDOW);
    let (_, body) = BODIES.iter().find(|(known, _)| *known == name).expect("a known body");
    for _ in 0..frames / WINDOW {
        black_box(body(black_box(&wire)));
    }
}

/// Instructions a frame; `None` without valgrind.
fn instructions(name: &str) -> Option<f64> {
    let (few, many) = (100 * WINDOW, 300 * WINDOW);
    let cost = collected(name, many)?.checked_sub(collected(name, few)?)?;
    Some(cost as f64 / (many - few) as f64)
}

fn collected(name: &str, frames: usize) -> Option<u64> {
    let own = std::env::current_exe().ok()?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(own);
    let output = valgrind.args(["--count", name, "--frames", &frames.to_string()]).output().ok()?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = words.lines().find(|line| line.contains("Collected"))?;
    line.split_whitespace().last()?.parse().ok()
}

/// Frames in memory: 64 KiB, what a link reads at a time.
const WINDOW: usize = raw::BUFFER / FRAME;
/// A 64-byte message on the wire.
const FRAME: usize = 69;
