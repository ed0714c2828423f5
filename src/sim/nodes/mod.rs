//! Nodes in the net: the configuration, the handler and the rules that run in production, on a
//! virtual clock.
//!
//! A node here is the one of [`node`](crate::node): who owns a peer, which address is dialled when,
//! whom it admits and how it ends are the same values, and its links the same connections. Instead
//! of threads, turns drive it, one node after the other. It decides nothing.

mod accepted;
mod dialler;
mod directory;
mod laws;
mod running;
mod seen;
mod session;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use directory::Directory;
pub use laws::{NodeInvariant, NodeInvariants, NodeViolation};
use running::Running;
use seen::{Log, Recorder};
pub use seen::{NodeRecord, Seen};
pub use session::hold;
use wire::{NodeClock, SharedCore, Wire, lock};

use super::net::{Core, TURNS_MAX};
use super::{Conditions, Host, Op, Record, SimOptions};
use crate::config::{Address, Config};
use crate::liveness::Time;
use crate::node::driven::{self, Clock, Phase, literal};
use crate::node::{Endpoint, Node, NodeHandler, NodeOptions, StartError};

/// A virtual network of nodes.
///
/// ```
/// use peerbeat::config::{Config, PeerBuilder, Port};
/// use peerbeat::node::Peer;
/// use peerbeat::sim::{Nodes, Op, secs};
///
/// let hub = Config::builder().name("hub").port(Port::Fixed(25000));
/// let hub = hub.peer(PeerBuilder::new("feed")).build()?;
/// let feed = Config::builder().name("feed").peer(PeerBuilder::new("hub").addr("hub-1", 25000));
///
/// let mut nodes = Nodes::new(1);
/// let hub = nodes.start("hub-1", hub, |_: &Peer, _: &[u8]| {})?;
/// let feed = nodes.start("feed-1", feed.build()?, |_: &Peer, _: &[u8]| {})?;
/// nodes.at(secs(10.0), Op::PowerOff { host: hub });
/// nodes.run_until(secs(10.0));
/// assert!(nodes.is_up(feed, "hub"));
/// nodes.run_until(secs(17.1)); // 5 s and 2 s of slack
/// assert!(!nodes.is_up(feed, "hub"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Nodes {
    core: SharedCore,
    directory: Directory,
    machines: Vec<Machine>,
    time: Arc<AtomicU64>,
    seed: u64,
    log: Log,
}

/// A machine, and the node on it.
struct Machine {
    /// What it starts again with; none once it has been shut down.
    program: Option<Program>,
    running: Option<Running>,
    lives: u64,
    /// Something has arrived that its node must look at.
    is_ready: bool,
}

struct Program {
    config: Config,
    handler: Arc<dyn NodeHandler>,
    options: NodeOptions,
}

impl Nodes {
    /// A net without nodes, at time zero. All that is left to chance follows from `seed`, the waits
    /// between dials included.
    pub fn new(seed: u64) -> Self {
        Self {
            core: Arc::new(Mutex::new(Core::new(seed))),
            directory: Directory::default(),
            machines: Vec::new(),
            time: Arc::default(),
            seed,
            log: Log::default(),
        }
    }

    /// Starts a node on a machine of its own, which others dial as `name`, as the address of its
    /// `datasrc-interface`, or as 127.0.0.1 with its port.
    ///
    /// # Errors
    /// [`StartError::Address`] for a Unix socket on a system that cannot dial one; nothing else can
    /// fail here.
    pub fn start(
        &mut self,
        name: &str,
        config: Config,
        handler: impl NodeHandler,
    ) -> Result<Host, StartError> {
        self.start_with(name, config, handler, NodeOptions::default())
    }

    /// Starts a node as [`start`](Self::start) does, with options.
    ///
    /// # Errors
    /// [`StartError::Address`], as from [`start`](Self::start).
    pub fn start_with(
        &mut self,
        name: &str,
        config: Config,
        handler: impl NodeHandler,
        options: NodeOptions,
    ) -> Result<Host, StartError> {
        let host = lock(&self.core).add(SimOptions::default());
        self.directory.add(name, host);
        let program = Some(Program { config, handler: Arc::new(handler), options });
        self.machines.push(Machine { program, running: None, lives: 0, is_ready: false });
        self.begin(host)?;
        Ok(host)
    }

    /// Gives a machine another name or address, for others to dial.
    pub fn also_known_as(&mut self, host: Host, name: &str) {
        self.directory.also(name, host);
    }

    /// The node on a machine, as its handler has it from [`Peer::node`](crate::node::Peer::node);
    /// `None` while its process is dead.
    ///
    /// Every call behaves as in a handler of the node: nothing waits. So `send` to a full queue is
    /// [`SendError::Full`](crate::link::SendError::Full), `wait_up` and `wait_room` say what is
    /// true now, `drain` begins, and `join` returns `false`.
    pub fn node(&self, host: Host) -> Option<Node> {
        let running = self.machines.get(host.0)?.running.as_ref()?;
        Some(driven::node(&running.shared))
    }

