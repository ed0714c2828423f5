/*
 * peerbeat_layer.h - links and nodes over TLS, or another layer that only transforms bytes.
 * peerbeat.h includes it, and has the conventions. tests/c/openssl.h is such a layer for OpenSSL.
 *
 * The layer does no I/O: it is given bytes, and returns bytes. peerbeat reads and writes the
 * socket, and verdicts, heartbeats, back-pressure and the account of an end are those of plain TCP.
 * An orderly end includes the layer's goodbye and is PEERBEAT_DOWN_CLOSED or _EOF; a stream that
 * was cut off is PEERBEAT_DOWN_IO, and so is one on which a function fails, with its text.
 *
 * The layer's handshake and HELLO share one deadline: handshake_timeout_ms of a link,
 * connect-timeout and peer-accept-wait-time of a node.
 */
#ifndef PEERBEAT_LAYER_H
#define PEERBEAT_LAYER_H

#include "peerbeat.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The output of a function of a layer besides its status. Valid until the function returns. */
typedef struct peerbeat_layer_out peerbeat_layer_out;

/* Appends bytes for the other side; they are copied. PEERBEAT_E_INVALID in verified_name. */
int peerbeat_layer_put(peerbeat_layer_out *out, const void *data, size_t len);

/* Sets the reason why the function fails, for events and peerbeat_last_error(). It returns a
 * negative code, for `return peerbeat_layer_fail(out, text);`. Up to 400 characters of the text are
 * copied. */
int peerbeat_layer_fail(peerbeat_layer_out *out, const char *text);

/* The connection that a layer is created for. Unknown texts are "". Valid during create. */
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
 * They are called on any thread, yours or peerbeat's: for one state one at a time, for different
 * states in parallel. They must not wait: while one runs its link sends and reads nothing. They
 * must not use or make nodes, links or listeners (PEERBEAT_E_OWN_THREAD); otherwise the rules of
 * callbacks apply: no longjmp, no exception, no pthread_exit; cancellation is held back; fork only
 * to exec or _exit. If a link has a layer its threads have at least 1 MiB of stack.
 *
 * After peerbeat_link_free() and peerbeat_node_free() none is called any more for their
 * connections. user_data must live until then, and until peerbeat_listener_free(), which ends the
 * handshakes that accept began. A node's handshakes are ended by its shutdown. */
typedef struct peerbeat_layer {
    uint32_t struct_size;
    uint32_t reserved;

    /* Makes the state of a connection. Unless it fails, bytes that it puts are sent before those of
     * seal. May be NULL: then the state is user_data. */
    int (*create)(void *user_data, const peerbeat_layer_connection *connection, void **state,
                  peerbeat_layer_out *out);

    /* Takes our bytes from the front of plain, in order, and puts the bytes for the other side;
     * *taken = 0 if it can take none now: it is called again when more has arrived. With len 0 it
     * puts only pending bytes, such as a part of the handshake. Required. */
    int (*seal)(void *state, const void *plain, size_t len, size_t *taken,
                peerbeat_layer_out *out);

    /* Takes received bytes from the front of sealed and writes plain bytes to the front of plain.
     * Bytes that it does not take are offered again, with more behind them. Plain bytes that do not
     * fit stay in the layer; len is 0 to ask for them, and cap is 0 to continue the handshake. It
     * puts its own answers, such as an alert. PEERBEAT_LAYER_ENDED: the stream has ended, and all
     * bytes before the end have been returned. Required. */
    int (*open)(void *state, const void *sealed, size_t len, size_t *taken, void *plain,
                size_t cap, size_t *given, peerbeat_layer_out *out);

    /* Puts the orderly end of our stream, such as close_notify. Called at most once; a failure
     * changes nothing. NULL = the layer has no such end. */
    int (*close)(void *state, peerbeat_layer_out *out);

    /* Whether the handshake is done (1, else 0). NULL = it has none. */
    int (*is_ready)(void *state);

    /* Called once when the layer is ready: sets *name to the name that the other side has proven,
     * such as that in its certificate; it is copied. Then a HELLO with another name is refused, and
     * in a node a peer with another remote-name. If *name is left NULL no proof is required, and
     * HELLO is trusted. Fail if a proof is required and missing. A NULL function is as one that
     * leaves *name NULL. */
    int (*verified_name)(void *state, const char **name, peerbeat_layer_out *out);

    /* Frees the state; the last call. Not called after a create that failed. May be NULL. */
    void (*destroy)(void *state);

    void *user_data; /* for create */
} peerbeat_layer;

/* As the functions without _layered, over a layer; layer NULL = none. The struct is copied at each
 * call. A failure of the layer is PEERBEAT_E_HANDSHAKE. attach_fd dials, unless the options say
 * otherwise.
 *
 * On one listener, accept always with a layer or always without: any call may return a handshake
 * that another began, so one with a layer could return a plain, unencrypted link, with the
 * verified_name "". */
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

/* The name that verified_name has set; "" if none. Valid as long as the link. */
const char *peerbeat_link_verified_name(const peerbeat_link *link);

#ifdef __cplusplus
}
#endif

#endif /* PEERBEAT_LAYER_H */
