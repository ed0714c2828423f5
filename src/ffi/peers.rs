//! The peers of a node by name, as C asks for them.
//!
//! A name that C was given stays where it is until the node is freed, even if a reload removes the
//! peer: callbacks may have kept the pointer. Asking with that same pointer is faster.
//!
//! The lock is held only for a lookup; nothing is called and nothing waits meanwhile.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::fault::{E_NOT_CONNECTED, E_NOT_FOUND, Fault};
use super::handle::lock;
use super::pointer::{c_text, text};
use crate::connection::{Down, LinkEvent};
use crate::node::{NodeEvent, Peer};
use crate::recover::Recover;

/// Every peer that the node has had.
#[derive(Debug, Default)]
pub(super) struct Peers {
    table: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    by_name: HashMap<String, usize>,
    /// By the address of the text that C has.
    by_text: HashMap<usize, usize>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    known: Arc<KnownPeer>,
    /// `None` until the node has begun.
    peer: Option<Arc<Peer>>,
    /// Whether the configuration of now has it.
    is_present: bool,
}

/// What we keep of a peer for C.
#[derive(Debug)]
pub(super) struct KnownPeer {
    text: CString,
    user_data: AtomicPtr<c_void>,
    seen: Mutex<Seen>,
}

/// What events have said.
#[derive(Debug, Default)]
struct Seen {
    is_late: bool,
    last_down: Option<Down>,
}

impl KnownPeer {
    fn new(name: &str) -> Self {
        let user_data = AtomicPtr::new(null_mut());
        Self { text: c_text(name), user_data, seen: Mutex::default() }
    }

    pub(super) fn text(&self) -> &CStr {
        &self.text
    }

    pub(super) fn user_data(&self) -> *mut c_void {
        self.user_data.load(Ordering::Acquire)
    }

    pub(super) fn set_user_data(&self, data: *mut c_void) {
        self.user_data.store(data, Ordering::Release);
    }

    pub(super) fn is_late(&self) -> bool {
        lock(&self.seen).is_late
    }

    pub(super) fn last_down(&self) -> Option<Down> {
        lock(&self.seen).last_down.clone()
    }

    /// Takes note of an event of the peer.
    pub(super) fn handle_event(&self, event: &NodeEvent) {
        let mut seen = lock(&self.seen);
        match event {
            NodeEvent::Link(LinkEvent::Late { .. }) => seen.is_late = true,
            NodeEvent::Link(LinkEvent::Recovered { .. }) | NodeEvent::Up { .. } => {
                seen.is_late = false;
            }
            NodeEvent::Down(down) => seen.last_down = Some(down.clone()),
            _ => {}
        }
    }
}

impl Table {
    fn add(&mut self, name: &str) -> usize {
        if let Some(&at) = self.by_name.get(name) {
            return at;
        }
        let (at, known) = (self.rows.len(), Arc::new(KnownPeer::new(name)));
        self.by_name.insert(name.to_owned(), at);
        self.by_text.insert(known.text.as_ptr().addr(), at);
        self.rows.push(Row { known, peer: None, is_present: true });
        at
    }

    /// # Safety
    /// `name` is null or a text, as the header says.
    unsafe fn row(&self, name: *const c_char) -> Result<&Row, Fault> {
        let at = match self.by_text.get(&name.addr()) {
            Some(&at) => Some(at),
            // SAFETY: passed on.
            None => self.by_name.get(unsafe { text(name, "peer") }?).copied(),
        };
        if let Some(row) = at.map(|at| &self.rows[at]).filter(|row| row.is_present) {
            return Ok(row);
        }
        // SAFETY: passed on.
        let name = unsafe { text(name, "peer") }?;
        Err(Fault::new(E_NOT_FOUND, format!("no peer is called \"{}\"", name.escape_debug())))
    }
}

impl Peers {
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut table = Table::default();
        for name in names {
            table.add(name);
        }
        Self { table: RwLock::new(table) }
    }

    /// The peer of this name.
    ///
    /// # Safety
    /// `name` is null or a text, as the header says.
    pub(super) unsafe fn peer(&self, name: *const c_char) -> Result<Arc<Peer>, Fault> {
        let table = self.read();
        // SAFETY: passed on.
        let peer = unsafe { table.row(name) }?.peer.clone();
        peer.ok_or_else(|| Fault::new(E_NOT_CONNECTED, "the node is just starting"))
    }

    /// What we keep of the peer of this name.
    ///
    /// # Safety
    /// As [`Self::peer`].
    pub(super) unsafe fn known(&self, name: *const c_char) -> Result<Arc<KnownPeer>, Fault> {
        let table = self.read();
        // SAFETY: passed on.
        Ok(Arc::clone(&unsafe { table.row(name) }?.known))
    }

    /// What we keep of a peer that calls back; its node's peers are met if they were not yet.
    pub(super) fn of(&self, peer: &Peer) -> Arc<KnownPeer> {
        let table = self.read();
        match table.by_name.get(peer.name()).map(|&at| &table.rows[at]) {
            Some(row) if row.peer.is_some() => return Arc::clone(&row.known),
            _ => drop(table),
        }
        self.meet(peer.node().peers());
        let mut table = self.write();
        let at = table.add(peer.name());
        Arc::clone(&table.rows[at].known)
    }

    /// Fills in the peers of a node that has begun.
    pub(super) fn meet(&self, peers: Vec<Peer>) {
        let mut table = self.write();
        for peer in peers {
            let at = table.add(peer.name());
            table.rows[at].peer.get_or_insert_with(|| Arc::new(peer));
        }
    }

    /// The peers of now.
    pub(super) fn present(&self) -> Vec<Arc<Peer>> {
        let present = |row: &Row| row.peer.clone().filter(|_| row.is_present);
        self.read().rows.iter().filter_map(present).collect()
    }

    /// Another configuration is about to be in force: its peers may call back before it is.
    pub(super) fn begin_reload<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let mut table = self.write();
        for name in names {
            let at = table.add(name);
            let row = &mut table.rows[at];
            if !row.is_present {
                (row.is_present, row.peer) = (true, None);
            }
        }
    }

    /// These are the peers of now.
    pub(super) fn end_reload(&self, peers: Vec<Peer>) {
        let mut table = self.write();
        for row in &mut table.rows {
            row.is_present = false;
        }
        for peer in peers {
            let at = table.add(peer.name());
            table.rows[at].is_present = true;
            table.rows[at].peer = Some(Arc::new(peer));
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().recover()
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().recover()
    }
}