    /// Whether the peer of this name is connected, as the node sees it.
    pub fn is_up(&self, host: Host, peer: &str) -> bool {
        self.node(host).and_then(|node| node.peer(peer)).is_some_and(|peer| peer.is_up())
    }

    /// Sets the network's conditions everywhere, for what is sent from now on.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        lock(&self.core).set_conditions(conditions);
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        Time::from_nanos(self.time.load(Ordering::Relaxed))
    }

    /// Writes `op` into the script: it happens at `time`, after what was written for that instant
    /// before; at once if that is past. [`Op::Connect`] does nothing here.
    pub fn at(&mut self, time: Time, op: Op) {
        if !matches!(op, Op::Connect { .. }) {
            lock(&self.core).at(time, op);
        }
    }

    /// Does `op` now; [`Op::Connect`] does nothing here.
    pub fn apply(&mut self, op: Op) {
        if !matches!(op, Op::Connect { .. }) {
            lock(&self.core).apply(op);
        }
    }

    /// Goes on to the next instant at which something happens and does all that happens there;
    /// returns it, or `None` if nothing will ever happen.
    ///
    /// # Panics
    /// If something at one instant never ends.
    pub fn step(&mut self) -> Option<Time> {
        // What the program has asked for since is due before time goes on.
        self.work();
        let next = self.next();
        if next == Time::NEVER {
            return None;
        }
        {
            let mut core = lock(&self.core);
            core.pass_to(next);
            self.time.store(core.now().as_nanos(), Ordering::Relaxed);
        }
        self.work();
        lock(&self.core).end_step();
        Some(self.now())
    }

    /// Runs until `time`, what happens at that instant included.
    pub fn run_until(&mut self, time: Time) {
        self.work();
        while self.next() <= time && self.step().is_some() {}
        let mut core = lock(&self.core);
        core.pass(time);
        self.time.store(core.now().as_nanos(), Ordering::Relaxed);
    }

    /// Runs for `time`.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now() + time);
    }

    /// What the handlers were given since the records were last [taken](Self::take_records).
    pub fn records(&self) -> Vec<NodeRecord> {
        self.log.lock().clone()
    }

    /// Takes what the handlers were given, so that a long run takes no memory.
    pub fn take_records(&mut self) -> Vec<NodeRecord> {
        std::mem::take(&mut *self.log.lock())
    }

    /// Forgets what happened on the links but for the last few records, so that a long run takes
    /// no memory.
    pub fn forget(&mut self) {
        lock(&self.core).forget();
    }

    /// What happened on the links, for the invariants.
    pub(super) fn with_core<R>(&self, look: impl FnOnce(&Core) -> R) -> R {
        look(&lock(&self.core))
    }

    fn begin(&mut self, host: Host) -> Result<(), StartError> {
        let machine = &mut self.machines[host.0];
        let Some(Program { config, handler, options }) = &machine.program else { return Ok(()) };
        let (port, endpoints) = self.directory.listen(host, config);
        let seed = self.seed ^ (host.0 as u64 + 1).rotate_left(32) ^ (machine.lives << 20);
        let clock = Arc::new(NodeClock::new(&self.time, seed));
        let recorder = Recorder {
            handler: Arc::clone(handler),
            log: self.log.clone(),
            clock: clock.clone(),
            node: host.0,
            life: machine.lives,
        };
        let virtual_clock = Clock::Virtual(clock.clone());
        let shared = driven::start(
            config.clone(),
            options.clone(),
            Arc::new(recorder),
            endpoints,
            virtual_clock,
        )?;
        machine.lives += 1;
        machine.running = Some(Running::new(shared, clock));
        lock(&self.core).set_port(host, port);
        Ok(())
    }

    fn next(&self) -> Time {
        let core = lock(&self.core);
        let runs = |index: usize| core.runs(Host(index));
        let machines = self.machines.iter().enumerate().filter(|(index, _)| runs(*index));
        let nodes = machines.filter_map(|(_, machine)| Some(machine.running.as_ref()?.next));
        nodes.min().unwrap_or(Time::NEVER).min(core.next())
    }

    /// Does what can be done at this instant, until nothing more can.
    fn work(&mut self) {
        for _ in 0..TURNS_MAX {
            self.bury();
            let handed_on = self.hand_on();
            let worked = lock(&self.core).turn_ends();
            if !self.turn_nodes() && !worked && !handed_on {
                return;
            }
        }
        panic!("the net does not come to rest at {:?}: something asks again and again", self.now());
    }

    /// Lets every node that has something to do do it; returns whether one had.
    fn turn_nodes(&mut self) -> bool {
        let mut worked = false;
        let now = self.now();
        while let Some(host) = { lock(&self.core).take_ready() } {
            self.machines[host.0].is_ready = true;
        }
        for (index, machine) in self.machines.iter_mut().enumerate() {
            let (host, core) = (Host(index), &self.core);
            let Some(running) = &mut machine.running else { continue };
            let has_work = machine.is_ready || running.next <= now || running.clock.is_dirty();
            if !has_work || !lock(core).runs(host) {
                continue;
            }
            machine.is_ready = false;
            running.clock.clean();
            running.turn(&Ground { core, directory: &self.directory, host, now });
            worked = true;
            if running.has_ended() {
                machine.program = None;
            }
        }
        worked
    }

    /// Hands what links saw to their nodes; what handlers do may be seen in turn.
    fn hand_on(&mut self) -> bool {
        let (mut handed_on, now) = (false, self.now());
        loop {
            let record = {
                let mut core = lock(&self.core);
                core.next_record().and_then(|_| core.record().cloned())
            };
            let Some(Record { host, link, event, .. }) = record else { return handed_on };
            handed_on = true;
            let machine = &mut self.machines[host.0];
            match (link, &mut machine.running) {
                (Some(link), Some(running)) => running.tell(link, &event, now),
                (None, None) if event == super::SimEvent::Started => {
                    // It started with the same configuration before.
                    let _ = self.begin(host);
                }
                _ => {}
            }
        }
    }

    /// Takes away the nodes whose process has died.
    fn bury(&mut self) {
        let died = lock(&self.core).take_deaths();
        for host in died {
            if let Some(running) = self.machines[host.0].running.take() {
                running.shared.take_handler();
                running.shared.advance(Phase::Joined);
                lock(&self.core).forget_accepted(host);
            }
        }
    }
}

