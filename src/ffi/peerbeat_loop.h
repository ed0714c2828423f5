/*
 * peerbeat_loop.h - for hosts with sockets and a loop of their own: no thread, lock or clock in it.
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
    PEERBEAT_NEXT_NOTHING = 0,        /* ask again at *deadline_ns, or when bytes came or went */
    PEERBEAT_NEXT_SEND_HEARTBEAT = 1, /* send one with *value_ms; report it with _heartbeat_sent */
    PEERBEAT_NEXT_LATE = 2,           /* the peer is late: for the log, once a silence */
    PEERBEAT_NEXT_SILENT = 3,         /* the peer is gone: close the connection at once */
    PEERBEAT_NEXT_STALLED = 4,        /* we were stopped; it got one more slack: for the log */
    PEERBEAT_NEXT_WRITE_STALLED = 5,  /* it has stopped reading: close the connection */
    PEERBEAT_NEXT_EVENT = 6,          /* of a connection: *event says what happened */
    PEERBEAT_NEXT_SHUTDOWN_WRITE = 7  /* of a connection: shut the socket's sending direction */
};

/* Connections ---------------------------------------------------------------------------------- */
/* A link as a value: framing, send queue, heartbeats, verdicts, an orderly close and the account of
 * the end. The socket is yours, non-blocking. One turn of your loop:
 *
 *   read into _space and report it with _received, until the socket has no more;
 *   write what _transmit gives and report it with _written; then ask _next, and both again, until
 *   it returns PEERBEAT_NEXT_NOTHING; poll the socket, for writing if something is left of
 *   _transmit, until *deadline_ns.
 *
 * So bytes that came in time are heard before a verdict is passed. What functions point to is valid
 * until the next call on the connection. In a forked child a connection goes on as a copy. */
typedef struct peerbeat_connection peerbeat_connection;

/* Room that every HELLO fits into, the peer's included. */
#define PEERBEAT_HELLO_MAX 1028

/* Puts our HELLO into buf. The side that dials writes it first; the one that accepts writes it when
 * it has made a connection of the peer, and before anything else. */
int peerbeat_connection_hello(const peerbeat_options *options, void *buf, size_t cap, size_t *len);

/* Makes a connection, which is established at now_ns, of the bytes that were received so far: the
 * peer's HELLO, and what came behind it. PEERBEAT_E_TIMEOUT: the HELLO is not whole yet, call again
 * with more; PEERBEAT_E_REFUSED, PEERBEAT_E_HANDSHAKE: close the socket. How long to wait is up to
 * you. With PEERBEAT_HANDSHAKE_NONE in the options there is no HELLO, and nothing need have come.
 * Of options the names, times, mode, frame_max, queue_bytes and the close's limits count. */
int peerbeat_connection_new(const peerbeat_options *options, const void *received, size_t len,
                            uint64_t now_ns, peerbeat_connection **connection);
void peerbeat_connection_free(peerbeat_connection *connection); /* closes no socket */

const char *peerbeat_connection_remote_name(const peerbeat_connection *connection);
const char *peerbeat_connection_remote_label(const peerbeat_connection *connection);

/* Where to read to, never without room; count bytes were read to there. A read failed with this
 * errno, or met the end of the stream: 0. Take what _next has before you read more. */
int peerbeat_connection_space(peerbeat_connection *connection, void **space, size_t *len);
int peerbeat_connection_received(peerbeat_connection *connection, size_t count, uint64_t now_ns);
int peerbeat_connection_read_failed(peerbeat_connection *connection, int number, uint64_t now_ns);

/* What to write now, perhaps nothing; the kernel took count bytes of it, or none: always say so.
 * After a write failed with this errno go on reading: what has arrived is still handed on. */
int peerbeat_connection_transmit(peerbeat_connection *connection, uint64_t now_ns,
                                 const void **data, size_t *len);
int peerbeat_connection_written(peerbeat_connection *connection, size_t count, uint64_t now_ns);
int peerbeat_connection_write_failed(peerbeat_connection *connection, int number, uint64_t now_ns);

/* Asks what to do: PEERBEAT_NEXT_NOTHING, _EVENT or _SHUTDOWN_WRITE. Messages are events as well,
 * of kind PEERBEAT_EVENT_MESSAGE; peer is the remote name. After PEERBEAT_EVENT_DOWN shut both
 * directions, close the socket and free: then it returns PEERBEAT_E_DOWN. */
int peerbeat_connection_next(peerbeat_connection *connection, uint64_t now_ns,
                             uint64_t *deadline_ns, peerbeat_event *event);

/* Accepts a message: it is in what _transmit gives next. PEERBEAT_E_FULL: there is no room. */
int peerbeat_connection_send(peerbeat_connection *connection, const void *data, size_t len);

/* Begins an orderly close; go on until PEERBEAT_EVENT_DOWN. What arrives meanwhile is dropped and
 * counted, or with drain handed on. */
int peerbeat_connection_close(peerbeat_connection *connection, uint64_t now_ns);
int peerbeat_connection_drain(peerbeat_connection *connection, uint64_t now_ns);

/* As of a link. */
int peerbeat_connection_set_heartbeat_time(peerbeat_connection *connection,
                                           uint32_t heartbeat_time_ms, uint64_t now_ns);
int peerbeat_connection_set_slack(peerbeat_connection *connection, uint32_t slack_ms,
                                  uint64_t now_ns);
int peerbeat_connection_stats(const peerbeat_connection *connection, uint64_t now_ns,
                              peerbeat_stats *stats);

/* Liveness ------------------------------------------------------------------------------------- */
/* Yours to allocate, and to copy like any struct: no heap in it either. */
typedef struct peerbeat_liveness {
    uint64_t opaque[96];
} peerbeat_liveness;

/* The connection is established at now_ns. Of options, the times and the mode count. */
int peerbeat_liveness_init(peerbeat_liveness *liveness, const peerbeat_options *options,
                           uint64_t now_ns);

/* The kernel took some of our bytes; a whole heartbeat that carries value_ms. Bytes wait that it
 * did not take: after a write that took some or none, or never if you want no verdict on them. */
int peerbeat_liveness_sent(peerbeat_liveness *liveness, uint64_t now_ns);
int peerbeat_liveness_pending(peerbeat_liveness *liveness, uint64_t now_ns);
int peerbeat_liveness_heartbeat_sent(peerbeat_liveness *liveness, uint32_t value_ms,
                                     uint64_t now_ns);

/* Bytes from the peer arrived, whatever they are; among them a heartbeat that carries value_ms. */
int peerbeat_liveness_received(peerbeat_liveness *liveness, uint64_t now_ns);
int peerbeat_liveness_heartbeat_received(peerbeat_liveness *liveness, uint32_t value_ms,
                                         uint64_t now_ns);

/* Asks what to do at now_ns. First read what the kernel holds. Ask again at once after everything
 * but PEERBEAT_NEXT_NOTHING: *deadline_ns is then now_ns. *value_ms is the heartbeat-time in force,
 * 0 = none; it may be NULL. */
int peerbeat_liveness_next(peerbeat_liveness *liveness, uint64_t now_ns, uint64_t *deadline_ns,
                           uint32_t *value_ms);

#ifdef __cplusplus
}
#endif

#endif /* PEERBEAT_LOOP_H */
