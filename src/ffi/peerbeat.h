/*
 * peerbeat.h - reports to a program, within a guaranteed time, that the peer on the other end of a
 * TCP connection is gone, even when the operating system reports nothing.
 *
 * Four levels; use the highest that fits:
 *
 *   peerbeat_config_*, peerbeat_node_*   named peers of a configuration file: listens, dials, fails
 *                                        over, reconnects, reloads; calls you back, or you ask
 *   peerbeat_link_*, peerbeat_listener_* one connection: connect or accept, send, blocking receive
 *   peerbeat_connection_*                one connection without threads, for your own sockets and
 *                                        your own loop: framing, queue, heartbeats, close
 *   peerbeat_liveness_*                  only the heartbeat rules, for any protocol of your own
 *
 * Contents: Versions - Status codes - Options - Configuration files - Statistics - Why a link ended
 * - Nodes: events, start and stop, send, ask, events without callbacks - Links - Listeners; and,
 * included by this file, peerbeat_loop.h: Connections - Liveness, peerbeat_layer.h: TLS
 *
 * Terms: heartbeat-time, the longest that a side promises to go without sending; slack, what the
 * receiver allows on top; silence, the time since the last byte from the peer; limit =
 * heartbeat-time in force + slack. The smaller heartbeat-time of the two sides is in force for
 * both. A peer is down when its silence reaches the limit, never earlier.
 *
 * CONVENTIONS
 *
 * - Functions return an int: PEERBEAT_OK (0) or a negative PEERBEAT_E_ code. Those that cannot fail
 *   return counts, texts and versions directly, and 0 or NULL for NULL. peerbeat_connection_next()
 *   and peerbeat_liveness_next() return what to do, or a negative code.
 * - peerbeat_strerror() returns the text for a code, peerbeat_last_error() the details of this
 *   thread's last failure. The liveness functions store no details.
 * - Outputs are written only on success, with two exceptions: PEERBEAT_E_TOO_SMALL sets the length,
 *   and peerbeat_link_send_all() always reports how many messages it sent.
 * - Any argument may be NULL: the result is PEERBEAT_E_INVALID if it is required. Freeing NULL does
 *   nothing. A handle must not be used after it was freed.
 * - timeout_ms: milliseconds; < 0 waits without limit, 0 does not wait.
 * - Times are in the unit at the end of their name. Those that may be missing are int64_t, then -1.
 * - Structs begin with struct_size: set it to sizeof the struct before every call, so that programs
 *   compiled with an older header keep working. Fields named reserved are 0.
 * - Strings are UTF-8. Text from a peer is escaped, except remote_name and remote_label.
 * - Texts that a function copies to (buf, cap) are cut to cap - 1 bytes and a zero byte; buf may be
 *   NULL if cap is 0.
 *
 * THREADS, AND WHICH CALLS WAIT
 *
 * - All functions may be called from any thread, and those on one handle at the same time, except
 *   free, which must be the last: it wakes and waits for threads that are inside a call. A
 *   peerbeat_connection or peerbeat_liveness is used by one thread at a time.
 * - These functions wait, up to the time shown; no other function waits for a peer:
 *     timeout_ms                    recv, recv_borrow, accept, wait_up, wait_room, next_event,
 *                                   free_timeout, drain
 *     the send timeout              peerbeat_link_send, _send_all (each message), _node_send
 *     the resolver, then for each   peerbeat_link_connect: connect_timeout_ms and
 *     address of the host           handshake_timeout_ms; peerbeat_link_attach_fd: the latter
 *     close_max_ms (30 s) at most   peerbeat_link_free, _listener_free: until the peer ends its
 *                                   stream, or nothing moves for close_timeout_ms (2 s)
 *     the same, and every callback  peerbeat_node_free: while one of your callbacks runs
 *   So do not free while you hold a lock that a callback takes, and do not let the callbacks of two
 *   nodes free each other's node: use peerbeat_node_free_timeout(), which gives up in time.
 * - A callback may call everything except free on its own node (PEERBEAT_E_OWN_THREAD). In it,
 *   send, wait_room and wait_up for the same peer do not wait: PEERBEAT_E_FULL or E_TIMEOUT.
 * - A callback must return: no longjmp, no C++ exception, no pthread_exit.
 * - Cancellation: no function is a cancellation point; a pending pthread_cancel takes effect after
 *   it. This holds for deferred cancellation, the default; a thread with asynchronous cancellation
 *   must not call these functions (POSIX allows only a few of its own).
 * - Signals: our threads block all signals except those that a thread's own faults raise, and
 *   SIGPROF, so your signals reach your threads. Callbacks run with that mask, and processes that
 *   they fork inherit it. Only peerbeat_strerror(), peerbeat_version() and, on a value that the
 *   signal handler alone uses, peerbeat_liveness_*() are async-signal-safe. To stop on a signal use
 *   sigwait() or a self-pipe.
 * - fork: in the child every call on a node, link or listener of the parent does nothing and
 *   returns PEERBEAT_E_FORKED; the parent's connections stay. The child may use what it makes
 *   itself. In a callback, fork only to exec or _exit: a child that returns from it stops there.
 * - Nothing here ends your program or changes its state: signals (SIGPIPE included), signal masks,
 *   handlers, environment and locale are not touched.
 */
