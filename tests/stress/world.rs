//! The three nodes, what is done to them, and what their handlers see of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use peerbeat::config::Config;
use peerbeat::liveness::Time;
use peerbeat::node::{Node, NodeEvent, NodeHandler, NodeOptions, Peer};
use peerbeat::sim::{NodeInvariants, NodeRecord, Seen};

use super::common::{config, listener};
use super::strangers;

pub(crate) const NODES: usize = 3;
/// What handlers panic with.
pub(crate) const ON_PURPOSE: &str = "on purpose";

/// Numbers that look like chance and come again with their seed.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % most
    }

    pub(crate) fn split(&mut self) -> Self {
        Self::new(self.below(u64::MAX >> 33) + 7)
    }

    /// Passes up to so many milliseconds.
    pub(crate) fn pause(&mut self, most_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.below(most_ms + 1)));
    }
}

/// All that the test knows.
pub(crate) struct World {
    ports: [u16; NODES],
    nodes: [Mutex<Option<Node>>; NODES],
    calm: AtomicBool,
    started: AtomicUsize,
    /// The last number that was sent, by sender and receiver.
    sent: Mutex<HashMap<(usize, String), u64>>,
    /// The last number that arrived, by receiver and sender.
    arrived: Mutex<HashMap<(usize, String), u64>>,
    /// By node, start and peer.
    lives: Mutex<HashMap<(usize, usize, String), Life>>,
    broken: Mutex<Vec<String>>,
    /// The invariants that the simulator judges its nodes by.
    laws: Mutex<NodeInvariants>,
}

/// What a handler sees of one name.
#[derive(Clone, Copy, Default)]
struct Life {
    up: bool,
    inside: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Handlers panic on purpose, though never while they hold one of these.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(crate) fn new() -> Self {
        // All three are held until all are known, so that they differ.
        let listeners = [(); NODES].map(|()| listener());
        Self {
            ports: listeners.map(|(_, port)| port),
            nodes: Default::default(),
            calm: AtomicBool::new(false),
            started: AtomicUsize::new(0),
            sent: Mutex::default(),
            arrived: Mutex::default(),
            lives: Mutex::default(),
            broken: Mutex::default(),
            laws: Mutex::default(),
        }
    }

    fn breaks(&self, what: String) {
        lock(&self.broken).push(what);
    }

    pub(crate) fn assert_kept(&self) {
        assert_eq!(*lock(&self.broken), [""; 0]);
        let lives = lock(&self.lives);
        let up: Vec<_> = lives.iter().filter(|(_, life)| life.up).map(|(key, _)| key).collect();
        assert!(up.is_empty(), "up and never down: {up:?}");
    }

    /// A configuration of a node; calm ones are all alike.
    fn config(&self, index: usize, rng: &mut Rng) -> Config {
        let calm = self.calm.load(Ordering::SeqCst);
        let mut chance = |one_in| !calm && rng.below(one_in) == 0;
        let mut text = format!(
            "datasrc-name n{index}\ndatasrc-interface 127.0.0.1\ndatasrc-port {}\n\
             peer-accept-wait-time 1\n",
            self.ports[index]
        );
        if chance(8) {
            text += "datasrc-reject-new-peers\n";
        }
        for other in (0..NODES).filter(|other| *other != index) {
            if chance(6) {
                continue;
            }
            text += &format!("add-peer\nremote-name n{other}\n");
            // Both sides dial, or only the smaller one does.
            if index < other || chance(2) {
                if chance(3) {
                    // Nothing listens there.
                    text += "addr 127.0.0.1\nport 1\n";
                }
                text += &format!("addr 127.0.0.1\nport {}\n", self.ports[other]);
            }
            let value =
                ["0.05", "0.2", "1", "0"][usize::from(chance(2)) * 2 + usize::from(chance(2))];
            text += &format!(
                "heartbeat-time {value}\nheartbeat-slack-time 3\nheartbeat-time-min 0.02\n\
                 reconnect-time-min 0.01\nreconnect-time-max 0.1\nconnect-timeout 2\n"
            );
            if chance(4) {
                text += "heartbeat-mode always\n";
            }
            if chance(4) {
                text += "send-queue-bytes 4096\n";
            }
            text += "end-peer\n";
        }
        config(&text)
    }

