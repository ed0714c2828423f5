//! One life of a node: what its threads would do, done in turns.
//!
//! Every turn asks the node's rules what is to be done and does it on the net. Between turns
//! nothing happens, so it is asked again once something has changed or an instant has come.

use std::sync::Arc;

use super::Ground;
use super::accepted::Worker;
use super::dialler::Dialler;
use super::session::Linked;
use super::wire::{NodeClock, Wire};
use crate::liveness::Time;
use crate::node::Endpoint;
use crate::node::driven::{Conn, Peers, Phase, Shared, announce, begin_stop, end, enter};
use crate::sim::{LinkId, SimEvent};

/// A node that runs.
pub(super) struct Running {
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Arc<NodeClock>,
    /// The peers that have their dialling side.
    peers: Peers,
    diallers: Vec<Dialler>,
    workers: Vec<Worker>,
    /// Connections that wait for their worker.
    wires: Vec<(Endpoint, Wire)>,
    links: Vec<Linked>,
    stops: bool,
    /// When it is to be asked again, if nothing changes before.
    pub(super) next: Time,
}

impl Running {
    /// Reports where it listens, and begins.
    pub(super) fn new(shared: Arc<Shared>, clock: Arc<NodeClock>) -> Self {
        Self {
            shared,
            clock,
            peers: Vec::new().into(),
            diallers: Vec::new(),
            workers: Vec::new(),
            wires: Vec::new(),
            links: Vec::new(),
            stops: false,
            next: Time::ZERO,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.shared.phase() >= Phase::Ended
    }

    /// Does all that can be done now.
    pub(super) fn turn(&mut self, ground: &Ground<'_>) {
        if self.has_ended() {
            self.next = Time::NEVER;
            return;
        }
        if self.shared.phase() == Phase::Starting {
            announce(&self.shared);
        }
        if self.shared.is_stopping() && !std::mem::replace(&mut self.stops, true) {
            ground.stop_listening();
            begin_stop(&self.shared);
        }
        self.find_peers();
        self.accept(ground);
        self.turn_workers(ground);
        self.turn_diallers(ground);
        let reports = self.tell_reports();
        self.end_if_over();
        let dials = self.diallers.iter().map(|dialler| dialler.next);
        let serves = self.workers.iter().map(|worker| worker.next);
        self.next = dials.chain(serves).min().unwrap_or(Time::NEVER).min(reports);
    }

    /// Passes to the node what one of its links saw.
    pub(super) fn tell(&mut self, link: LinkId, event: &SimEvent, now: Time) {
        let Some(index) = self.links.iter().position(|linked| linked.link() == link) else {
            return;
        };
        let SimEvent::Down { down, .. } = event else { return self.links[index].tell(event) };
        let stable = self.links.swap_remove(index).end(down);
        let dialled =
            self.diallers.iter_mut().any(|dialler| dialler.handle_down(link, stable, now));
        if !dialled {
            self.workers.iter_mut().for_each(|worker| worker.handle_down(link));
        }
        self.next = now;
    }

    /// Every peer has its dialling side, which rests while it has no address.
    fn find_peers(&mut self) {
        let peers = self.shared.peers();
        if Arc::ptr_eq(&peers, &self.peers) {
            return;
        }
        for peer in peers.iter() {
            if !self.diallers.iter().any(|dialler| Arc::ptr_eq(&dialler.runtime, peer)) {
                self.diallers.push(Dialler::new(peer));
            }
        }
        self.peers = peers;
    }

    fn accept(&mut self, ground: &Ground<'_>) {
        while let Some((wire, addr)) = ground.accept() {
            self.wires.push((addr.clone(), wire.clone()));
            let worker = enter(&self.shared, Conn::Virtual(Arc::new(wire)), addr);
            self.workers.extend(worker.map(Worker::new));
        }
    }

    fn turn_workers(&mut self, ground: &Ground<'_>) {
        for worker in &mut self.workers {
            if let Some(mut linked) = worker.turn(&self.shared, ground, &mut self.wires) {
                linked.begin();
                self.links.push(linked);
            }
        }
        self.workers.retain(|worker| !worker.is_over());
        if self.workers.is_empty() {
            // Those that were refused without a worker.
            self.wires.clear();
        }
    }

    fn turn_diallers(&mut self, ground: &Ground<'_>) {
        for dialler in &mut self.diallers {
            if let Some(mut linked) = dialler.turn(&self.shared, ground) {
                linked.begin();
                self.links.push(linked);
            }
        }
        self.diallers.retain(|dialler| !dialler.is_over());
    }

    /// Passes on what is reported beside the links; returns when there may be more.
    fn tell_reports(&mut self) -> Time {
        loop {
            match self.shared.reports.poll() {
                Ok((runtime, event)) => drop(self.shared.tell(runtime.as_ref(), &event)),
                Err(next) => return next,
            }
        }
    }

    /// The end, once all links are down and nothing is left to report.
    fn end_if_over(&mut self) {
        let is_over = self.links.is_empty() && self.workers.is_empty() && self.diallers.is_empty();
        if self.stops && is_over {
            self.shared.reports.close();
            self.tell_reports();
            end(&self.shared);
            self.shared.advance(Phase::Joined);
        }
    }
}
