//! System calls that have no timeout, given one: the resolver, and `connect` of a Unix socket. They
//! cannot be interrupted, so each runs on a thread of its own.
//!
//! A call that hangs holds that thread and nothing else: the dial fails when its time is over, and
//! a node that stops abandons the thread. The next dial of the name waits for the same thread and
//! does not make another. A name that was resolved late serves the next dial; a socket that was
//! connected late is closed at once, or the other side would wait for a HELLO. Invariant: at most
//! one thread for each name of a peer.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use super::turns::Turns;
use crate::config::Address;
use crate::link::{Socket, threads};
use crate::liveness::Time;
use crate::recover::Recover;

/// The addresses that a name resolves to.
type Outcome = io::Result<Vec<SocketAddr>>;

/// Connects to the Unix sockets of one peer.
pub(super) type Connector = Resolver<Socket>;

/// The names of one peer that are being resolved.
pub(super) struct Resolver<T = Vec<SocketAddr>> {
    running: Mutex<Vec<Arc<Running<T>>>>,
}

/// One system call.
struct Running<T> {
    address: Address,
    state: Mutex<State<T>>,
}

enum State<T> {
    /// Under way.
    Awaited,
    /// Under way, and its result is not wanted.
    GivenUp,
    Done(io::Result<T>),
    /// It came to its end when it was not wanted.
    Over,
}

impl<T> Default for Resolver<T> {
    fn default() -> Self {
        Self { running: Mutex::default() }
    }
}

impl Connector {
    /// Connects to a Unix socket by `deadline`; `None` = the node stops.
    pub(super) fn connect(
        &self,
        turns: &Arc<Turns>,
        path: &Path,
        deadline: Time,
        stack_size: usize,
    ) -> Option<io::Result<Socket>> {
        let address = Address::Unix(path.to_owned());
        self.resolve_by(connect, turns, &address, deadline, stack_size, false)
    }
}

impl Resolver {
    /// Resolves an address by `deadline`; `None` = the node stops.
    pub(super) fn resolve(
        &self,
        turns: &Arc<Turns>,
        address: &Address,
        deadline: Time,
        stack_size: usize,
    ) -> Option<Outcome> {
        match literal(address) {
            Some(addr) => Some(Ok(vec![addr])),
            None => self.resolve_by(lookup, turns, address, deadline, stack_size, true),
        }
    }
}

impl<T: Send + 'static> Resolver<T> {
    /// `keeps_late`: what comes after the deadline serves the next call.
    fn resolve_by(
        &self,
        lookup: impl FnOnce(&Address) -> io::Result<T> + Send + 'static,
        turns: &Arc<Turns>,
        address: &Address,
        deadline: Time,
        stack_size: usize,
        keeps_late: bool,
    ) -> Option<io::Result<T>> {
        let running = match self.known(address) {
            Some(running) => running,
            None => match begin(lookup, turns, address, stack_size) {
                Ok(running) => {
                    lock(&self.running).push(Arc::clone(&running));
                    running
                }
                Err(error) => return Some(Err(error)),
            },
        };
        let is_done = || matches!(*lock(&running.state), State::Done(_));
        let waited = turns.wait_until_true(deadline, is_done);
        let mut state = lock(&running.state);
        if !matches!(*state, State::Done(_)) {
            if !keeps_late {
                *state = State::GivenUp;
            }
            return waited.map(|_| Err(too_late(address)));
        }
        let outcome = std::mem::replace(&mut *state, State::Over);
        drop(state);
        lock(&self.running).retain(|other| !Arc::ptr_eq(other, &running));
        match (waited, outcome) {
            (Some(_), State::Done(outcome)) => Some(outcome),
            _ => None,
        }
    }

    /// The call that is under way for an address; it is wanted again.
    fn known(&self, address: &Address) -> Option<Arc<Running<T>>> {
        let mut running = lock(&self.running);
        running.retain(|other| !matches!(*lock(&other.state), State::Over));
        let known = running.iter().find(|other| other.address == *address)?;
        let mut state = lock(&known.state);
        match *state {
            State::Over => return None, // it has ended just now
            State::GivenUp => *state = State::Awaited,
            State::Awaited | State::Done(_) => {}
        }
        Some(Arc::clone(known))
    }
}

fn begin<T: Send + 'static>(
    lookup: impl FnOnce(&Address) -> io::Result<T> + Send + 'static,
    turns: &Arc<Turns>,
    address: &Address,
    stack_size: usize,
) -> io::Result<Arc<Running<T>>> {
    let running = Arc::new(Running { address: address.clone(), state: Mutex::new(State::Awaited) });
    let (of_thread, waiting) = (Arc::clone(&running), Arc::clone(turns));
    threads::spawn("pb-resolve", stack_size, move || {
        let outcome = lookup(&of_thread.address);
        let mut state = lock(&of_thread.state);
        *state = match *state {
            State::GivenUp => State::Over,
            _ => State::Done(outcome),
        };
        drop(state);
        waiting.wake();
    })?;
    Ok(running)
}

/// Of an address that was not resolved, or not connected, in time.
pub(crate) fn too_late(address: &Address) -> io::Error {
    let late = match address {
        Address::Unix(_) => "the socket was not connected in time",
        Address::Tcp { .. } => "the name was not resolved in time",
    };
    io::Error::new(io::ErrorKind::TimedOut, late)
}

