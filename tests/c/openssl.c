/* Links and nodes over TLS with OpenSSL, good ones and all kinds of bad ones. Makes certificates of
 * its own, in a folder that it removes. */
#include "nodes.h"

#include "openssl.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <sys/stat.h>

static char folder[100];

static const char *path(const char *name, const char *ending) {
    static char paths[4][200];
    static int at;
    char *path = paths[at++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s.%s", folder, name, ending);
    return path;
}

typedef struct identity {
    EVP_PKEY *key;
    X509 *certificate;
} identity;

/* A certificate for `name`, signed by `ca` or, NULL, by itself; it expired an hour ago or is good
 * for one. Writes NAME.pem and NAME.key. */
static identity issue(const char *file, const char *name, const identity *ca, int is_expired) {
    identity made = {NULL, X509_new()};
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
    MUST(EVP_PKEY_keygen_init(context) > 0);
    MUST(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1) > 0);
    MUST(EVP_PKEY_keygen(context, &made.key) > 0);
    EVP_PKEY_CTX_free(context);
    X509 *x = made.certificate;
    static long serial = 1;
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), -7200);
    X509_gmtime_adj(X509_getm_notAfter(x), is_expired ? -3600 : 3600);
    X509_NAME *subject = X509_get_subject_name(x);
    MUST(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                    -1, 0));
    X509_set_issuer_name(x, ca != NULL ? X509_get_subject_name(ca->certificate) : subject);
    X509_set_pubkey(x, made.key);
    if (ca == NULL) {
        X509_EXTENSION *is_ca =
            X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
        MUST(X509_add_ext(x, is_ca, -1));
        X509_EXTENSION_free(is_ca);
    }
    MUST(X509_sign(x, ca != NULL ? ca->key : made.key, EVP_sha256()) > 0);
    FILE *pem = fopen(path(file, "pem"), "w"), *key = fopen(path(file, "key"), "w");
    MUST(pem != NULL && key != NULL && PEM_write_X509(pem, x));
    MUST(PEM_write_PrivateKey(key, made.key, NULL, NULL, 0, NULL, NULL));
    fclose(pem), fclose(key);
    return made;
}

static void forget(identity *one, const char *file) {
    EVP_PKEY_free(one->key);
    X509_free(one->certificate);
    MUST(unlink(path(file, "pem")) == 0 && unlink(path(file, "key")) == 0);
}

/* The contexts of the trials: hub and feed trust each other; the others are not trusted. */
static SSL_CTX *hub, *feed, *rogue, *expired;

static peerbeat_node *hub_with(SSL_CTX *context) {
    peerbeat_layer layer = tls_layer(context);
    return start(HUB, context ? &layer : NULL);
}

static peerbeat_node *feed_with(SSL_CTX *context, uint16_t port, const char *remote_name) {
    peerbeat_layer layer = tls_layer(context);
    return start_feed(port, remote_name, context ? &layer : NULL);
}

static void fails(uint16_t port, const char *remote_name, SSL_CTX *context, int reason,
                  const char *text) {
    peerbeat_node *node = feed_with(context, port, remote_name);
    peerbeat_event event = next_of(node, PEERBEAT_EVENT_DIAL_FAILED);
    if ((reason != 0 && event.reason != reason) || strstr(event.text, text) == NULL) {
        fprintf(stderr, "%d: %s\n", event.reason, event.text);
        MUST(!"another failure");
    }
    IS(peerbeat_node_free(node), PEERBEAT_OK);
}

/* Two nodes connect by their certificates; no one else can. */
static void nodes_prove_their_names(void) {
    uint16_t port;
    peerbeat_node *near = hub_with(hub);
    IS(peerbeat_node_port(near, &port), PEERBEAT_OK);
    peerbeat_node *far = feed_with(feed, port, "hub");
    IS(peerbeat_node_wait_up(far, "hub", 20000), PEERBEAT_OK);
    for (int i = 0; i < 1000; i++)
        IS(peerbeat_node_send(far, "hub", &i, sizeof i), PEERBEAT_OK);
    for (int i = 0; i < 1000; i++) {
        peerbeat_event event = next_of(near, PEERBEAT_EVENT_MESSAGE);
        MUST(event.data_len == sizeof i && memcmp(event.data, &i, sizeof i) == 0);
    }
    IS(peerbeat_node_free(far), PEERBEAT_OK);
    MUST(next_of(near, PEERBEAT_EVENT_DOWN).reason == PEERBEAT_DOWN_CLOSED);

    fails(port, "hub", rogue, PEERBEAT_DIAL_PROTOCOL, "certificate");
    MUST(next_of(near, PEERBEAT_EVENT_REFUSED).reason == PEERBEAT_REFUSED_PROTOCOL);
    fails(port, "other", feed, PEERBEAT_DIAL_NAME, "proven is \"hub\"");
    fails(port, "hub", NULL, 0, ""); /* no TLS: an alert, an end or a reset */
    IS(peerbeat_node_free(near), PEERBEAT_OK);

    near = hub_with(NULL);
    IS(peerbeat_node_port(near, &port), PEERBEAT_OK);
    fails(port, "hub", feed, PEERBEAT_DIAL_PROTOCOL, "wrong version number");
    IS(peerbeat_node_free(near), PEERBEAT_OK);
}

