//! TLS under links and nodes: the program of the page on encrypting, and what the tests share.

mod tls;

pub use tls::{Tls, TlsTransport};
