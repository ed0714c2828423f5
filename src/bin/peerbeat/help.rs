//! What `--help` prints.
//!
//! One text per command, each complete in itself: every command explains all options that it takes,
//! with their units and defaults.

/// The commands.
pub(crate) const COMMAND: &str = "\
peerbeat reports within a guaranteed time that the peer of a TCP connection is
gone.

Usage: peerbeat COMMAND [OPTIONS]

  demo                 pulls the cable between two nodes, and measures
  run FILE             runs the node of a configuration file
  check FILE...        prints the links that files define, and every warning
  top FILE             shows all peers at a glance, worst first
  picture JOURNAL      draws a journal as an SVG: one row per peer
  probe HOST:PORT      asks who listens there, and how far away it is
  cable LISTEN TARGET  carries TCP connections, and breaks them on demand
  conform HOST:PORT    tests an implementation of the protocol

  help COMMAND         prints the options of a command, as COMMAND --help does
  --version            prints the version

Exit codes: 0 success, 1 failure, 2 wrong usage or configuration.
";

/// `peerbeat demo`.
pub(crate) const DEMO: &str = "\
Usage: peerbeat demo [--picture FILE]

Runs two nodes in this process, connected by a cable that can be pulled, for
about 8 s, and prints what happened, what was promised and what was measured.

  --picture FILE  draws the run as an SVG, as peerbeat picture does

Colours appear only on a terminal, and not if NO_COLOR is set.

Exit codes: 0 every promise held, 1 one was broken (named on stderr), or the
output could not be written.
";

/// `peerbeat run`.
pub(crate) const RUN: &str = "\
Usage: peerbeat run FILE [OPTIONS]

Runs the node of a DataSource configuration file until it is stopped, and prints
a line for each event of its peers.

  --app-name N         the application's name, %a in the file (default:
                       application-name in the file, else the name of the file)
  --app-root DIR       the application's root, %r in the file; included files
                       are searched for there last (default: application-root,
                       else the current folder)
  --os NAME            the system for conditions in the file: linux, win32 or
                       darwin (default: this one)
  --define NAME=VALUE  sets a variable, overriding the file; may be repeated
  --json               prints the journal: one JSON object per line
  --duration S         stops after S seconds (0 to 1000000000, fractions
                       allowed)
  --until-eof          stops at the end of stdin
  --send-every S       sends a message to every connected peer every S seconds
                       (0.001 to 86400)
  --send-size N        size of these messages in bytes (0 to 16777215, default
                       64)
  --stats-every S      prints the numbers of every peer every S seconds (0.001
                       to 86400; default with --json: 5)
  --metrics FILE       writes Prometheus metrics to FILE every 15 s, by renaming
                       a complete file, for node_exporter's textfile collector
  --echo               sends every message back to the peer it came from
  --show-data          prints a line for each message that arrives

An orderly stop, also on SIGINT (ctrl-C) and SIGTERM, closes every link with a
goodbye and prints a summary; a second signal ends the process at once. systemd
is notified of readiness, state and end if NOTIFY_SOCKET is set (Type=notify).

Commands on stdin, one per line: dial (dials all peers that are not connected,
without waiting), dial PEER, close PEER.

Exit codes: 0 stopped as asked, or the reader of stdout closed it (noticed when
the next line is written); 1 the node could not start (port in use, no threads
left); 2 wrong usage or configuration, nothing was started.
";

/// `peerbeat check`.
pub(crate) const CHECK: &str = "\
Usage: peerbeat check FILE|DIR... [OPTIONS]

Prints each link that a DataSource configuration file defines: who dials whom,
how each peer is recognised, heartbeat-time and slack and where each value was
set, and after how much silence the peer is late and down; then every warning.
Nothing is started.

Several files are several applications: the two ends of each link are compared,
and peers that match none of the files are listed. DIR is a deployment: its
applications are the .conf files that say who they are or where they listen, and
that no other file includes; one in a folder etc is assumed to run in the folder
above.

  --app-name N         the application's name, %a in the file (default:
                       application-name in the file, else the name of the file)
  --app-root DIR       the application's root, %r in the file; included files
                       are searched for there last (default: application-root,
                       else the current folder)
  --os NAME            the system for conditions in the file: linux, win32 or
                       darwin (default: this one)
  --define NAME=VALUE  sets a variable, overriding the file; may be repeated
  --picture FILE       draws the applications and their links into FILE, as SVG
  --json               prints one JSON object instead of text
  --strict             exit code 1 if there is any warning

Exit codes: 0 success, 1 a warning with --strict, 2 wrong usage or
configuration.
";

/// `peerbeat top`.
pub(crate) const TOP: &str = "\
Usage: peerbeat top FILE | - | --follow JOURNAL [OPTIONS]

Shows all peers at a glance, worst first, and redraws every second. FILE is a
configuration, whose node runs in this process, as with run. - reads a journal
(run --json) from stdin, --follow one that grows, even if it is rotated.

  --once               prints one picture and exits, with 1 if any peer is down
                       or was never up
  --report             prints one picture of all peers with totals, and exits
  --wait S             how long --once and --report wait for the peers of FILE
                       (0 to 3600, default 5)
  --every S            seconds between two pictures (0.1 to 3600, default 1)
  --columns N          width of --once and --report (40 to 500, default 80);
                       from 120 on addresses and rates are shown
  --app-name N         as with run
  --define NAME=VALUE  as with run