#ifndef PEERBEAT_H
#define PEERBEAT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Versions ------------------------------------------------------------------------------------- */
/* The version of this header; the library may be newer. */
#define PEERBEAT_VERSION_MAJOR 0
#define PEERBEAT_VERSION_MINOR 1
#define PEERBEAT_VERSION_PATCH 0

/* Changes when a program must be compiled again. */
#define PEERBEAT_ABI_VERSION 1

const char *peerbeat_version(void);  /* such as "0.1.0" */
int peerbeat_abi_version(void);      /* of the library; compare it with PEERBEAT_ABI_VERSION */

/* Status codes --------------------------------------------------------------------------------- */
enum peerbeat_status {
    PEERBEAT_OK = 0,
    PEERBEAT_E_INVALID = -1,          /* an invalid argument */
    PEERBEAT_E_CONFIG = -2,           /* the configuration has errors: peerbeat_config_error() */
    PEERBEAT_E_NOT_FOUND = -3,        /* no peer of that name or index */
    PEERBEAT_E_TIMEOUT = -4,          /* nothing arrived, or there was no room, in time */
    PEERBEAT_E_FULL = -5,             /* there is no room in the send queue now */
    PEERBEAT_E_TOO_SMALL = -6,        /* the buffer is too small; the message is kept */
    PEERBEAT_E_TOO_LONG = -7,         /* the message is longer than frame_max allows */
    PEERBEAT_E_DOWN = -8,             /* the link has ended: peerbeat_link_state() */
    PEERBEAT_E_NOT_CONNECTED = -9,    /* the peer is not connected now */
    PEERBEAT_E_CONNECT = -10,         /* no connection: unknown host, refused, unreachable */
    PEERBEAT_E_REFUSED = -11,         /* the other side said goodbye instead of welcome */
    PEERBEAT_E_HANDSHAKE = -12,       /* too slow, closed, or another protocol */
    PEERBEAT_E_LISTEN = -13,          /* the address cannot be listened on */
    PEERBEAT_E_IO = -14,              /* another error of a socket */
    PEERBEAT_E_LIMIT = -15,           /* out of threads, descriptors or memory */
    PEERBEAT_E_OWN_THREAD = -16,      /* a callback cannot free its own caller, nor a layer's
                                       * function use or make a node, link or listener */
    PEERBEAT_E_FORKED = -17,          /* the handle belongs to the parent process */
    PEERBEAT_E_BUSY = -18,            /* this thread has a message borrowed: release it first */
    PEERBEAT_E_CLOSED = -19,          /* the listener is being freed */
    PEERBEAT_E_NEXT_CONNECTION = -20, /* only a smaller heartbeat-time takes effect now */
    PEERBEAT_E_PANIC = -21            /* a bug in peerbeat; stderr has the details */
};

const char *peerbeat_strerror(int code); /* static; never NULL */

/* Copies the details of this thread's last failure, and returns their whole length. */
size_t peerbeat_last_error(char *buf, size_t cap);

/* The system's number (errno) of this thread's last failure; 0 if it had none. */
int peerbeat_last_errno(void);

/* Options -------------------------------------------------------------------------------------- */
enum peerbeat_mode {
    PEERBEAT_MODE_IDLE = 0,   /* heartbeats only if nothing else was sent */
    PEERBEAT_MODE_ALWAYS = 1  /* heartbeats also while data flows */
};

