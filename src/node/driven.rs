//! A node without threads, for another driver: the rules that [`Node`](super::Node) drives with
//! threads, and how such a node begins.
//!
//! Nothing here decides; it only makes those rules visible.

use std::sync::Arc;

pub(crate) use super::accept::enter;
pub(crate) use super::admission::Admission;
pub(crate) use super::backoff::STABLE_WITHOUT_LIMIT;
pub(crate) use super::clock::{Clock, VirtualClock};
pub(crate) use super::conn::{Conn, VirtualConn};
use super::dial;
pub(crate) use super::dial::{Answer, check_answer, end_greeting};
use super::endpoint::Endpoint;
use super::error::StartError;
pub(crate) use super::held::HelloStart;
pub(crate) use super::peer_link::{PeerLink, VirtualLink};
pub(crate) use super::places::Stage;
pub(crate) use super::plan::{DialFailure, DialPlan, DialStep};
pub(crate) use super::reports::Refusal;
pub(crate) use super::resolve::{literal, no_address, too_late};
pub(crate) use super::runtime::PeerRuntime;
pub(crate) use super::session::{About, Session, Teller, hello_to};
pub(crate) use super::shared::{Handshake, Peers, Phase, Shared};
pub(crate) use super::supervisor::{announce, begin_stop, end};
pub(crate) use super::turns::Lease;
use super::{Node, NodeHandler, NodeOptions};
use crate::config::Config;
use crate::link::SystemLimits;

/// Makes a node that listens on these addresses and does nothing by itself.
///
/// # Errors
/// As [`Node::start`], but without sockets and threads.
pub(crate) fn start(
    config: Config,
    options: NodeOptions,
    handler: Arc<dyn NodeHandler>,
    endpoints: Vec<Endpoint>,
    clock: Clock,
) -> Result<Arc<Shared>, StartError> {
    if let Some((peer, addr)) = dial::not_dialled(&config) {
        return Err(StartError::Address { peer, addr });
    }
    let limits = SystemLimits::default();
    Ok(Arc::new(Shared::new(config, options, limits, handler, endpoints, clock)))
}

/// A handle on it, as handlers get one.
pub(crate) fn node(shared: &Arc<Shared>) -> Node {
    Node { shared: Arc::clone(shared), _owner: None }
}