Keys: q quits, s sorts, d shows only the peers that are down, / searches, arrow
and page keys select, enter or x shows one peer with its values and the reasons
for them, esc goes back, p pauses. SILENT is the time since the last byte, LIMIT
how long it may be, BEAT the heartbeat-time in force, RTT the last round trip,
LATE the peer's lateness (99 % were no later), QUEUE the bytes that wait to be
sent, LOST the number of ends without a goodbye. Colours appear only on a
terminal, and not if NO_COLOR is set.

Exit codes: 0 success, 1 a peer is down (--once) or the node could not start,
2 wrong usage or configuration.
";

/// `peerbeat picture`.
pub(crate) const PICTURE: &str = "\
Usage: peerbeat picture JOURNAL [OPTIONS] > links.svg

Draws a journal (run --json; - is stdin) as one static SVG: one row per peer,
green while it is up, amber when late, red when down, violet while this process
was stopped, grey before its first connection; hovering shows details. Of more
than 60 peers the worst are drawn. Below is one moment of one peer in detail:
its silence against heartbeat-time, late and limit.

  --peer NAME  the peer of that moment (default: the last one that went down by
               silence)
  --at TIME    the moment, in UTC as in the journal
               (2026-11-28T13:42:39; default: the last verdict)
  --from TIME  draws the journal from this time on
  --last TIME  draws only the end of the journal: 90s, 5min, 1h

Silence is known exactly only at the journal's records: the more often it has
stats (run --stats-every 0.2), the more of it is drawn.

Exit codes: 0 success, 1 the journal cannot be read, 2 wrong usage, or the
journal has no records or no such peer.
";

/// `peerbeat probe`.
pub(crate) const PROBE: &str = "\
Usage: peerbeat probe HOST:PORT [OPTIONS]

Asks who listens there: name, version, heartbeat-time and round trip. A probe is
not a peer: it touches no link of the other side, and causes no event there. A
server that is not peerbeat is identified if it is HTTP, TLS, SSH or silent.

  --count N    asks N times, a second apart (1 to 1000000, default 1)
  --timeout S  how long each step may take (0.01 to 600, default 3)
  --json       prints one JSON object per line; result is peerbeat, refused (it
               speaks the protocol and does not answer probes), http, tls, ssh,
               silent, closed, unknown or unreachable

Exit codes: 0 it was peerbeat every time, 1 it was not, 2 wrong usage.
";

/// `peerbeat cable`.
pub(crate) const CABLE: &str = "\
Usage: peerbeat cable LISTEN TARGET [OPTIONS]

Accepts TCP connections and forwards each to TARGET (HOST:PORT); commands on
stdin break them. It works for any TCP program. LISTEN is HOST:PORT, :PORT for
every address of this machine, or PORT for its loopback.

  --script STEPS  commands at times since the start, separated by semicolons:
                  '2s pull; 5s plug; every 30s reset'
  --json          prints one JSON object per line
  --duration S    stops after S seconds (0 to 1000000000, fractions allowed)
  --until-eof     stops at the end of stdin

Commands: pull [in|out], plug, freeze [in|out], delay [in|out] 80ms,
slice [in|out] 1, rate [in|out] 20k, reset, cut, drop-new, status, help, quit.
out is the direction from the program that dials to the target, in the other.
After plug, connections that lost bytes are ended; freeze loses nothing.

It is a proxy between the programs and not part of their TCP: it loses no
packets, and connecting to it always succeeds. To change that, use netem.

Exit codes: 0 stopped as asked, 1 could not listen on the address, 2 wrong
usage.
";

/// `peerbeat conform`.
pub(crate) const CONFORM: &str = "\
Usage: peerbeat conform HOST:PORT --name NAME [OPTIONS]

Tests an implementation of the wire protocol, and prints one line per check. It
acts as a well-behaved peer and as a broken one, on a new connection for each
check, one after the other. A failure shows what was expected, what arrived, and
the bytes. Rules are numbered as in the crate's documentation of `protocol`.

It takes the place of the peer NAME: never point it at a program in use.

  --name NAME      the name to use: that of a peer that the other side knows
  --listen         waits on HOST:PORT to be dialled, for each check again
  --wait S         how long that may take (default 60)
  --slack S        the other side's slack for this peer (default 2)
  --floor S        the smallest heartbeat-time that it accepts (default 0.1)
  --handshake S    its timeout for a handshake (default 10)
  --tolerance S    how long \"at once\" may take, and how late a verdict may be
                   (default 1)
  --only WORD      only the checks of this rule, or with this word in their line
  --tap            prints Test Anything Protocol
  --json           prints one JSON object per line: v, rule, check, result (ok,
                   failed, skipped), took_ms, and expected, got, bytes or why

Seconds may have a fraction (0.001 to 86400).

Exit codes: 0 no check failed, 1 a check failed or none was run, 2 wrong usage.
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
