//! Calls of the system that have no time limit, made within one: the resolver, and `connect` of a
//! Unix socket. They cannot be interrupted, so each runs on a thread of its own.
//!
//! A call that hangs holds that thread and nothing else: the dial has failed once its time is
//! over, and a node that stops lets go of it. The next dial of the name waits for the same thread
//! and does not make another. Invariant: at most one thread for each name of a peer.

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

/// One call of the system's.
struct Running<T> {
    address: Address,
    outcome: Mutex<Option<io::Result<T>>>,
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
        self.resolve_by(connect, turns, &address, deadline, stack_size)
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
            None => self.resolve_by(lookup, turns, address, deadline, stack_size),
        }
    }
}

impl<T: Send + 'static> Resolver<T> {
    fn resolve_by(
        &self,
        lookup: impl FnOnce(&Address) -> io::Result<T> + Send + 'static,
        turns: &Arc<Turns>,
        address: &Address,
        deadline: Time,
        stack_size: usize,
    ) -> Option<io::Result<T>> {
        let known = lock(&self.running).iter().find(|other| other.address == *address).cloned();
        let running = match known {
            Some(running) => running,
            None => match begin(lookup, turns, address, stack_size) {
                Ok(running) => {
                    lock(&self.running).push(Arc::clone(&running));
                    running
                }
                Err(error) => return Some(Err(error)),
            },
        };
        let done = turns.wait_until_true(deadline, || lock(&running.outcome).is_some())?;
        if !done {
            return Some(Err(too_late(address)));
        }
        lock(&self.running).retain(|other| !Arc::ptr_eq(other, &running));
        lock(&running.outcome).take()
    }
}

fn begin<T: Send + 'static>(
    lookup: impl FnOnce(&Address) -> io::Result<T> + Send + 'static,
    turns: &Arc<Turns>,
    address: &Address,
    stack_size: usize,
) -> io::Result<Arc<Running<T>>> {
    let running = Arc::new(Running { address: address.clone(), outcome: Mutex::default() });
    let (of_thread, waiting) = (Arc::clone(&running), Arc::clone(turns));
    threads::spawn("pb-resolve", stack_size, move || {
        let outcome = lookup(&of_thread.address);
        *lock(&of_thread.outcome) = Some(outcome);
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

/// None of our code panics while it is locked, so what a poisoned lock guards is whole.
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
        let late = resolver.resolve_by(hang, &turns, &name, soon(), STACK);
        let kind = late.expect("it does not stop").map_err(|error| error.kind());
        assert_eq!(kind, Err(io::ErrorKind::TimedOut));
        // The same name again waits for the same thread; another one does not wait for it.
        let never = |_: &Address| -> Outcome { panic!("it is being resolved already") };
        let again = resolver.resolve_by(never, &turns, &name, soon(), STACK);
        assert!(again.is_some_and(|outcome| outcome.is_err()));
        let later = clock.now() + Duration::from_secs(30);
        let quick = move |_: &Address| Ok(vec![found]);
        let other = resolver.resolve_by(quick, &turns, &address("other"), later, STACK);
        assert_eq!(other.and_then(Result::ok), Some(vec![found]));
        drop(go);
        let never = |_: &Address| -> Outcome { panic!("it is being resolved already") };
        let there = resolver.resolve_by(never, &turns, &name, later, STACK);
        assert_eq!(there.and_then(Result::ok), Some(vec![found]));
        assert!(lock(&resolver.running).is_empty());
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
            let waiting =
                scope.spawn(|| resolver.resolve_by(hang, &turns, &name, later, STACK).is_none());
            turns.stop();
            waiting.join()
        });
        assert!(stopped.expect("it did not panic"));
    }
}
