//! A HELLO that can be read can be written, and reads back the same; one that cannot be written is
//! refused, and nothing is written.
//!
//! The input is taken twice: as the payload of a HELLO from a stranger, and as id, flags, name and
//! label of our own.

use peerbeat::protocol::{Decoded, Frame, Framing, Hello, Native, TEXT_MAX};

/// Runs one input; what breaks a promise panics.
pub(crate) fn run(data: &[u8]) {
    read_from_a_stranger(data);
    write_our_own(data);
}

fn read_from_a_stranger(payload: &[u8]) {
    let mut wire = (payload.len() as u32 + 1).to_be_bytes().to_vec();
    wire.push(1);
    wire.extend_from_slice(payload);
    let Ok(decoded) = Native::default().decode(&wire) else { return };
    let Decoded::Whole { length, frame: Frame::Hello(hello) } = decoded else {
        panic!("not a HELLO: {decoded:?}");
    };
    assert_eq!(length, wire.len());
    check_limits(&hello);
    let written = encode(&hello).expect("a HELLO that was read");
    // What we write is what was read, but for unknown flags and fields of the future.
    assert_eq!(written[5..10], wire[5..10]);
    assert_eq!(written[10], wire[10] & 3);
    assert!(wire[11..].starts_with(&written[11..]));
    assert_eq!(hello.heartbeat_time_ms.is_some(), has_value(&wire));
    assert_same(&written, &hello);
}

fn write_our_own(data: &[u8]) {
    let [flags, a, b, c, d, cut, texts @ ..] = data else { return };
    let Ok(texts) = std::str::from_utf8(texts) else { return };
    let Some((name, label)) = texts.split_at_checked(usize::from(*cut)) else { return };
    let id = u32::from_be_bytes([*a, *b, *c, *d]);
    let (always, probe) = (flags & 1 != 0, flags & 2 != 0);
    let heartbeat_time_ms = (flags & 4 != 0).then_some(id);
    let hello = Hello::default()
        .name(name)
        .label(label)
        .id(id)
        .always(always)
        .probe(probe)
        .heartbeat_time_ms(heartbeat_time_ms);
    let is_legal = (1..=TEXT_MAX).contains(&name.len())
        && !name.contains(char::is_control)
        && label.len() <= TEXT_MAX;
    match encode(&hello) {
        Some(written) => {
            assert!(is_legal, "{hello:?} was written");
            assert_same(&written, &hello);
        }
        None => assert!(!is_legal, "{hello:?} was refused"),
    }
}

/// Whether four bytes or more follow the label.
fn has_value(wire: &[u8]) -> bool {
    let name = usize::from(wire[15]);
    let label = usize::from(wire[16 + name]);
    wire.len() >= 17 + name + label + 4
}

fn encode(hello: &Hello<'_>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let written = hello.encode(&mut out);
    assert_eq!(written.is_err(), out.is_empty(), "a refusal writes nothing");
    written.ok().map(|()| out)
}

fn check_limits(hello: &Hello<'_>) {
    assert!((1..=TEXT_MAX).contains(&hello.name.len()) && hello.label.len() <= TEXT_MAX);
    assert!(!hello.name.contains(char::is_control));
}

fn assert_same(written: &[u8], hello: &Hello<'_>) {
    let expected = Decoded::Whole { length: written.len(), frame: Frame::Hello(*hello) };
    assert_eq!(Native::default().decode(written), Ok(expected));
}