/// For a name that resolves to nothing.
pub(crate) fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}

/// An address that needs no resolver.
pub(crate) fn literal(address: &Address) -> Option<SocketAddr> {
    let Address::Tcp { host, port } = address else { return None };
    let ip: IpAddr = host.parse().ok()?;
    Some(SocketAddr::new(ip, *port))
}

#[cfg(unix)]
fn connect(address: &Address) -> io::Result<Socket> {
    match address {
        Address::Unix(path) => Ok(std::os::unix::net::UnixStream::connect(path)?.into()),
        Address::Tcp { .. } => Err(io::ErrorKind::Unsupported.into()),
    }
}

#[cfg(not(unix))]
fn connect(_: &Address) -> io::Result<Socket> {
    Err(io::ErrorKind::Unsupported.into())
}

fn lookup(address: &Address) -> Outcome {
    let Address::Tcp { host, port } = address else {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "not a TCP address"));
    };
    let resolved: Vec<_> = (host.as_str(), *port).to_socket_addrs()?.collect();
    match resolved.is_empty() {
        true => Err(no_address()),
        false => Ok(resolved),
    }
}

/// None of our code panics while it is locked, so the data behind a poisoned lock is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().recover()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::node::clock::Clock;

    const STACK: usize = 256 << 10;

    fn address(host: &str) -> Address {
        Address::Tcp { host: host.to_owned(), port: 7 }
    }

    #[test]
    fn a_resolver_that_hangs_costs_its_time_and_one_thread() {
        let clock = Clock::start();
        let (resolver, turns) = (Resolver::default(), Arc::new(Turns::new(&clock)));
        let (go, hangs) = channel::<()>();
        let found: SocketAddr = ([10, 0, 0, 1], 7).into();
        let hang = move |_: &Address| {
            let _gone = hangs.recv();
            Ok(vec![found])
        };
        let soon = || clock.now() + Duration::from_millis(20);
        let name = address("hangs");
        let late = resolver.resolve_by(hang, &turns, &name, soon(), STACK, true);
        let kind = late.expect("it does not stop").map_err(|error| error.kind());
        assert_eq!(kind, Err(io::ErrorKind::TimedOut));
        // The same name again waits for the same thread; another one does not wait for it.
        let never = |_: &Address| -> Outcome { panic!("it is being resolved already") };
        let again = resolver.resolve_by(never, &turns, &name, soon(), STACK, true);
        assert!(again.is_some_and(|outcome| outcome.is_err()));
        let later = clock.now() + Duration::from_secs(30);
        let quick = move |_: &Address| Ok(vec![found]);
        let other = resolver.resolve_by(quick, &turns, &address("other"), later, STACK, true);
        assert_eq!(other.and_then(Result::ok), Some(vec![found]));
        drop(go);
        let never = |_: &Address| -> Outcome { panic!("it is being resolved already") };
        let there = resolver.resolve_by(never, &turns, &name, later, STACK, true);
        assert_eq!(there.and_then(Result::ok), Some(vec![found]));
        assert!(lock(&resolver.running).is_empty());
    }

    #[test]
    fn a_socket_that_is_connected_late_is_closed_at_once() {
        let clock = Clock::start();
        let turns = Arc::new(Turns::new(&clock));
        let sockets: Resolver<std::sync::mpsc::Sender<()>> = Resolver::default();
        let (go, hangs) = channel::<()>();
        let (open, is_closed) = channel();
        let hang = move |_: &Address| {
            let _gone = hangs.recv();
            Ok(open)
        };
        let (soon, name) = (clock.now() + Duration::from_millis(20), address("hangs"));
        let late = sockets.resolve_by(hang, &turns, &name, soon, STACK, false);
        assert!(late.is_some_and(|outcome| outcome.is_err()));
        assert!(is_closed.try_recv().is_err_and(|e| e == std::sync::mpsc::TryRecvError::Empty));
        drop(go);
        // With the sender its socket is gone.
        let closed = is_closed.recv_timeout(Duration::from_secs(30));
        assert_eq!(closed, Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
        // The next dial makes one of its own.
        let again = clock.now() + Duration::from_secs(30);
        let quick = |_: &Address| Ok(channel().0);
        let made = sockets.resolve_by(quick, &turns, &name, again, STACK, false);
        assert!(made.is_some_and(|outcome| outcome.is_ok()));
        assert!(lock(&sockets.running).is_empty());
    }

    #[test]
    fn a_node_that_stops_does_not_wait_for_it() {
        let clock = Clock::start();
        let (resolver, turns) = (Resolver::default(), Arc::new(Turns::new(&clock)));
        let (_go, hangs) = channel::<()>();
        let hang = move |_: &Address| -> Outcome {
            let _gone = hangs.recv();
            Ok(Vec::new())
        };
        let later = clock.now() + Duration::from_secs(60);
        let name = address("hangs");
        let stopped = std::thread::scope(|scope| {
            let waiting = scope
                .spawn(|| resolver.resolve_by(hang, &turns, &name, later, STACK, true).is_none());
            turns.stop();
            waiting.join()
        });
        assert!(stopped.expect("it did not panic"));
    }
}