enum peerbeat_handshake {
    PEERBEAT_HANDSHAKE_DEFAULT = 0, /* dial for connect and attach_fd, accept for accept */
    PEERBEAT_HANDSHAKE_DIAL = 1,    /* say HELLO first */
    PEERBEAT_HANDSHAKE_ACCEPT = 2,  /* wait for HELLO first */
    PEERBEAT_HANDSHAKE_NONE = 3     /* none: both sides send heartbeats and data at once */
};

/* For links and liveness. NULL means the defaults, which peerbeat_options_init() fills in. */
typedef struct peerbeat_options {
    uint32_t struct_size;
    uint32_t heartbeat_time_ms;     /* 5000; 0 = ask for nothing, but answer a peer that does */
    uint32_t slack_ms;              /* 2000 */
    uint32_t heartbeat_time_min_ms; /* 100; the smallest that a peer can ask of us */
    int32_t heartbeat_mode;         /* PEERBEAT_MODE_IDLE */
    int32_t handshake;              /* PEERBEAT_HANDSHAKE_DEFAULT */
    uint32_t connect_timeout_ms;    /* 10000; for each of the host's addresses */
    uint32_t handshake_timeout_ms;  /* 10000 */
    uint32_t send_timeout_ms;       /* 10000; how long peerbeat_link_send() waits for room */
    uint32_t close_timeout_ms;      /* 2000; how long a close goes on without progress */
    uint32_t local_id;              /* 0 */
    uint32_t nagle;                 /* 0; 1 = leaves Nagle's algorithm on */
    uint64_t frame_max;             /* 16 MiB; the largest message plus one byte */
    uint64_t queue_bytes;           /* 8 MiB may wait to be sent */
    uint64_t inbox_bytes;           /* 1 MiB may wait for recv; then TCP slows the peer down */
    uint64_t stack_size;            /* 256 KiB for each of a link's two threads */
    const char *local_name;         /* "peerbeat"; our name */
    const char *local_label;        /* "" */
    const char *thread_name;        /* threads: pb-r:NAME and pb-s:NAME; NULL = the peer's name */
    uint32_t close_max_ms;          /* 30000; the longest that a close takes in all */
    uint32_t reserved;
} peerbeat_options;

int peerbeat_options_init(peerbeat_options *options, size_t struct_size);

/* Configuration files -------------------------------------------------------------------------- */
typedef struct peerbeat_config peerbeat_config;

/* What is in force for one peer. The texts live as long as the configuration. */
typedef struct peerbeat_peer {
    uint32_t struct_size;
    int32_t heartbeat_mode;
    const char *name;
    const char *addresses;     /* "host:port host:port", in order of preference; "" = it dials us */
    int64_t heartbeat_time_ms; /* -1 = undefined */
    int64_t slack_ms;
    int64_t heartbeat_time_min_ms;
    int64_t connect_timeout_ms;
    int64_t reconnect_time_min_ms;
    int64_t reconnect_time_max_ms;
    uint64_t send_queue_bytes;
} peerbeat_peer;

/* app_name is %a in the files; NULL = the item application-name, else the file's name without its
 * extension, else (for a text) "peerbeat". */
int peerbeat_config_load(const char *path, const char *app_name, peerbeat_config **config);
int peerbeat_config_parse(const char *text, const char *app_name, peerbeat_config **config);
void peerbeat_config_free(peerbeat_config *config);

/* The errors of this thread's last load or parse, one a line of the files: "PLACE: ITEM: found X,
 * allowed: Y". The texts live until the thread's next load or parse. */
size_t peerbeat_config_error_count(void);
const char *peerbeat_config_error(size_t index);

const char *peerbeat_config_name(const peerbeat_config *config);
int32_t peerbeat_config_port(const peerbeat_config *config); /* 0 = any free port, -1 = none */
size_t peerbeat_config_peer_count(const peerbeat_config *config);
const char *peerbeat_config_peer_name(const peerbeat_config *config, size_t index);
int peerbeat_config_peer(const peerbeat_config *config, size_t index, peerbeat_peer *peer);
size_t peerbeat_config_warning_count(const peerbeat_config *config);
const char *peerbeat_config_warning(const peerbeat_config *config, size_t index);

