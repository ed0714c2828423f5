//! Connections between nodes, before they are links: made by kernels, read and written raw, and
//! what nodes do to the links that result.
//!
//! As in reality, a kernel makes a connection even while its process is stopped.

use super::core::{Connection, Core};
use crate::link::LinkOptions;
use crate::sim::end::{End, RawInput, World};
use crate::sim::wire::Piece;
use crate::sim::{Host, LinkId, SimEvent, SimOptions};

impl Core {
    /// The kernel of `from` asks that of `to` for a connection to a port.
    pub(in crate::sim) fn dial_raw(&mut self, from: Host, to: Host, port: u16) -> LinkId {
        let id = self.add_link(from, to, Some(port));
        self.with_end(self.links.len() - 1, 0, End::open_raw);
        id
    }

    /// A kernel is asked for a connection: it makes it if something listens, be it frozen.
    pub(super) fn receive_syn(&mut self, link: usize, host: Host, port: u16) {
        let machine = &self.hosts[host.0];
        if machine.refuses || machine.port != Some(port) {
            return self.push(link, 1, Piece::Reset);
        }
        self.ready.push(host);
        self.with_end(link, 1, End::open_raw);
        self.push(link, 1, Piece::Made);
        let id = self.links[link].id();
        self.accepted.push((host, id));
    }

    /// The next connection that the kernel of a host has accepted, and who made it.
    pub(in crate::sim) fn accept_raw(&mut self, host: Host) -> Option<(LinkId, Host)> {
        let index = self.accepted.iter().position(|(whose, _)| *whose == host)?;
        let (_, link) = self.accepted.remove(index);
        let from = self.place(link, host).map(|(index, _)| self.links[index].ends[0].host);
        Some((link, from.unwrap_or(host)))
    }

    pub(in crate::sim) fn read_raw(&mut self, link: LinkId, host: Host) -> Option<RawInput> {
        let Some((index, which)) = self.place(link, host) else { return Some(RawInput::Reset) };
        // Room for the other side.
        self.links[index].touched = [true; 2];
        self.with_end(index, which, End::read_raw)
    }

    /// Does something to an end, if it is still there.
    pub(in crate::sim) fn with_link<R>(
        &mut self,
        link: LinkId,
        host: Host,
        act: impl FnOnce(&mut End, &mut World<'_>) -> R,
    ) -> Option<R> {
        let (index, which) = self.place(link, host)?;
        Some(self.with_end(index, which, act))
    }

    /// The connection is a node's link from here on.
    pub(in crate::sim) fn go_up(&mut self, link: LinkId, host: Host, options: &LinkOptions) {
        let made = self.with_link(link, host, |end, world| end.go_up(world, options));
        self.made.extend(made.map(|made| ((link, host), made)));
    }

    /// What a node's link was made with.
    pub(in crate::sim) fn made(&self, link: LinkId, host: Host) -> Option<&SimOptions> {
        self.made.get(&(link, host))
    }

    #[cfg(test)]
    pub(in crate::sim) fn made_links(&self) -> usize {
        self.made.len()
    }

    /// Forgets what links were made with that have gone and of which no record is left.
    pub(super) fn forget_made(&mut self) {
        let oldest = self.history.iter().filter_map(|record| record.link).min();
        let (links, made) = (&self.links, &mut self.made);
        made.retain(|(id, _), _| {
            let is_there = || links.binary_search_by_key(id, Connection::id).is_ok();
            oldest.is_some_and(|oldest| oldest <= *id) || is_there()
        });
    }

    /// Takes out of a host what a dead process of it had.
    pub(in crate::sim) fn forget_accepted(&mut self, host: Host) {
        self.accepted.retain(|(whose, _)| *whose != host);
    }

    /// A bit of what arrives at an end is not what was sent.
    pub(super) fn corrupt(&mut self, link: usize, which: usize) {
        let Connection { id, ends, .. } = &mut self.links[link];
        let (id, host) = (*id, ends[which].host);
        match ends[which].is_raw() {
            true => ends[which].corrupt_raw(),
            false => self.tell(host, Some(id), SimEvent::Corrupted),
        }
    }

    /// Sets what the node of a host listens on.
    pub(in crate::sim) fn set_port(&mut self, host: Host, port: Option<u16>) {
        self.hosts[host.0].port = port;
    }

    /// Whether the resolver of a host does not answer.
    pub(in crate::sim) fn hangs(&self, host: Host) -> bool {
        self.hosts[host.0].hangs
    }

    /// The next host whose node must look at something that has arrived.
    pub(in crate::sim) fn take_ready(&mut self) -> Option<Host> {
        self.ready.pop()
    }

    /// The hosts whose process has died since the last call.
    pub(in crate::sim) fn take_deaths(&mut self) -> Vec<Host> {
        std::mem::take(&mut self.died)
    }

    /// The place of a link, and which end is that of the host.
    fn place(&self, link: LinkId, host: Host) -> Option<(usize, usize)> {
        let index = self.links.binary_search_by_key(&link, Connection::id).ok()?;
        let which = self.links[index].ends.iter().position(|end| end.host == host)?;
        Some((index, which))
    }
}