static uint16_t port_of(peerbeat_listener *listener) {
    uint16_t port;
    IS(peerbeat_listener_port(listener, &port), PEERBEAT_OK);
    return port;
}

static int stranger(uint16_t port, const char *bytes, size_t len) {
    int fd = connect_to(port);
    MUST(write(fd, bytes, len) == (ssize_t)len);
    return fd;
}

static void refused(peerbeat_listener *listener, const char *text, uint32_t timeout_ms) {
    peerbeat_link *link;
    peerbeat_layer layer = tls_layer(hub);
    peerbeat_options options;
    char detail[400];
    long long began = now_ms();
    IS(peerbeat_options_init(&options, sizeof options), PEERBEAT_OK);
    options.handshake_timeout_ms = timeout_ms;
    IS(peerbeat_listener_accept_layered(listener, &options, &layer, 20000, &link),
       PEERBEAT_E_HANDSHAKE);
    peerbeat_last_error(detail, sizeof detail);
    if (strstr(detail, text) == NULL) {
        fprintf(stderr, "%s\n", detail);
        MUST(!"another failure");
    }
    MUST(now_ms() - began < 15000);
}

/* Garbage, records that are too long or cut, silence, and a certificate that has expired. */
static void strangers_are_refused_each_for_its_reason(void) {
    peerbeat_listener *listener;
    IS(peerbeat_listener_open("127.0.0.1", 0, &listener), PEERBEAT_OK);
    uint16_t port = port_of(listener);
    int fd = stranger(port, "GET / HTTP/1.1\r\nHost: hub\r\n\r\n", 29);
    refused(listener, "http request", 20000);
    close(fd);
    fd = stranger(port, "\x16\x03\x01\xff\xff\x01\x00\x00\x00", 9);
    refused(listener, "packet length too long", 20000);
    close(fd);
    fd = stranger(port, "\x16\x03\x01\x02\x00\x01", 6);
    MUST(shutdown(fd, SHUT_WR) == 0);
    refused(listener, "cut off", 20000);
    close(fd);
    fd = stranger(port, "\x16\x03", 2);
    long long began = now_ms();
    refused(listener, "in time", 300);
    MUST(now_ms() - began >= 300);
    close(fd);

    peerbeat_node *node = feed_with(expired, port, "hub");
    refused(listener, "expired", 20000);
    IS(peerbeat_node_free(node), PEERBEAT_OK);
    IS(peerbeat_listener_free(listener), PEERBEAT_OK);
}

/* A relay between two sockets: it may cut the stream, or put bytes of its own into it. */
typedef struct relay {
    int fds[2], command;
} relay;

static void *pump(void *argument) {
    relay *relay = argument;
    char bytes[4096];
    for (;;) {
        int command = __atomic_load_n(&relay->command, __ATOMIC_SEQ_CST);
        if (command == 'g' && write(relay->fds[0], "\x17\x03\x03\x00\x20", 5) == 5)
            for (int i = 0; i < 32; i++)
                MUST(write(relay->fds[0], "x", 1) == 1);
        if (command != 0)
            break;
        for (int from = 0; from < 2; from++) {
            ssize_t count = recv(relay->fds[from], bytes, sizeof bytes, MSG_DONTWAIT);
            for (ssize_t done = 0; done < count;)
                done += write(relay->fds[!from], bytes + done, (size_t)(count - done));
        }
        sleep_ms(1);
    }
    if (relay->command == 'g') /* until the link has ended */
        while (read(relay->fds[0], bytes, sizeof bytes) > 0)
            continue;
    close(relay->fds[0]), close(relay->fds[1]);
    return NULL;
}