/// What a node does its work on.
struct Ground<'a> {
    core: &'a SharedCore,
    directory: &'a Directory,
    host: Host,
    now: Time,
}

impl Ground<'_> {
    /// Asks for a connection; `None` = nothing answers there.
    ///
    /// # Errors
    /// A machine does not dial itself here.
    fn dial(&self, addr: &Endpoint) -> Result<Option<Wire>, io::ErrorKind> {
        let Some((to, port)) = self.directory.find(addr) else { return Ok(None) };
        if to == self.host {
            return Err(io::ErrorKind::ConnectionRefused);
        }
        let link = lock(self.core).dial_raw(self.host, to, port);
        Ok(Some(Wire::new(self.core, self.host, link)))
    }

    /// The next connection that the kernel has accepted, and where it came from.
    fn accept(&self) -> Option<(Wire, Endpoint)> {
        let (link, from) = lock(self.core).accept_raw(self.host)?;
        let port = EPHEMERAL + (link.0 % 28_000) as u16;
        let addr = Endpoint::from(SocketAddr::new(self.directory.ip(from), port));
        Some((Wire::new(self.core, self.host, link), addr))
    }

    /// What an address resolves to; `None` = the resolver does not answer.
    fn resolve(&self, address: &Address) -> Option<io::Result<Vec<Endpoint>>> {
        if let Some(known) = literal(address) {
            return Some(Ok(vec![known.into()]));
        }
        let hangs = lock(self.core).hangs(self.host);
        (!hangs).then(|| self.directory.resolve(address))
    }

    fn stop_listening(&self) {
        lock(self.core).set_port(self.host, None);
    }
}

/// Where the ports begin that connections come from.
const EPHEMERAL: u16 = 32_768;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigOptions;
    use crate::node::Peer;

    fn node(nodes: &mut Nodes, name: &str, text: &str) -> Host {
        let text = format!("datasrc-name {name}\n{text}\nend-peer\n");
        let config = Config::parse(&text, &ConfigOptions::default()).expect("it is right");
        nodes.start(name, config, |_: &Peer, _: &[u8]| {}).expect("it starts")
    }

    #[test]
    fn what_links_were_made_with_is_forgotten_with_them() {
        let mut nodes = Nodes::new(1);
        let a = node(&mut nodes, "a", "datasrc-port 25000\nadd-peer\nremote-name b");
        let dials = "addr a\nport 25000\nreconnect-time-min 0.01\nreconnect-time-max 0.01";
        let b = node(&mut nodes, "b", &format!("add-peer\nremote-name a\n{dials}"));
        for _ in 0..200 {
            nodes.apply(Op::Reset { a, b });
            nodes.run_for(Duration::from_millis(100));
            nodes.forget();
        }
        let made = lock(&nodes.core).made_links();
        assert!((1..50).contains(&made), "{made}");
    }

    #[test]
    fn only_a_node_says_who_is_dialled() {
        let mut nodes = Nodes::new(1);
        let a = node(&mut nodes, "a", "datasrc-port 25000\nadd-peer\nremote-name b");
        let b = node(&mut nodes, "b", "add-peer\nremote-name a");
        nodes.apply(Op::Connect { from: b, to: a });
        nodes.at(Time::from_nanos(5), Op::Connect { from: a, to: b });
        assert_eq!(nodes.step(), None);
    }
}
