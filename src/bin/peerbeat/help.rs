//! What `--help` prints.
//!
//! One text a command, each complete in itself: an option is explained where it can be given, with
//! its unit and its default.

/// The commands.
pub(crate) const COMMAND: &str = "\
peerbeat tells within a guaranteed time that the peer of a TCP connection is
gone.

Usage: peerbeat COMMAND [OPTIONS]

  demo                 two nodes and a cable that is pulled, measured
  run FILE             runs the node of a configuration file
  check FILE...        prints the links that files make, and every warning
  top FILE             all peers at a glance, worst first
  picture JOURNAL      a journal as an SVG: a row a peer, one moment in detail
  probe HOST:PORT      who listens there, and how far away it is
  cable LISTEN TARGET  carries TCP connections, and breaks them on demand
  conform ADDR         holds an implementation of the protocol to its rules

  help COMMAND         what a command takes; also COMMAND --help
  --version            the version

Exit codes: 0 fine, 1 the thing asked for failed, 2 wrong usage or
configuration.
";

/// `peerbeat demo`.
pub(crate) const DEMO: &str = "\
Usage: peerbeat demo [--picture FILE]

Runs two nodes in this process and between them a cable that can be pulled, for
about 8 s, and prints what happened, what was promised and what was measured.

  --picture FILE  draws the run as an SVG, as peerbeat picture does

Colours appear only on a terminal, and not if NO_COLOR is set.

Exit codes: 0 every promise held, 1 one was broken (named on stderr), or the
output could not be written.
";

/// `peerbeat run`.
pub(crate) const RUN: &str = "\
Usage: peerbeat run FILE [OPTIONS]

Runs the node of a DataSource configuration file until it is asked to end, and
prints a line for everything that happens to its peers.

  --app-name N         the application's name, %a in the file (default:
                       application-name in the file, else the name of the file)
  --app-root DIR       the application's root, %r in the file, and the last
                       place where included files are looked for (default:
                       application-root, else the current folder)
  --os NAME            the system that conditions are read for: linux, win32 or
                       darwin (default: this one)
  --define NAME=VALUE  sets a variable of the file; may be repeated, wins over
                       the file
  --json               the journal: one JSON object a line
  --duration S         ends in order after S seconds (0 to 1000000000, fractions
                       allowed)
  --until-eof          ends in order when stdin does
  --send-every S       sends a message to every connected peer each S seconds
                       (0.001 to 86400)
  --send-size N        bytes of such a message (0 to 16777215, default 64)
  --stats-every S      prints the numbers of every peer each S seconds (0.001 to
                       86400; default with --json: 5)
  --metrics FILE       writes Prometheus metrics to FILE every 15 s, whole and
                       renamed, for node_exporter's textfile collector
  --echo               sends every message back to the peer it came from
  --show-data          prints a line for each message that arrives

SIGINT (ctrl-C) and SIGTERM end it in order: every link is closed with a
goodbye, and a summary is printed; a second one ends it at once. systemd is
notified of readiness, state and end if NOTIFY_SOCKET is set (Type=notify).

Lines on stdin: dial (peers that are not connected, now, not after the
wait), dial PEER, close PEER.

Exit codes: 0 ended as asked, or stdout was closed by its reader (noticed when
the next line is written); 1 the node could not start (port in use, no threads
left); 2 wrong usage or configuration, nothing was started.
";

/// `peerbeat check`.
pub(crate) const CHECK: &str = "\
Usage: peerbeat check FILE|DIR... [OPTIONS]

Prints each link that a DataSource configuration file makes: who dials whom, how
each peer is recognised, heartbeat-time and slack and where each value was set,
when silence is late and when it means down; then every warning. Nothing is
started.

Several files are several applications: the two ends of each link are compared,
and peers that none of them meets are listed. DIR is a deployment: its
applications are the .conf files in it that no other one includes and that say
who they are; one in a folder etc is taken to run in the folder above.

  --app-name N         the application's name, %a in the file (default:
                       application-name in the file, else the name of the file)
  --app-root DIR       the application's root, %r in the file, and the last
                       place where included files are looked for (default:
                       application-root, else the current folder)
  --os NAME            the system that conditions are read for: linux, win32 or
                       darwin (default: this one)
  --define NAME=VALUE  sets a variable of the file; may be repeated, wins over
                       the file
  --picture FILE       draws the applications and their links into FILE, as SVG
  --json               one JSON object instead of text
  --strict             exit code 1 if there is any warning

Exit codes: 0 fine, 1 a warning with --strict, 2 wrong usage or configuration.
";

/// `peerbeat top`.
pub(crate) const TOP: &str = "\
Usage: peerbeat top FILE | - | --follow JOURNAL [OPTIONS]

Shows all peers at a glance, worst first, and draws again every second. FILE is
a configuration: its node runs here, as with run. - reads a journal from stdin
(run --json), --follow one that grows, also if it is rotated.

  --once               prints one picture and ends: exit code 1 if any peer is
                       down or was never up
  --report             prints one picture of everything and totals, and ends
  --wait S             how long --once and --report wait for the peers of FILE
                       (0 to 3600, default 5)
  --every S            seconds between two pictures (0.1 to 3600, default 1)
  --columns N          columns of --once and --report (40 to 500, default 80);
                       with 120 and more there are addresses and rates
  --app-name N         as with run
  --define NAME=VALUE  as with run