/* Statistics ----------------------------------------------------------------------------------- */
/* Of a link, or of a node's present links. */

typedef struct peerbeat_stats {
    uint32_t struct_size;
    uint32_t links; /* how many links the numbers cover */
    uint64_t messages_accepted;
    uint64_t bytes_sent; /* heartbeats included */
    uint64_t heartbeats_sent;
    uint64_t messages_received;
    uint64_t bytes_received;
    uint64_t heartbeats_received;
    uint64_t queued_bytes;   /* wait to be sent */
    int64_t round_trip_us;   /* the last that heartbeats measured */
    uint64_t inbox_messages; /* wait for recv */
    uint64_t inbox_bytes;
    uint64_t held_ms;       /* total time for which a full inbox kept us from reading */
    uint32_t local_blocked; /* 1 = it does so now: the peer's silence is not counted */
    uint32_t reserved;
} peerbeat_stats;

/* Over all links that a peer has had since the node started or a reload brought it; with peer NULL
 * the sums over all peers. Measurements are those of the present link; in the sums, the largest. */
typedef struct peerbeat_totals {
    uint32_t struct_size;
    uint32_t peers_up;
    uint64_t messages_accepted;
    uint64_t bytes_sent;
    uint64_t heartbeats_sent;
    uint64_t heartbeats_suppressed; /* not needed, because data was sent */
    uint64_t messages_received;
    uint64_t bytes_received;
    uint64_t heartbeats_received;
    uint64_t queued_messages; /* wait to be sent, now */
    uint64_t queued_bytes;
    uint64_t connects;      /* how often it came up */
    uint64_t dial_failures;
    uint64_t refusals;      /* connections refused; in the sum also those of strangers */
    uint64_t downs[9];      /* how often links ended, by PEERBEAT_DOWN_; downs[0] is not used */
    uint64_t own_late;      /* our heartbeats that were late by more than half the slack */
    uint64_t stalls;        /* how often this process was stopped or starved */
    uint64_t up_ms;
    int64_t own_late_p50_us; /* how late our heartbeats were: half were no later */
    int64_t own_late_p999_us;
    int64_t own_late_max_us;
    int64_t peer_late_p50_us; /* how late the peer was */
    int64_t peer_late_p999_us;
    int64_t peer_late_max_us;
    int64_t largest_silence_us;
    int64_t round_trip_p50_us;
    int64_t round_trip_p999_us;
    uint64_t peer_late;        /* how often the peer was late, as by PEERBEAT_EVENT_LATE */
} peerbeat_totals;

/* Why a link ended ----------------------------------------------------------------------------- */
enum peerbeat_down_reason {
    PEERBEAT_DOWN_SILENT = 1,        /* no byte for the limit */
    PEERBEAT_DOWN_WRITE_STALLED = 2, /* it stopped reading */
    PEERBEAT_DOWN_CLOSED = 3,        /* it said goodbye */
    PEERBEAT_DOWN_EOF = 4,           /* the stream ended without a goodbye */
    PEERBEAT_DOWN_IO = 5,            /* reset, or another socket error */
    PEERBEAT_DOWN_PROTOCOL = 6,      /* its bytes break the protocol */
    PEERBEAT_DOWN_REPLACED = 7,      /* it connected again; the new link took over */
    PEERBEAT_DOWN_LOCAL = 8          /* we closed it */
};

enum peerbeat_link_phase {
    PEERBEAT_STATE_UP = 1,
    PEERBEAT_STATE_LATE = 2, /* up, but silent for longer than heartbeat-time + slack / 2 */
    PEERBEAT_STATE_DOWN = 3
};

typedef struct peerbeat_state {
    uint32_t struct_size;
    int32_t state;    /* PEERBEAT_STATE_ */
    int32_t reason;   /* PEERBEAT_DOWN_; 0 = it is up */
    int32_t bye_code; /* what the peer said goodbye with; -1 = it did not */
    int64_t silent_ms;
    int64_t limit_ms;
    int64_t heartbeat_time_ms; /* in force */
    int64_t slack_ms;
    int64_t last_sent_age_ms;
    int64_t up_ms;
    int64_t unsent_frames;
    int64_t unsent_bytes;
    char detail[256]; /* the reason in words */
    int64_t unconfirmed_bytes;  /* of an end: sent, and perhaps not read; -1 = not known */
    int64_t undelivered_frames; /* of an end: arrived, and not handed on */
    int64_t handler_held_ms;    /* how long a callback, or a full inbox, has held the reader */
} peerbeat_state;

