/* TLS for peerbeat with OpenSSL (1.1.1 or later): a layer over memory BIOs. Both sides show a
 * certificate that the CA has signed; the common name in it is the name that is proven.
 *
 *   peerbeat_layer layer = tls_layer(tls_context("ca.pem", "mine.pem", "mine.key"));
 *   peerbeat_node_start_layered(config, &handler, &layer, &node);
 *
 * Link with -lssl -lcrypto. openssl.c uses it.
 */
#ifndef OPENSSL_LAYER_H
#define OPENSSL_LAYER_H

#include "peerbeat.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One connection: OpenSSL reads what has arrived from one BIO, and writes to the other. */
typedef struct tls {
    SSL *ssl;
    BIO *arrived, *made;
    int has_failed;
    char name[256];
} tls;

/* Hands over what OpenSSL has made, and says what a call of its that returned `done` came to. */
static int answer(tls *t, int done, peerbeat_layer_out *out) {
    char *data;
    long len = BIO_get_mem_data(t->made, &data), verified;
    int error = SSL_get_error(t->ssl, done);
    if (len > 0 && peerbeat_layer_put(out, data, (size_t)len) != PEERBEAT_OK)
        return peerbeat_layer_fail(out, "out of memory");
    (void)BIO_reset(t->made);
    if (done > 0 || error == SSL_ERROR_WANT_READ)
        return PEERBEAT_OK;
    if (error == SSL_ERROR_ZERO_RETURN)
        return PEERBEAT_LAYER_ENDED;
    t->has_failed = 1;
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    if ((verified = SSL_get_verify_result(t->ssl)) != X509_V_OK)
        reason = X509_verify_cert_error_string(verified);
    return peerbeat_layer_fail(out, reason != NULL ? reason : "TLS failed");
}

static void tls_destroy(void *state) {
    tls *t = state;
    SSL_free(t->ssl); /* and its BIOs */
    free(t);
}

/* user_data is an SSL_CTX, which knows our certificate and the CA. */
static int tls_create(void *user_data, const peerbeat_layer_connection *connection, void **state,
                      peerbeat_layer_out *out) {
    tls *t = calloc(1, sizeof *t);
    if (t == NULL || (t->ssl = SSL_new(user_data)) == NULL) {
        free(t);
        return peerbeat_layer_fail(out, "out of memory");
    }
    t->arrived = BIO_new(BIO_s_mem());
    t->made = BIO_new(BIO_s_mem());
    SSL_set_bio(t->ssl, t->arrived, t->made);
    SSL_set_mode(t->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (connection->direction == PEERBEAT_DIRECTION_DIALLED)
        SSL_set_connect_state(t->ssl);
    else
        SSL_set_accept_state(t->ssl);
    *state = t;
    return PEERBEAT_OK;
}

static int tls_seal(void *state, const void *plain, size_t len, size_t *taken,
                    peerbeat_layer_out *out) {
    tls *t = state;
    ERR_clear_error();
    int done = 1, piece = len > INT_MAX ? INT_MAX : (int)len;
    if (!SSL_is_init_finished(t->ssl))
        done = SSL_do_handshake(t->ssl);
    if (done > 0 && piece > 0 && (done = SSL_write(t->ssl, plain, piece)) > 0)
        *taken = (size_t)done;
    return answer(t, done, out);
}

static int tls_open(void *state, const void *sealed, size_t len, size_t *taken, void *plain,
                    size_t cap, size_t *given, peerbeat_layer_out *out) {
    tls *t = state;
    ERR_clear_error();
    if (len > 0 && BIO_write(t->arrived, sealed, (int)len) != (int)len)
        return peerbeat_layer_fail(out, "out of memory");
    *taken = len;
    int done = 1, room = cap > INT_MAX ? INT_MAX : (int)cap;
    if (!SSL_is_init_finished(t->ssl))
        done = SSL_do_handshake(t->ssl);
    if (done > 0 && room > 0 && (done = SSL_read(t->ssl, plain, room)) > 0)
        *given = (size_t)done;
    return answer(t, done, out);
}

static int tls_close(void *state, peerbeat_layer_out *out) {
    tls *t = state;
    ERR_clear_error();
    if (!t->has_failed && SSL_is_init_finished(t->ssl))
        (void)SSL_shutdown(t->ssl); /* makes close_notify */
    return answer(t, 1, out);
}

static int tls_is_ready(void *state) {
    return SSL_is_init_finished(((tls *)state)->ssl);
}

/* The CA has signed the certificate: its common name is proven. */
static int tls_verified_name(void *state, const char **name, peerbeat_layer_out *out) {
    tls *t = state;
    X509 *peer = SSL_get_peer_certificate(t->ssl);
    X509_NAME *subject = peer != NULL ? X509_get_subject_name(peer) : NULL;
    int len = subject == NULL ? -1 : X509_NAME_get_text_by_NID(subject, NID_commonName, t->name,
                                                               (int)sizeof t->name);
    X509_free(peer);
    if (len <= 0 || len + 1 >= (int)sizeof t->name || strlen(t->name) != (size_t)len)
        return peerbeat_layer_fail(out, "no common name in the certificate");
    *name = t->name;
    return PEERBEAT_OK;
}

static SSL_CTX *tls_context(const char *ca, const char *certificate, const char *key) {
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    if (context == NULL || !SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) ||
        !SSL_CTX_load_verify_locations(context, ca, NULL) ||
        !SSL_CTX_use_certificate_chain_file(context, certificate) ||
        !SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM)) {
        ERR_print_errors_fp(stderr);
        exit(1);
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return context;
}

static peerbeat_layer tls_layer(SSL_CTX *context) {
    peerbeat_layer layer = {sizeof layer, 0, tls_create, tls_seal, tls_open, tls_close,
                            tls_is_ready, tls_verified_name, tls_destroy, context};
    return layer;
}

#endif
