//! The limits of a configuration, each with the reason it exists.
//!
//! A file may be wrong, huge or hostile; these numbers are what keeps reading it short and small.
//! Whoever passes one gets an error that names it. Nothing here is settable: the limits lie far
//! above any real deployment.

/// Bytes of one file. A folder of logs named by mistake must not be read to its end.
pub const MAX_FILE_BYTES: usize = 16 << 20;

/// Bytes of all files of one configuration together, a file counted each time it is included.
pub const MAX_TOTAL_BYTES: usize = 64 << 20;

/// Files of one configuration, a file counted each time it is included. Without it a chain of
/// files that include the next one twice would double at every step.
pub const MAX_FILES: usize = 4096;

/// Includes inside includes.
pub const MAX_INCLUDE_DEPTH: usize = 32;

/// Groups and `if`s inside each other, all files of a chain together.
pub const MAX_NESTING: usize = 256;

/// Bytes of one line, before and after its variables are expanded.
pub const MAX_LINE_BYTES: usize = 64 << 10;

/// Bytes that variables may insert in one configuration, so that values built from values cannot
/// fill the memory.
pub const MAX_EXPANSION_BYTES: usize = 64 << 20;

/// Variables inside the names of variables: `${A${B}}` is two.
pub const MAX_VARIABLE_DEPTH: usize = 32;

/// Variables that are defined at one time.
pub const MAX_VARIABLES: usize = 1 << 16;

/// Peers of one configuration, as upstream.
pub const MAX_PEERS: usize = 1023;

/// Addresses of one peer, and interfaces to listen on.
pub const MAX_ADDRESSES: usize = 64;

/// Errors that are kept, and warnings; the rest is counted.
pub const MAX_REPORTED: usize = 1000;

/// Bytes of a name, a label or a host, as the HELLO frame carries them.
pub const MAX_NAME_BYTES: usize = 255;