/* Nodes ---------------------------------------------------------------------------------------- */
typedef struct peerbeat_node peerbeat_node;

enum peerbeat_event_kind {
    PEERBEAT_EVENT_LISTENING = 1,      /* addr */
    PEERBEAT_EVENT_DIALLING = 2,       /* addr */
    PEERBEAT_EVENT_UP = 3,             /* addr, direction, remote_name, remote_label */
    PEERBEAT_EVENT_HEARTBEAT_TIME = 4, /* from_ms, to_ms, cause */
    PEERBEAT_EVENT_LATE = 5,           /* silent_ms, count */
    PEERBEAT_EVENT_RECOVERED = 6,      /* silent_ms, count */
    PEERBEAT_EVENT_STALLED = 7,        /* late_ms: we were stopped; the peer got one more slack */
    PEERBEAT_EVENT_CLAMPED = 8,        /* asked_ms, floor_ms */
    PEERBEAT_EVENT_DOWN = 9,           /* reason and the numbers below it */
    PEERBEAT_EVENT_REFUSED = 10,       /* addr, remote_name, reason, count */
    PEERBEAT_EVENT_DIAL_FAILED = 11,   /* addr, reason */
    PEERBEAT_EVENT_RETRY = 12,         /* wait_ms until the next dial */
    PEERBEAT_EVENT_WARNING = 13,       /* text */
    PEERBEAT_EVENT_STOPPED = 14,        /* the last one */
    PEERBEAT_EVENT_HANDLER_BUSY = 15,   /* held_ms: a callback of yours held the reader */
    PEERBEAT_EVENT_NOT_READING = 16,    /* behind_ms: the peer answers, but does not read */
    PEERBEAT_EVENT_QUEUE_HIGH = 17,     /* unsent_bytes, count: over 80 % of the queue is taken */
    PEERBEAT_EVENT_QUEUE_LOW = 18,      /* unsent_bytes, count: no more than half of it again */
    PEERBEAT_EVENT_MESSAGE = 100      /* data, data_len; only in a node without a handler */
};

enum peerbeat_direction {
    PEERBEAT_DIRECTION_DIALLED = 1,
    PEERBEAT_DIRECTION_ACCEPTED = 2
};

enum peerbeat_cause {
    PEERBEAT_CAUSE_PEER = 1,
    PEERBEAT_CAUSE_LOCAL = 2
};

enum peerbeat_refused_reason {
    PEERBEAT_REFUSED_UNKNOWN_PEER = 1,
    PEERBEAT_REFUSED_ALREADY_CONNECTED = 2,
    PEERBEAT_REFUSED_VERSION = 3,
    PEERBEAT_REFUSED_PROTOCOL = 4,
    PEERBEAT_REFUSED_TOO_SLOW = 5,
    PEERBEAT_REFUSED_SHUTTING_DOWN = 6,
    PEERBEAT_REFUSED_TOO_MANY = 7,
    PEERBEAT_REFUSED_GONE = 8,
    PEERBEAT_REFUSED_NAME = 9
};

enum peerbeat_dial_failure {
    PEERBEAT_DIAL_RESOLVE = 1,
    PEERBEAT_DIAL_CONNECT = 2,
    PEERBEAT_DIAL_TIMEOUT = 3,
    PEERBEAT_DIAL_REFUSED = 4,
    PEERBEAT_DIAL_PROTOCOL = 5,
    PEERBEAT_DIAL_EOF = 6,
    PEERBEAT_DIAL_IO = 7,
    PEERBEAT_DIAL_NAME = 8
};

/* Texts and data are valid during the callback, or until the next peerbeat_node_next_event().
 * Fields that a kind does not use are 0, "" or -1. */