    pub(crate) fn start(self: &Arc<Self>, index: usize, rng: &mut Rng) {
        let start = self.started.fetch_add(1, Ordering::SeqCst);
        let watch = Watch { world: Arc::clone(self), index, start, rng: Mutex::new(rng.split()) };
        let mut options = NodeOptions::default();
        options.handshakes_max = 8;
        let node = Node::start_with(self.config(index, rng), watch, options);
        *lock(&self.nodes[index]) = Some(node.unwrap_or_else(|error| panic!("{error}")));
    }

    pub(crate) fn take(&self, index: usize) -> Option<Node> {
        lock(&self.nodes[index]).take()
    }

    /// A handle that does not keep the node running.
    fn peek(&self, index: usize) -> Option<Node> {
        let peers = lock(&self.nodes[index]).as_ref()?.peers();
        peers.first().map(Peer::node)
    }

    /// The pairs that are not connected.
    pub(crate) fn lonely(&self) -> Vec<(usize, String)> {
        let mut lonely = Vec::new();
        for index in 0..NODES {
            let nodes = lock(&self.nodes[index]);
            let peers = nodes.as_ref().map(Node::peers).unwrap_or_default();
            if peers.len() < NODES - 1 {
                lonely.push((index, "peers are missing".to_owned()));
            }
            let down = peers.iter().filter(|peer| !peer.is_up());
            lonely.extend(down.map(|peer| (index, peer.name().to_owned())));
        }
        lonely
    }