typedef struct end {
    int fd;
    SSL_CTX *context;
    peerbeat_options options;
    peerbeat_link *link;
} end;

static void *attach(void *argument) {
    end *end = argument;
    peerbeat_layer layer = tls_layer(end->context);
    IS(peerbeat_link_attach_fd_layered(end->fd, &end->options, &layer, &end->link), PEERBEAT_OK);
    return NULL;
}

/* In mid-life: large messages arrive, garbage and a cut end the link as what they are. */
static void an_established_link_ends_by_garbage_and_by_a_cut(void) {
    static char big[256 * 1024], got[256 * 1024];
    const char *commands = "gc", *details[] = {"bad record mac", "cut off"};
    for (int i = 0; i < 2; i++) {
        int near_fds[2], far_fds[2];
        size_t len;
        pthread_t thread, pumping;
        peerbeat_state state = {.struct_size = sizeof state};
        MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, near_fds) == 0);
        MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, far_fds) == 0);
        relay relay = {.fds = {near_fds[1], far_fds[1]}};
        end near = {.fd = near_fds[0], .context = feed}, far = {.fd = far_fds[0], .context = hub};
        IS(peerbeat_options_init(&near.options, sizeof near.options), PEERBEAT_OK);
        near.options.local_name = "feed";
        near.options.close_timeout_ms = 100;
        far.options = near.options;
        far.options.local_name = "hub";
        far.options.handshake = PEERBEAT_HANDSHAKE_ACCEPT;
        MUST(pthread_create(&pumping, NULL, pump, &relay) == 0);
        MUST(pthread_create(&thread, NULL, attach, &far) == 0);
        attach(&near);
        MUST(pthread_join(thread, NULL) == 0);
        MUST(strcmp(peerbeat_link_verified_name(near.link), "hub") == 0);
        MUST(strcmp(peerbeat_link_verified_name(far.link), "feed") == 0);
        memset(big, 'a' + i, sizeof big);
        for (int round = 0; round < 3; round++) {
            IS(peerbeat_link_send(near.link, big, sizeof big), PEERBEAT_OK);
            IS(peerbeat_link_recv(far.link, got, sizeof got, &len, 20000), PEERBEAT_OK);
            MUST(len == sizeof big && memcmp(big, got, len) == 0);
        }
        __atomic_store_n(&relay.command, commands[i], __ATOMIC_SEQ_CST);
        IS(peerbeat_link_recv(near.link, got, sizeof got, &len, 20000), PEERBEAT_E_DOWN);
        IS(peerbeat_link_state(near.link, &state), PEERBEAT_OK);
        MUST(state.reason == PEERBEAT_DOWN_IO && strstr(state.detail, details[i]) != NULL);
        IS(peerbeat_link_free(near.link), PEERBEAT_OK);
        MUST(pthread_join(pumping, NULL) == 0);
        IS(peerbeat_link_free(far.link), PEERBEAT_OK);
    }
}

int main(void) {
    scratch_path(folder, sizeof folder, "tls");
    MUST(mkdir(folder, 0700) == 0);
    identity ca = issue("ca", "trusted", NULL, 0), other = issue("other", "other", NULL, 0);
    identity of_hub = issue("hub", "hub", &ca, 0), of_feed = issue("feed", "feed", &ca, 0);
    identity of_rogue = issue("rogue", "feed", &other, 0);
    identity of_old = issue("old", "feed", &ca, 1);
    hub = tls_context(path("ca", "pem"), path("hub", "pem"), path("hub", "key"));
    feed = tls_context(path("ca", "pem"), path("feed", "pem"), path("feed", "key"));
    rogue = tls_context(path("other", "pem"), path("rogue", "pem"), path("rogue", "key"));
    expired = tls_context(path("ca", "pem"), path("old", "pem"), path("old", "key"));
    forget(&ca, "ca"), forget(&other, "other"), forget(&of_hub, "hub"), forget(&of_feed, "feed");
    forget(&of_rogue, "rogue"), forget(&of_old, "old");
    MUST(rmdir(folder) == 0);

    nodes_prove_their_names();
    strangers_are_refused_each_for_its_reason();
    an_established_link_ends_by_garbage_and_by_a_cut();

    SSL_CTX_free(hub), SSL_CTX_free(feed), SSL_CTX_free(rogue), SSL_CTX_free(expired);
    printf("%s\n", OpenSSL_version(OPENSSL_VERSION));
    return 0;
}