typedef struct peerbeat_event {
    uint32_t struct_size;
    int32_t kind;         /* PEERBEAT_EVENT_ */
    const char *peer;     /* its name in the configuration; "" if it is about none */
    const char *text;     /* the details in words */
    const char *addr;     /* "address:port", or "host:port" as configured */
    const char *remote_name;
    const char *remote_label;
    const char *reason_word; /* the reason as --json has it, such as "silent" */
    int32_t reason;          /* PEERBEAT_DOWN_, PEERBEAT_REFUSED_ or PEERBEAT_DIAL_ */
    int32_t direction;       /* PEERBEAT_DIRECTION_ */
    int32_t cause;           /* PEERBEAT_CAUSE_ */
    int32_t bye_code;        /* what the peer said goodbye with; -1 = it did not */
    int64_t silent_ms;
    int64_t limit_ms;
    int64_t heartbeat_time_ms; /* in force */
    int64_t slack_ms;
    int64_t last_sent_age_ms;
    int64_t unsent_frames; /* messages that were accepted and not handed to the kernel whole */
    int64_t unsent_bytes;
    int64_t up_ms;
    int64_t from_ms;
    int64_t to_ms;
    int64_t late_ms;
    int64_t asked_ms;
    int64_t floor_ms;
    int64_t wait_ms;
    const char *line;     /* the event as the command prints it: peerbeat_event_text() */
    void *peer_user_data; /* as set by peerbeat_node_set_user_data(); NULL = none */
    const void *data;     /* of PEERBEAT_EVENT_MESSAGE */
    uint64_t data_len;
    int64_t held_ms;
    int64_t behind_ms;
    int64_t unconfirmed_bytes;  /* of an end: sent, and perhaps not read; -1 = not known */
    int64_t undelivered_frames; /* of an end: arrived, and not handed on */
    int64_t count;              /* how many it represents, itself included */
} peerbeat_event;

const char *peerbeat_event_word(int kind); /* the journal's, such as "late"; static, never NULL */

/* Copies the line that the command prints for such an event, and returns its whole length. */
size_t peerbeat_event_text(const peerbeat_event *event, char *buf, size_t cap);

/* The functions that a node calls, from several threads of its own. For one peer, calls come one at
 * a time and in order, messages as well as ups and downs; different peers run in parallel. During a
 * callback its peer is not read, which does not count as its silence; our heartbeats go on. Either
 * function may be NULL. */
typedef struct peerbeat_handler {
    uint32_t struct_size;
    uint32_t send_timeout_ms; /* how long peerbeat_node_send() waits for room; 0 = 10000 */
    void (*on_message)(void *user_data, peerbeat_node *node, const char *peer, const void *data,
                       size_t len);
    void (*on_event)(void *user_data, peerbeat_node *node, const peerbeat_event *event);
    void *user_data;
    uint64_t stack_size; /* of each thread, callbacks included; 0 = 1 MiB */
} peerbeat_handler;

/* Starts the links of a configuration, which it copies; calls back until peerbeat_node_free(). With
 * handler NULL nothing is called: events and messages wait for peerbeat_node_next_event(). */
int peerbeat_node_start(const peerbeat_config *config, const peerbeat_handler *handler,
                        peerbeat_node **node);
int peerbeat_node_port(peerbeat_node *node, uint16_t *port); /* 0 = it does not listen */

/* Begins the stop: links are closed in an orderly way, no peer is dialled or accepted any more. */
int peerbeat_node_shutdown(peerbeat_node *node);

/* Drains the links of all peers in parallel, without new connections, then shuts down. PEERBEAT_OK
 * = every peer that was connected has read everything; PEERBEAT_E_TIMEOUT = one has not. In a
 * callback it does not wait. The node must still be freed. */
int peerbeat_node_drain(peerbeat_node *node, int timeout_ms);

/* Shuts down, waits for the last callback, that of PEERBEAT_EVENT_STOPPED, and frees. */
int peerbeat_node_free(peerbeat_node *node);

/* Frees if that takes no longer than timeout_ms, else PEERBEAT_E_TIMEOUT: the node is shut down,
 * and may be freed later. */
int peerbeat_node_free_timeout(peerbeat_node *node, int timeout_ms);

/* Sends a message; waits for room. PEERBEAT_OK = it was written or queued. */
int peerbeat_node_send(peerbeat_node *node, const char *peer, const void *data, size_t len);
int peerbeat_node_try_send(peerbeat_node *node, const char *peer, const void *data, size_t len);

