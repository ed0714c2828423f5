//! peerbeat tells a program, within a promised time, that the peer at the other end of a TCP
//! connection is gone, also when the operating system does not say so.

pub mod config;
pub mod link;
pub mod liveness;
pub mod node;
pub mod protocol;
pub mod sim;
