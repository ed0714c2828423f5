//! What `--help` prints.
//!
//! One text a call, each complete in itself: an option is explained where it can be given, with its
//! unit and its default.

/// The calls.
pub(crate) const COMMAND: &str = "\
peerbeat tells within a promised time that the peer of a TCP connection is gone.

Usage: peerbeat CALL [OPTIONS]

  demo           two nodes and a cable between them that is pulled: the promises, measured
  run FILE       runs the node of a configuration file and prints what happens to its peers
  check FILE...  prints the links that configuration files make, and every warning

  --help         this, or with a call what it takes
  --version      the version

Exit codes: 0 fine, 1 the thing asked for failed, 2 wrong usage or configuration.
";

/// `peerbeat demo`.
pub(crate) const DEMO: &str = "\
Usage: peerbeat demo

Runs two nodes in this process and between them a cable that can be pulled, for about 8 s, and
prints what happened, what was promised and what was measured.

Colours appear only on a terminal, and not where NO_COLOR is set.

Exit codes: 0 every promise held, 1 one was broken (named on stderr).
";

/// `peerbeat run`.
pub(crate) const RUN: &str = "\
Usage: peerbeat run FILE [OPTIONS]

Runs the node of a DataSource configuration file until it is killed, and prints a line for
everything that happens to its peers.

  --app-name N         the application's name, %a in the file (default: peerbeat)
  --define NAME=VALUE  sets a variable of the file; may be repeated, wins over the file
  --json               one JSON object a line
  --duration S         ends in order after S seconds (0 to 1000000000, fractions allowed)
  --send-every S       sends a message to every connected peer each S seconds (0.001 to 86400)
  --send-size N        bytes of such a message (0 to 16777215, default 64)
  --stats-every S      prints the numbers of every peer each S seconds (0.001 to 86400): what
                       went over its links, how late it and we were, round trips, ends by reason
  --echo               sends every message back to the peer it came from
  --show-data          prints a line for every message that arrives

Exit codes: 0 ended after --duration, or stdout was closed by its reader; 1 the node could not
start (port in use, no threads left); 2 wrong usage or configuration, nothing was started.
";

/// `peerbeat check`.
pub(crate) const CHECK: &str = "\
Usage: peerbeat check FILE... [OPTIONS]

Prints each link that a DataSource configuration file makes: who dials whom, heartbeat-time and
slack and where each value was set, when silence is late and when it means down; then every
warning. Of several files it also compares the two ends of each link. Nothing is started.

  --app-name N         the application's name, %a in the file (default: peerbeat)
  --define NAME=VALUE  sets a variable of the file; may be repeated, wins over the file
  --json               one JSON object instead of text
  --strict             exit code 1 where there is any warning

Exit codes: 0 fine, 1 a warning with --strict, 2 wrong usage or configuration.
";

/// `peerbeat --version`.
pub(crate) const VERSION: &str = concat!("peerbeat ", env!("CARGO_PKG_VERSION"), "\n");