/* Sends a message to all connected peers, as try_send does to each. */
typedef struct peerbeat_published {
    uint32_t struct_size;
    uint32_t sent;          /* peers that accepted it: it was written or queued */
    uint32_t full;          /* peers without room for it */
    uint32_t down;          /* peers whose link is ending */
    uint32_t not_connected; /* peers that are not connected */
    uint32_t reserved;
} peerbeat_published;

/* PEERBEAT_OK = the counts are in report, which may be NULL. full gets the names of the first cap
 * peers without room, valid as long as the node lives; it may be NULL if cap is 0. */
int peerbeat_node_publish(peerbeat_node *node, const void *data, size_t len, const char **full,
                          size_t cap, peerbeat_published *report);

/* Waits until try_send would accept len bytes; another thread may take the room first. */
int peerbeat_node_wait_room(peerbeat_node *node, const char *peer, size_t len, int timeout_ms);

/* Waits until the peer, or with NULL every peer, is connected. */
int peerbeat_node_wait_up(peerbeat_node *node, const char *peer, int timeout_ms);

/* Puts another configuration in force. Links of peers that did not change are not touched; a
 * smaller heartbeat-time and any slack take effect at once, everything else from the next
 * connection on. report gets one line per peer. PEERBEAT_E_CONFIG: it listens on another address;
 * nothing has changed. */
int peerbeat_node_reload(peerbeat_node *node, const peerbeat_config *config, char *report,
                         size_t cap);

/* As for a link, and kept for later links, until a reload brings another value.
 * PEERBEAT_E_NEXT_CONNECTION: it is set, and takes effect from the next connection on. */
int peerbeat_node_set_heartbeat_time(peerbeat_node *node, const char *peer,
                                     uint32_t heartbeat_time_ms);
int peerbeat_node_set_slack(peerbeat_node *node, const char *peer, uint32_t slack_ms);

/* Closes the peer's link in an orderly way; a dialled peer is dialled again after its wait. */
int peerbeat_node_close_peer(peerbeat_node *node, const char *peer);

/* How the peer's link is doing; while it is not connected, how the last one ended. */
int peerbeat_node_state(peerbeat_node *node, const char *peer, peerbeat_state *state);

/* Of one peer, or with NULL of all; links is the number that are up. */
int peerbeat_node_stats(peerbeat_node *node, const char *peer, peerbeat_stats *stats);
int peerbeat_node_totals(peerbeat_node *node, const char *peer, peerbeat_totals *totals);

/* Which values are in force and why, and whether they fit the measurements, as a few lines of text.
 * *len is the whole length; len may be NULL. */
int peerbeat_node_explain(peerbeat_node *node, const char *peer, char *buf, size_t cap,
                          size_t *len);

/* The peer's name as callbacks and events have it: the same pointer for as long as the node lives,
 * so that it may be compared, and asking by it is quicker. NULL = there is no such peer. */
const char *peerbeat_node_peer(peerbeat_node *node, const char *peer);

/* A pointer of yours for a peer; events carry it. It survives a reload that removes the peer. */
int peerbeat_node_set_user_data(peerbeat_node *node, const char *peer, void *user_data);
void *peerbeat_node_user_data(peerbeat_node *node, const char *peer);

/* For hosts with a loop: a descriptor for select, poll or epoll that is readable while events wait;
 * do not read or close it. Then call next_event with timeout 0 until PEERBEAT_E_TIMEOUT. In a node
 * with on_event, events are queued from this call on, and called back as well. Up to 1024 events
 * and 1 MiB of messages wait. Beyond that a node without a handler stops reading until there is
 * room; one with a handler drops the oldest events and reports how many in a
 * PEERBEAT_EVENT_WARNING. */
int peerbeat_node_event_fd(peerbeat_node *node, int *fd);

/* Takes the next event, or, without a handler, the next event or message. One thread at a time.
 * PEERBEAT_E_DOWN: PEERBEAT_EVENT_STOPPED was taken; nothing follows. */
int peerbeat_node_next_event(peerbeat_node *node, peerbeat_event *event, int timeout_ms);

/* Links ---------------------------------------------------------------------------------------- */
typedef struct peerbeat_link peerbeat_link;

/* Connects and shakes hands. The time of the resolver is not limited. */
int peerbeat_link_connect(const char *host, uint16_t port, const peerbeat_options *options,
                          peerbeat_link **link);