Keys: q ends, s sorts, d shows only those that are down, / finds, arrows and
pages choose, enter or x shows one peer with its values and why, esc goes back,
p pauses. SILENT is the time since the last byte, LIMIT what is still allowed,
LATE the peer's lateness (99 of 100 were no later), LOST the ends without a
goodbye. Colours only on a terminal, and not if NO_COLOR is set.

Exit codes: 0 fine, 1 a peer is down (--once) or the node could not start,
2 wrong usage or configuration.
";

/// `peerbeat picture`.
pub(crate) const PICTURE: &str = "\
Usage: peerbeat picture JOURNAL [OPTIONS] > links.svg

Draws a journal (run --json; - is stdin) as one static SVG: a row a peer, green
while it is up, amber when it is late, red when it is down, violet while this
process was stopped, grey before it was ever connected; what a pointer rests on
is shown. Of more than 60 peers the worst are drawn. Below, one moment of one
peer: its silence against heartbeat-time, late and limit.

  --peer NAME  whose moment (default: the last that went down by silence)
  --at TIME    which moment, in UTC as the journal has it
               (2026-11-28T13:42:39; default: the last verdict)
  --from TIME  draws from there on
  --last TIME  draws the end of the journal alone: 90s, 5min, 1h

The silence is exact where a record speaks of it: the more often a journal has
stats (--stats-every 0.2), the more of it is drawn.

Exit codes: 0 fine, 1 the journal cannot be read, 2 wrong usage, or the journal
holds no records or no such peer.
";

/// `peerbeat probe`.
pub(crate) const PROBE: &str = "\
Usage: peerbeat probe HOST:PORT [OPTIONS]

Asks who listens there: name, version, heartbeat-time and a round trip. It is no
peer for that: no link of the other side is touched, and it tells no one. What
is not peerbeat is named if it is HTTP, TLS or SSH, or silent.

  --count N    asks N times, a second apart (1 to 1000000, default 1)
  --timeout S  how long each step may take (0.01 to 600, default 3)
  --json       one JSON object a line; result is peerbeat, refused (it speaks
               the protocol and does not answer probes), http, tls, ssh, silent,
               closed, unknown or unreachable

Exit codes: 0 it is peerbeat, each time; 1 it is not; 2 wrong usage.
";

/// `peerbeat cable`.
pub(crate) const CABLE: &str = "\
Usage: peerbeat cable LISTEN TARGET [OPTIONS]

Listens, and carries every connection to TARGET (HOST:PORT); words on stdin
break the line. It works for any TCP program. LISTEN is HOST:PORT, :PORT for
every address of this machine, or PORT for its loopback.

  --script STEPS  words at times since the start, with semicolons between:
                  '2s pull; 5s plug; every 30s reset'
  --json          one JSON object a line
  --duration S    ends after S seconds (0 to 1000000000, fractions allowed)
  --until-eof     ends when stdin does

Words: pull [in|out], plug, freeze [in|out], delay [in|out] 80ms,
slice [in|out] 1, rate [in|out] 20k, reset, cut, drop-new, status, help, quit.
out is from the program that dials to the target, in is the way back. After
plug, connections that lost bytes end; freeze loses nothing.

It sits between the programs, not under their TCP: it loses no packets, and
connecting to it always succeeds. For those use netem.

Exit codes: 0 ended as asked, 1 the address could not be listened on, 2 wrong
usage.
";

/// `peerbeat conform`.
pub(crate) const CONFORM: &str = "\
Usage: peerbeat conform HOST:PORT --name NAME [OPTIONS]

Holds an implementation of the wire protocol to its rules, one line a check: it
plays a peer that behaves, and one that does not, on connections of its own, one
after the other. A check that fails shows what was expected, what came, and the
bytes. The rules have the numbers of the crate's documentation of `protocol`.

It takes the place of the peer NAME: never point it at a program in use.

  --name NAME      the name to go by: of a peer that the other side knows
  --listen         waits at HOST:PORT to be dialled, again after each check
  --wait S         how long that may take (default 60)
  --slack S        the other side's slack for this peer (default 2)
  --floor S        the smallest heartbeat-time that it takes (default 0.1)
  --handshake S    its time for a handshake (default 10)
  --tolerance S    what \"at once\" may take, and how late a verdict may be
                   (default 1)
  --only WORD      the checks of this rule, or with this word in their line
  --tap            Test Anything Protocol
  --json           one JSON object a line: v, rule, check, result (ok, failed,
                   skipped), took_ms, and expected, got, bytes or why

Seconds may have a fraction (0.001 to 86400).

Exit codes: 0 nothing failed, 1 a check failed, or there was none; 2 wrong
usage.
";

/// `peerbeat --version`.
pub(crate) const VERSION: &str = concat!("peerbeat ", env!("CARGO_PKG_VERSION"), "\n");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::COLUMNS;

    #[test]
    fn every_line_fits_a_terminal() {
        for text in [COMMAND, DEMO, RUN, CHECK, TOP, PICTURE, PROBE, CABLE, VERSION] {
            for line in text.lines() {
                assert!(line.chars().count() <= COLUMNS, "{line}");
            }
        }
    }
}