    /// Lets handlers do nothing more, and gives every node all of its peers.
    pub(crate) fn calm_down(&self) {
        self.calm.store(true, Ordering::SeqCst);
        for index in 0..NODES {
            let node = lock(&self.nodes[index]).clone();
            let config = self.config(index, &mut Rng::new(1));
            node.expect("it runs").reload(config).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// Does one thing.
    pub(crate) fn act(self: &Arc<Self>, rng: &mut Rng) {
        let index = rng.below(NODES as u64) as usize;
        match rng.below(60) {
            0..=3 => strangers::visit(self.ports[index], rng),
            4 | 5 => {
                let config = self.config(index, rng);
                let node = lock(&self.nodes[index]).clone();
                // It may just be between stop and start.
                let _running = node.map(|node| node.reload(config));
            }
            6 if rng.below(8) == 0 => {
                let mut place = lock(&self.nodes[index]);
                if let Some(node) = place.take() {
                    node.shutdown();
                    node.join();
                    drop(place);
                    self.start(index, rng);
                }
            }
            7 => rng.pause(20),
            8 => self.publish(index, rng),
            _ => {
                let Some(node) = self.peek(index) else { return };
                let peers = node.peers();
                let at = rng.below(peers.len().max(1) as u64) as usize;
                if let Some(peer) = peers.get(at) {
                    self.use_peer(index, peer, rng);
                }
            }
        }
    }

    /// Publishes to all peers of a node, up to so many times that a thread goes round for it.
    fn publish(&self, index: usize, rng: &mut Rng) {
        let Some(node) = self.peek(index) else { return };
        let size = [0, 50, 1000][rng.below(3) as usize];
        for _ in 0..[1, 20, 2000][rng.below(3) as usize] {
            let mut sent = lock(&self.sent);
            let known = sent.iter().filter(|((from, _), _)| *from == index);
            let number = known.map(|(_, number)| *number).max().unwrap_or_default() + 1;
            // A reload may bring others meanwhile.
            let peers = node.peers();
            for peer in &peers {
                sent.insert((index, peer.name().to_owned()), number);
            }
            let mut payload = number.to_be_bytes().to_vec();
            payload.resize(8 + size, 7);
            let published = node.send_to_all(&peers, &payload);
            let answers = published.map(|published| {
                let failed = published.full.len() + published.down.len();
                published.sent + failed + published.not_connected.len()
            });
            drop(sent);
            if answers != Ok(peers.len()) {
                self.breaks(format!("{answers:?} answers for {} peers", peers.len()));
            }
        }
    }

    fn use_peer(&self, index: usize, peer: &Peer, rng: &mut Rng) {
        match rng.below(20) {
            0 => peer.close(),
            1 => drop(peer.set_heartbeat_time(Duration::from_millis(20 + rng.below(400)))),
            2 => drop(peer.set_slack(Duration::from_millis(2000 + rng.below(2000)))),
            3 => drop((peer.stats(), peer.explain(), peer.node().stats())),
            _ => self.send(index, peer, rng),
        }
    }

    fn send(&self, index: usize, peer: &Peer, rng: &mut Rng) {
        // Numbers go up under the lock, whether or not they are taken: only their order counts.
        let mut sent = lock(&self.sent);
        let number = sent.entry((index, peer.name().to_owned())).or_default();
        *number += 1;
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(8 + [0, 1, 50, 1000, 40_000][rng.below(5) as usize], 7);
        let _refused = peer.try_send(&payload);
    }
}

/// The handler of one start of a node.
struct Watch {
    world: Arc<World>,
    index: usize,
    start: usize,
    rng: Mutex<Rng>,
}

impl Watch {
    /// Judges what the handler has seen. Times are not: a real clock is read after the fact.
    fn judge(&self, peer: Option<&Peer>, seen: Seen) {
        let peer = peer.map(|peer| peer.name().to_owned());
        let (node, life) = (self.index, self.start as u64);
        let record = NodeRecord { at: Time::NEVER, node, life, peer, seen };
        if let Err(broken) = lock(&self.world.laws).judge(&record) {
            self.world.breaks(broken.to_string());
        }
    }

    /// Calls `look` with the life of the peer; no other thread may be inside.
    fn inside(&self, peer: &Peer, what: &str, look: impl FnOnce(&mut Life) -> bool) {
        let key = (self.index, self.start, peer.name().to_owned());
        let ok = {
            let mut lives = lock(&self.world.lives);
            let life = lives.entry(key.clone()).or_default();
            !std::mem::replace(&mut life.inside, true) && look(life)
        };
        if !ok {
            self.world.breaks(format!("{key:?}: {what} when it must not be"));
        }
        let leaves = Leaves(self, &key);
        self.act(peer);
        drop(leaves);
    }

    fn act(&self, peer: &Peer) {
        if self.world.calm.load(Ordering::SeqCst) {
            return;
        }
        let mut rng = lock(&self.rng).split();
        match rng.below(80) {
            0 => rng.pause(200),
            1 if rng.below(4) == 0 => panic!("{ON_PURPOSE}"),
            2 => {
                let config = self.world.config(self.index, &mut rng);
                let _stopping = peer.node().reload(config);
            }
            3 if peer.node().join() => self.world.breaks("a join in a handler waited".to_owned()),
            4..=10 => self.world.use_peer(self.index, peer, &mut rng),
            _ => {}
        }
    }
}

/// Records that a call is over, even by a panic.
struct Leaves<'a>(&'a Watch, &'a (usize, usize, String));

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        if let Some(life) = lock(&self.0.world.lives).get_mut(self.1) {
            life.inside = false;
        }
    }
}

impl NodeHandler for Watch {
    fn on_message(&self, peer: &Peer, payload: &[u8]) {
        self.judge(Some(peer), Seen::Message(Vec::new()));
        // Strangers send none.
        let number = u64::from_be_bytes(payload[..8].try_into().unwrap());
        self.inside(peer, "a message", |life| {
            let mut arrived = lock(&self.world.arrived);
            let last = arrived.entry((self.index, peer.name().to_owned())).or_default();
            let ordered = number > *last;
            *last = number;
            life.up && ordered
        });
    }

    fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
        self.judge(peer, Seen::Event(event.clone()));
        let Some(peer) = peer else { return };
        match event {
            NodeEvent::Up { .. } => {
                self.inside(peer, "up", |life| !std::mem::replace(&mut life.up, true));
            }
            NodeEvent::Down(_) => {
                self.inside(peer, "down", |life| std::mem::replace(&mut life.up, false));
            }
            NodeEvent::Link(_) => self.inside(peer, "an event of the link", |life| life.up),
            _ => {}
        }
    }
}
