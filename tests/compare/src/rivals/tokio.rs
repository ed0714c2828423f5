//! tokio with tokio-util's `LengthDelimited` frames; a runtime of one thread at each end, as two
//! programs would have.
//!
//! One sending thread: the task itself feeds its messages into a 64 KiB buffer and flushes at the
//! end, the best that knowing the batch can do. Four: a channel to a task that takes what is there,
//! feeds it, and flushes once nothing more waits.

use std::net::TcpStream;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};

use crate::common::raw::BUFFER;
use crate::common::trips::{Trips, WARM_UP, micros_since};
use crate::common::{Cost, Tally, number, pair};

pub(crate) fn one_way(threads: u64, size: usize, messages: u64) -> Cost {
    let (near, far) = pair();
    Cost::of(messages, || {
        let reader = receive(far, size, messages);
        match threads {
            1 => runtime().block_on(feed_all(near, size, messages)),
            _ => send_from(threads, near, size, messages),
        }
        reader.join().expect("the reader found what was sent");
    })
}

fn receive(far: TcpStream, size: usize, messages: u64) -> JoinHandle<()> {
    thread::spawn(move || {
        runtime().block_on(async {
            let codec = LengthDelimitedCodec::new();
            let mut reader = FramedRead::with_capacity(stream(far), codec, BUFFER);
            let mut tally = Tally::new(size, messages);
            while let Some(frame) = reader.next().await {
                if tally.count(&frame.expect("the frames are whole")) {
                    return;
                }
            }
            panic!("messages are missing");
        });
    })
}

async fn feed_all(near: TcpStream, size: usize, messages: u64) {
    let mut writer = writer(near);
    let mut payload = vec![7; size];
    for sequence in 0..messages {
        number(&mut payload, sequence);
        writer.feed(&payload[..]).await.expect("the reader reads on");
    }
    flush(&mut writer).await;
}

fn send_from(threads: u64, near: TcpStream, size: usize, messages: u64) {
    let (sender, mut queue) = mpsc::channel::<Bytes>(4096);
    thread::scope(|scope| {
        for mine in 0..threads {
            let sender = sender.clone();
            scope.spawn(move || {
                let mut payload = vec![7; size];
                for sequence in (mine..messages).step_by(threads as usize) {
                    number(&mut payload, sequence);
                    let message = Bytes::copy_from_slice(&payload);
                    sender.blocking_send(message).expect("the writer takes on");
                }
            });
        }
        drop(sender);
        runtime().block_on(async {
            let mut writer = writer(near);
            let mut batch = Vec::with_capacity(1024);
            while queue.recv_many(&mut batch, 1024).await > 0 {
                for message in batch.drain(..) {
                    writer.feed(message).await.expect("the reader reads on");
                }
                if queue.is_empty() {
                    flush(&mut writer).await;
                }
            }
            flush(&mut writer).await;
        });
    });
}

pub(crate) fn round_trip(trips: usize) -> Trips {
    let (near, far) = pair();
    let echo = thread::spawn(move || {
        runtime().block_on(async {
            let (mut reader, mut writer) = both(far);
            for _ in 0..trips + WARM_UP {
                let frame = reader.next().await.expect("a frame arrives").expect("and whole");
                writer.send(frame.freeze()).await.expect("the other end reads");
            }
        });
    });
    let micros = runtime().block_on(async {
        let (mut reader, mut writer) = both(near);
        let mut micros = Vec::with_capacity(trips + WARM_UP);
        for _ in 0..trips + WARM_UP {
            let began = Instant::now();
            let message = Bytes::from_static(&[7; 64]);
            writer.send(message).await.expect("the other end reads");
            reader.next().await.expect("the frame returns").expect("and whole");
            micros.push(micros_since(began));
        }
        micros
    });
    echo.join().expect("the echo read all");
    Trips::of(micros[WARM_UP..].to_vec())
}

type Reader = FramedRead<tokio::net::tcp::OwnedReadHalf, LengthDelimitedCodec>;
type Writer = FramedWrite<tokio::net::tcp::OwnedWriteHalf, LengthDelimitedCodec>;

fn both(end: TcpStream) -> (Reader, Writer) {
    let (read, write) = stream(end).into_split();
    let codec = LengthDelimitedCodec::new;
    (FramedRead::new(read, codec()), FramedWrite::new(write, codec()))
}

async fn flush(writer: &mut FramedWrite<tokio::net::TcpStream, LengthDelimitedCodec>) {
    SinkExt::<Bytes>::flush(writer).await.expect("the reader reads on");
}

fn writer(near: TcpStream) -> FramedWrite<tokio::net::TcpStream, LengthDelimitedCodec> {
    let mut writer = FramedWrite::new(stream(near), LengthDelimitedCodec::new());
    writer.set_backpressure_boundary(BUFFER);
    writer
}

/// A runtime of the calling thread.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}

/// The same socket as tokio's; called inside a runtime.
pub(crate) fn stream(end: TcpStream) -> tokio::net::TcpStream {
    end.set_nonblocking(true).expect("a connected socket takes options");
    tokio::net::TcpStream::from_std(end).expect("a runtime takes it")
}
