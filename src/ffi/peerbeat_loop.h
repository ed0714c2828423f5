/*
 * peerbeat_loop.h - for hosts with their own sockets and event loop: no threads, locks or clocks.
 * peerbeat.h includes it, and has the conventions.
 *
 * All times are nanoseconds on a monotonic clock of yours, such as CLOCK_MONOTONIC.
 */
#ifndef PEERBEAT_LOOP_H
#define PEERBEAT_LOOP_H

#include "peerbeat.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PEERBEAT_NEVER UINT64_MAX

/* What to do next. */
enum peerbeat_next {
    PEERBEAT_NEXT_NOTHING = 0,        /* ask again at *deadline_ns, or after reading or writing */
    PEERBEAT_NEXT_SEND_HEARTBEAT = 1, /* send one with *value_ms; report it with _heartbeat_sent */
    PEERBEAT_NEXT_LATE = 2,           /* the peer is late: for the log, once per silence */
    PEERBEAT_NEXT_SILENT = 3,         /* the peer is gone: close the connection at once */
    PEERBEAT_NEXT_STALLED = 4,        /* we were stopped; it got one more slack: for the log */
    PEERBEAT_NEXT_WRITE_STALLED = 5,  /* it has stopped reading: close the connection */
    PEERBEAT_NEXT_EVENT = 6,          /* of a connection: *event is what happened */
    PEERBEAT_NEXT_SHUTDOWN_WRITE = 7  /* of a connection: shut the socket's sending direction */
};

/* Connections ---------------------------------------------------------------------------------- */
/* A link as a value: framing, send queue, heartbeats, verdicts, an orderly close and the account of
 * the end. The socket is yours, non-blocking. One turn of your loop:
 *
 *   read once into _space and report it with _received;
 *   write what _transmit gives and report it with _written; then ask _next, and both again, until
 *   it returns PEERBEAT_NEXT_NOTHING; poll the socket, for writing if something is left of
 *   _transmit, until *deadline_ns. If there is more to read, poll returns at once.
 *
 * This way bytes that arrived in time count before a verdict is passed. Pointers that functions
 * return are valid until the next call on the connection. In a forked child a connection continues
 * as a copy. */
typedef struct peerbeat_connection peerbeat_connection;

/* The largest HELLO, ours or the peer's, in bytes. */
#define PEERBEAT_HELLO_MAX 1028

/* Puts our HELLO into buf. The side that dials sends it first; the side that accepts sends it after
 * it has made a connection from the peer's HELLO, and before anything else. */
int peerbeat_connection_hello(const peerbeat_options *options, void *buf, size_t cap, size_t *len);

/* Makes a connection, established at now_ns, from the bytes received so far: the peer's HELLO and
 * what followed it. PEERBEAT_E_TIMEOUT: the HELLO is not complete yet, call again with more;
 * PEERBEAT_E_REFUSED, PEERBEAT_E_HANDSHAKE: close the socket. How long to wait is up to you. With
 * PEERBEAT_HANDSHAKE_NONE in the options there is no HELLO, and received may be empty. The options
 * used are the names, times, mode, frame_max, queue_bytes and the limits of a close. */
int peerbeat_connection_new(const peerbeat_options *options, const void *received, size_t len,
                            uint64_t now_ns, peerbeat_connection **connection);
void peerbeat_connection_free(peerbeat_connection *connection); /* closes no socket */

const char *peerbeat_connection_remote_name(const peerbeat_connection *connection);
const char *peerbeat_connection_remote_label(const peerbeat_connection *connection);

/* _space: the buffer to read into, never empty. _received: count bytes were read into it.
 * _read_failed: a read failed with this errno, or 0 for the end of the stream. Ask _next until it
 * has nothing before you read more. */
int peerbeat_connection_space(peerbeat_connection *connection, void **space, size_t *len);
int peerbeat_connection_received(peerbeat_connection *connection, size_t count, uint64_t now_ns);
int peerbeat_connection_read_failed(peerbeat_connection *connection, int number, uint64_t now_ns);

