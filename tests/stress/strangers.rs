//! Connections that are not from peers, or only seem to be.
//!
//! Each does one thing and leaves; the node's answer does not matter here, only that the node
//! lives.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::common::{bye, data, heartbeat, hello};
use super::world::Rng;

/// Connects to the port and behaves in one of many ways.
pub(crate) fn visit(port: u16, rng: &mut Rng) {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return };
    // A visit that fails is one that the node has ended.
    let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
    let _ = behave(&mut stream, rng);
}

fn behave(stream: &mut TcpStream, rng: &mut Rng) -> std::io::Result<()> {
    // One of the three nodes, or a name that is not known.
    let greeting = hello(&format!("n{}", rng.below(4)), "", 0);
    let mut answer = [0; 1000];
    match rng.below(9) {
        0 => rng.pause(100),
        1 => stream.write_all(&[0xff; 20])?,
        2 => {
            stream.write_all(&greeting[..greeting.len() / 2])?;
            rng.pause(50);
        }
        3 => stream.write_all(&greeting)?,
        4 => {
            stream.write_all(&greeting)?;
            let _seen = stream.read(&mut answer)?;
            stream.write_all(&heartbeat(30))?;
            rng.pause(300);
            stream.write_all(&bye(0, ""))?;
        }
        5 => {
            stream.write_all(&greeting)?;
            stream.shutdown(Shutdown::Write)?;
            let _seen = stream.read(&mut answer)?;
        }
        6 => {
            let mut probe = greeting;
            probe[10] |= 2;
            stream.write_all(&probe)?;
            stream.write_all(&heartbeat(0))?;
            while stream.read(&mut answer)? > 0 {}
        }
        7 => stream.write_all(&data(b"first"))?,
        _ => {
            for byte in &greeting {
                stream.write_all(&[*byte])?;
                rng.pause(3);
            }
        }
    }
    Ok(())
}