/* Turns a connected stream socket into a link. On success the link closes it when it has ended:
 * take it out of your poll set, and do not read, write or close it. On failure it is still yours
 * and unchanged, except for what the handshake has read and written. */
int peerbeat_link_attach_fd(int fd, const peerbeat_options *options, peerbeat_link **link);

/* The name in the peer's HELLO; "" without a handshake. Lives as long as the link. */
const char *peerbeat_link_remote_name(const peerbeat_link *link);

/* Sends a message: PEERBEAT_OK = it was written or queued. send waits for room. */
int peerbeat_link_send(peerbeat_link *link, const void *data, size_t len);
int peerbeat_link_try_send(peerbeat_link *link, const void *data, size_t len);

/* Sends several messages, in order, up to the first that fails; *sent, unless NULL, is how many. */
typedef struct peerbeat_bytes {
    const void *data;
    size_t len;
} peerbeat_bytes;

int peerbeat_link_send_all(peerbeat_link *link, const peerbeat_bytes *messages, size_t count,
                           size_t *sent);

int peerbeat_link_wait_room(peerbeat_link *link, size_t len, int timeout_ms);

/* Takes the next message. After the link has ended, messages that had arrived come first, then
 * PEERBEAT_E_DOWN. PEERBEAT_E_TOO_SMALL: *len is the message's length, and it is kept. */
int peerbeat_link_recv(peerbeat_link *link, void *buf, size_t cap, size_t *len, int timeout_ms);

/* Takes the next message without a copy: *data is valid until peerbeat_link_release(). One at a
 * time; other threads wait for theirs meanwhile. */
int peerbeat_link_recv_borrow(peerbeat_link *link, const void **data, size_t *len,
                              int timeout_ms);
int peerbeat_link_release(peerbeat_link *link); /* does nothing without a borrowed message */

int peerbeat_link_state(const peerbeat_link *link, peerbeat_state *state);
int peerbeat_link_stats(const peerbeat_link *link, peerbeat_stats *stats);
int peerbeat_link_explain(const peerbeat_link *link, char *buf, size_t cap, size_t *len);

/* A descriptor for select, poll or epoll that is readable while a message waits or the link has
 * ended; do not read or close it. Then call recv with timeout 0 until PEERBEAT_E_TIMEOUT. */
int peerbeat_link_event_fd(peerbeat_link *link, int *fd);

/* A smaller value is announced and used for sending at once; the peer must keep it once it has
 * confirmed it. A larger one, or 0: PEERBEAT_E_NEXT_CONNECTION, nothing changed. */
int peerbeat_link_set_heartbeat_time(peerbeat_link *link, uint32_t heartbeat_time_ms);
int peerbeat_link_set_slack(peerbeat_link *link, uint32_t slack_ms); /* smaller or larger */

/* Closes in an orderly way, and waits until the peer has ended its stream: by then it has read
 * everything, and what it sent can be received. Else PEERBEAT_E_TIMEOUT. */
int peerbeat_link_drain(peerbeat_link *link, int timeout_ms);

/* Begins an orderly close and wakes every waiting call. From any thread, any number of times. */
int peerbeat_link_shutdown(peerbeat_link *link);

/* Shuts down, waits for the link's threads, and frees. */
int peerbeat_link_free(peerbeat_link *link);
int peerbeat_link_free_timeout(peerbeat_link *link, int timeout_ms); /* as for a node */

/* Listeners ------------------------------------------------------------------------------------ */
typedef struct peerbeat_listener peerbeat_listener;

/* host NULL = everywhere; port 0 = any free one. */
int peerbeat_listener_open(const char *host, uint16_t port, peerbeat_listener **listener);
int peerbeat_listener_port(peerbeat_listener *listener, uint16_t *port);

/* Waits for the next connection whose handshake is done or has failed. Up to 64 handshakes run in
 * parallel, with the options of the call that began them; another call may return their links. */
int peerbeat_listener_accept(peerbeat_listener *listener, const peerbeat_options *options,
                             int timeout_ms, peerbeat_link **link);

/* Ends handshakes that are under way, and frees. Links that were accepted are not affected. */
int peerbeat_listener_free(peerbeat_listener *listener);

#ifdef __cplusplus
}
#endif

#include "peerbeat_loop.h"  /* Connections, Liveness */
#include "peerbeat_layer.h" /* TLS */

#endif /* PEERBEAT_H */