/* _transmit: the bytes to write now, perhaps none. _written: the kernel accepted count of them;
 * report it even if it is 0. _write_failed: a write failed with this errno; go on reading, since
 * what has arrived is still handed on. */
int peerbeat_connection_transmit(peerbeat_connection *connection, uint64_t now_ns,
                                 const void **data, size_t *len);
int peerbeat_connection_written(peerbeat_connection *connection, size_t count, uint64_t now_ns);
int peerbeat_connection_write_failed(peerbeat_connection *connection, int number, uint64_t now_ns);

/* Asks what to do: PEERBEAT_NEXT_NOTHING, _EVENT or _SHUTDOWN_WRITE. Messages are events too, of
 * kind PEERBEAT_EVENT_MESSAGE; peer is the remote name. After PEERBEAT_EVENT_DOWN shut both
 * directions, close the socket and free; any further call returns PEERBEAT_E_DOWN. */
int peerbeat_connection_next(peerbeat_connection *connection, uint64_t now_ns,
                             uint64_t *deadline_ns, peerbeat_event *event);

/* Accepts a message: the next _transmit includes it. PEERBEAT_E_FULL: there is no room. */
int peerbeat_connection_send(peerbeat_connection *connection, const void *data, size_t len);

/* Begins an orderly close; continue until PEERBEAT_EVENT_DOWN. Messages that arrive meanwhile are
 * dropped and counted by _close, and handed on by _drain. */
int peerbeat_connection_close(peerbeat_connection *connection, uint64_t now_ns);
int peerbeat_connection_drain(peerbeat_connection *connection, uint64_t now_ns);

/* As for a link. */
int peerbeat_connection_set_heartbeat_time(peerbeat_connection *connection,
                                           uint32_t heartbeat_time_ms, uint64_t now_ns);
int peerbeat_connection_set_slack(peerbeat_connection *connection, uint32_t slack_ms,
                                  uint64_t now_ns);
int peerbeat_connection_stats(const peerbeat_connection *connection, uint64_t now_ns,
                              peerbeat_stats *stats);

/* Liveness ------------------------------------------------------------------------------------- */
/* Yours to allocate, and to copy like any struct: it uses no heap. */
typedef struct peerbeat_liveness {
    uint64_t opaque[96];
} peerbeat_liveness;

/* The connection is established at now_ns. The options used are the times and the mode. */
int peerbeat_liveness_init(peerbeat_liveness *liveness, const peerbeat_options *options,
                           uint64_t now_ns);

/* _sent: the kernel accepted some of our bytes. _heartbeat_sent: it accepted a whole heartbeat with
 * value_ms. _pending: bytes wait that it did not accept, after a write that took some or none;
 * never call it if you want no verdict on them. */
int peerbeat_liveness_sent(peerbeat_liveness *liveness, uint64_t now_ns);
int peerbeat_liveness_pending(peerbeat_liveness *liveness, uint64_t now_ns);
int peerbeat_liveness_heartbeat_sent(peerbeat_liveness *liveness, uint32_t value_ms,
                                     uint64_t now_ns);

/* _received: bytes from the peer arrived, of any kind. _heartbeat_received: among them was a
 * heartbeat with value_ms. */
int peerbeat_liveness_received(peerbeat_liveness *liveness, uint64_t now_ns);
int peerbeat_liveness_heartbeat_received(peerbeat_liveness *liveness, uint32_t value_ms,
                                         uint64_t now_ns);

/* Asks what to do at now_ns. First read what the kernel holds. After any answer except
 * PEERBEAT_NEXT_NOTHING ask again at once: *deadline_ns is then now_ns. *value_ms is the
 * heartbeat-time in force, 0 = none; it may be NULL. */
int peerbeat_liveness_next(peerbeat_liveness *liveness, uint64_t now_ns, uint64_t *deadline_ns,
                           uint32_t *value_ms);

#ifdef __cplusplus
}
#endif

#endif /* PEERBEAT_LOOP_H */
