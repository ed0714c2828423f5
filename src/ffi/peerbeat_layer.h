/*
 * peerbeat_layer.h - links and nodes over TLS, or another layer that only transforms bytes.
 * peerbeat.h includes it, and has the conventions. tests/c/openssl.h is such a layer for OpenSSL.
 *
 * The layer does no I/O: it is given bytes, and gives bytes. peerbeat reads and writes the socket,
 * and verdicts, heartbeats, back-pressure and the account of an end are those of plain TCP. A
 * stream that ends in order ends with the layer's goodbye and is PEERBEAT_DOWN_CLOSED or _EOF; one
 * that was cut off is PEERBEAT_DOWN_IO, and so is one on which a function fails, with its text.
 *
 * The handshake of the layer and HELLO have one deadline: handshake_timeout_ms of a link,
 * connect-timeout and peer-accept-wait-time of a node.
 */
#ifndef PEERBEAT_LAYER_H
#define PEERBEAT_LAYER_H

#include "peerbeat.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a function of a layer gives besides its status. Valid until the function returns. */
typedef struct peerbeat_layer_out peerbeat_layer_out;

/* Appends bytes that go to the other side; they are copied. PEERBEAT_E_INVALID in verified_name. */
int peerbeat_layer_put(peerbeat_layer_out *out, const void *data, size_t len);

/* Says why the function fails, for events and peerbeat_last_error(); returns a negative code, for
 * `return peerbeat_layer_fail(out, text);`. The text is copied, and up to 400 characters kept. */
int peerbeat_layer_fail(peerbeat_layer_out *out, const char *text);

/* The connection that a layer is created for. What is not known is "". Valid during create. */
typedef struct peerbeat_layer_connection {
    uint32_t struct_size;
    int32_t direction;       /* PEERBEAT_DIRECTION_DIALLED or _ACCEPTED */
    const char *peer;        /* of a node that dials: the peer's name in the configuration, */
    const char *remote_name; /* and its remote-name */
    const char *host;        /* as dialled: a TLS client verifies it; of a Unix socket the path */
} peerbeat_layer_connection;

enum peerbeat_layer_status {
    PEERBEAT_LAYER_ENDED = 1 /* open: the other side has ended its stream in order */
};

/* The functions return PEERBEAT_OK, or a negative number if they fail: then the connection ends,
 * and only close and destroy are still called.
 *
 * They are called on any thread, of yours and of peerbeat; those on one state one at a time, those
 * on different states side by side. They must not wait: while one runs nothing of its link is sent
 * or read. They must not use or make nodes, links or listeners (PEERBEAT_E_OWN_THREAD), and for the
 * rest a callback's rules hold: no longjmp, no exception, no pthread_exit; cancellation is held
 * back; and fork only to exec or _exit. A link's threads have at least 1 MiB of stack if it has a
 * layer.
 *
 * After peerbeat_link_free() and peerbeat_node_free() none is called any more, on any connection
 * that they had. user_data must live until then, and until peerbeat_listener_free(), which ends the
 * handshakes that accept began. A node's handshakes are ended by its shutdown. */
typedef struct peerbeat_layer {
    uint32_t struct_size;
    uint32_t reserved;

    /* Makes the state of a connection. What it puts goes out in front of what seal puts, unless it
     * fails. May be NULL: then the state is user_data. */
    int (*create)(void *user_data, const peerbeat_layer_connection *connection, void **state,
                  peerbeat_layer_out *out);

    /* Takes bytes of ours from the front of plain, in order, and puts what goes to the other side;
     * *taken = 0 if it can take none now: it is called again when more has arrived. With len 0 it
     * puts only what waits, such as a part of the handshake. Needed. */
    int (*seal)(void *state, const void *plain, size_t len, size_t *taken,
                peerbeat_layer_out *out);

    /* Takes bytes that arrived from the front of sealed and writes to the front of plain. What it
     * does not take is offered again, with more behind it; what plain has no room for stays in the
     * layer, and len may be 0 to ask for it, cap 0 to get on with the handshake. What it answers by
     * itself, such as an alert, it puts. PEERBEAT_LAYER_ENDED: the stream has ended, and all before
     * it was given. Needed. */
    int (*open)(void *state, const void *sealed, size_t len, size_t *taken, void *plain,
                size_t cap, size_t *given, peerbeat_layer_out *out);

    /* Puts what ends our stream in order, such as close_notify. Called once at most; a failure
     * changes nothing. NULL = there is no such thing. */
    int (*close)(void *state, peerbeat_layer_out *out);

    /* Whether the handshake is done (1, else 0). NULL = it has none. */
    int (*is_ready)(void *state);

    /* Called once when it is ready: sets *name to the name that the other side has proven, such as
     * that in its certificate; it is copied. Then a HELLO with another name is refused, and in a
     * node a peer with another remote-name. *name left NULL: no proof is asked for, and HELLO is
     * believed. Fail if one is asked for and missing. NULL = as if it left NULL. */
    int (*verified_name)(void *state, const char **name, peerbeat_layer_out *out);

    /* Frees the state; the last call. Not called after a create that failed. May be NULL. */
    void (*destroy)(void *state);

    void *user_data; /* for create */
} peerbeat_layer;

/* As the functions without _layered, over a layer; layer NULL = none. It is copied, each time. The
 * layer's failure is PEERBEAT_E_HANDSHAKE. attach_fd dials, unless options say otherwise.
 *
 * Accept on one listener with a layer always or never: accept returns what any of them began, so
 * that one with a layer may return a plain link, not encrypted, with the verified_name "". */
int peerbeat_link_connect_layered(const char *host, uint16_t port, const peerbeat_options *options,
                                  const peerbeat_layer *layer, peerbeat_link **link);
int peerbeat_link_attach_fd_layered(int fd, const peerbeat_options *options,
                                    const peerbeat_layer *layer, peerbeat_link **link);
int peerbeat_listener_accept_layered(peerbeat_listener *listener, const peerbeat_options *options,
                                     const peerbeat_layer *layer, int timeout_ms,
                                     peerbeat_link **link);

/* On every connection of the node, dialled and accepted. A handshake that fails is
 * PEERBEAT_EVENT_DIAL_FAILED or _REFUSED. */
int peerbeat_node_start_layered(const peerbeat_config *config, const peerbeat_handler *handler,
                                const peerbeat_layer *layer, peerbeat_node **node);

/* What verified_name has said; "" if nothing. Lives as long as the link. */
const char *peerbeat_link_verified_name(const peerbeat_link *link);

#ifdef __cplusplus
}
#endif

#endif /* PEERBEAT_LAYER_H */
