/* Layers of the host: a toy that doubles bytes, right, wrong and failing, on links and nodes. */
#include "nodes.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

/* What a layer is to do wrong, and what it has seen. */
typedef struct trial {
    const char *fails; /* the function that fails, once there is an established link */
    const char *text;  /* with this text, or NULL: with this status */
    int status;
    int lies;           /* counts bytes that it was not given */
    int is_mute;        /* silent in the handshake */
    int is_early;       /* says hello in create */
    int forks;          /* in create; the child returns from it */
    pid_t child;
    const char *name;   /* is proven; "" = that fails */
    int saw_direction;
    char saw_host[64], saw_peer[64], saw_remote_name[64];
    peerbeat_link *volatile link; /* is used in a function, which is refused */
    int status_of_use, created, destroyed, closed;
    int armed; /* has begun to do wrong */
} trial;

typedef struct toy {
    trial *trial;
    int has_sent, has_heard, busy;
} toy;

static int states_alive;
#define ADD(number, n) __atomic_add_fetch(&(number), (n), __ATOMIC_SEQ_CST)
#define GET(number) __atomic_load_n(&(number), __ATOMIC_SEQ_CST)
#define SET(number, n) __atomic_store_n(&(number), (n), __ATOMIC_SEQ_CST)

/* Functions on one state come one at a time. */
static void enter(toy *t) {
    MUST(ADD(t->busy, 1) == 1);
}

/* In a function of a layer no handle can be made. */
static void makes_nothing(void) {
    peerbeat_link *link;
    peerbeat_listener *listener;
    peerbeat_node *node;
    IS(peerbeat_link_connect("127.0.0.1", 1, NULL, &link), PEERBEAT_E_OWN_THREAD);
    IS(peerbeat_link_attach_fd(-1, NULL, &link), PEERBEAT_E_OWN_THREAD);
    IS(peerbeat_listener_open("127.0.0.1", 0, &listener), PEERBEAT_E_OWN_THREAD);
    IS(peerbeat_node_start(NULL, NULL, &node), PEERBEAT_E_OWN_THREAD);
}

static int leave(toy *t, const char *function, peerbeat_layer_out *out) {
    trial *wrong = t->trial;
    if (wrong->link != NULL && strcmp(function, "seal") == 0) {
        char detail[200];
        SET(wrong->status_of_use, peerbeat_link_send(wrong->link, "x", 1));
        peerbeat_last_error(detail, sizeof detail);
        MUST(peerbeat_link_free(wrong->link) == PEERBEAT_E_OWN_THREAD && strstr(detail, "layer"));
        makes_nothing();
        wrong->link = NULL;
    }
    MUST(ADD(t->busy, -1) == 0);
    if (wrong->fails == NULL || strcmp(wrong->fails, function) != 0 || !GET(wrong->armed))
        return PEERBEAT_OK;
    return wrong->text != NULL ? peerbeat_layer_fail(out, wrong->text) : wrong->status;
}

static int create(void *user_data, const peerbeat_layer_connection *of, void **state,
                  peerbeat_layer_out *out) {
    trial *trial = user_data;
    MUST(of->struct_size == sizeof *of);
    trial->saw_direction = of->direction;
    snprintf(trial->saw_host, sizeof trial->saw_host, "%s", of->host);
    snprintf(trial->saw_peer, sizeof trial->saw_peer, "%s", of->peer);
    snprintf(trial->saw_remote_name, sizeof trial->saw_remote_name, "%s", of->remote_name);
    if (trial->fails != NULL && strcmp(trial->fails, "create") == 0)
        return trial->text != NULL ? peerbeat_layer_fail(out, trial->text) : trial->status;
    toy *t = calloc(1, sizeof *t);
    t->trial = trial;
    *state = t;
    if (trial->is_early) {
        IS(peerbeat_layer_put(out, "H", 1), PEERBEAT_OK);
        t->has_sent = 1;
    }
    if (trial->forks && (trial->child = fork()) == 0)
        trial->forks = 2; /* this is the child */
    ADD(states_alive, 1);
    ADD(trial->created, 1);
    return PEERBEAT_OK;
}

static int seal(void *state, const void *plain, size_t len, size_t *taken,
                peerbeat_layer_out *out) {
    toy *t = state;
    const unsigned char *bytes = plain;
    if (t->trial->forks == 2)
        _exit(3);
    enter(t);
    if (!t->has_sent && !t->trial->is_mute) {
        IS(peerbeat_layer_put(out, "H", 1), PEERBEAT_OK);
        t->has_sent = 1;
    }
    for (size_t i = 0; i < len; i++) {
        unsigned char pair[2] = {1, (unsigned char)(bytes[i] ^ 0x5a)};
        IS(peerbeat_layer_put(out, pair, 2), PEERBEAT_OK);
    }
    *taken = len + (t->trial->lies && GET(t->trial->armed) ? 1 : 0);
    return leave(t, "seal", out);
}

static int open_(void *state, const void *sealed, size_t len, size_t *taken, void *plain,
                 size_t cap, size_t *given, peerbeat_layer_out *out) {
    toy *t = state;
    const unsigned char *from = sealed;
    unsigned char *to = plain;
    size_t used = 0, made = 0;
    enter(t);
    if (t->has_heard && len > 0 && t->trial->fails && strcmp(t->trial->fails, "hello") == 0) {
        leave(t, "", out);
        return peerbeat_layer_fail(out, "bad first record");
    }
    if (!t->has_heard && len > 0) {
        if (from[0] != 'H') {
            leave(t, "", out);
            return peerbeat_layer_fail(out, "no hello of a toy\033[2J");
        }
        t->has_heard = 1;
        used = 1;
    }
    for (; used < len && made < cap; used += 2) {
        if (from[used] == 0) {
            *taken = used + 1;
            *given = made;
            leave(t, "", out);
            return PEERBEAT_LAYER_ENDED;
        }
        if (from[used] != 1) {
            leave(t, "", out);
            return peerbeat_layer_fail(out, "no pair");
        }
        if (used + 1 == len)
            break;
        to[made++] = from[used + 1] ^ 0x5a;
    }
    *taken = used;
    *given = made;
    return leave(t, "open", out);
}

static int close_(void *state, peerbeat_layer_out *out) {
    toy *t = state;
    enter(t);
    ADD(t->trial->closed, 1);
    IS(peerbeat_layer_put(out, "\0", 1), PEERBEAT_OK);
    return leave(t, "close", out);
}

static int is_ready(void *state) {
    toy *t = state;
    return t->has_sent && t->has_heard;
}

static int verified_name(void *state, const char **name, peerbeat_layer_out *out) {
    toy *t = state;
    IS(peerbeat_layer_put(out, "x", 1), PEERBEAT_E_INVALID); /* it would never go out */
    if (t->trial->name != NULL && *t->trial->name == '\0')
        return peerbeat_layer_fail(out, "nothing was proven");
    *name = t->trial->name;
    return PEERBEAT_OK;
}

static void destroy(void *state) {
    toy *t = state;
    MUST(t->busy == 0);
    ADD(t->trial->destroyed, 1);
    ADD(states_alive, -1);
    free(t);
}

static peerbeat_layer layer_of(trial *trial) {
    peerbeat_layer layer = {.struct_size = sizeof layer, .user_data = trial};
    layer.create = create, layer.seal = seal, layer.open = open_, layer.close = close_;
    layer.is_ready = is_ready, layer.verified_name = verified_name, layer.destroy = destroy;
    return layer;
}

typedef struct end {
    int fd, status;
    trial *trial;
    peerbeat_options options;
    peerbeat_link *link;
    char detail[400];
} end;

static void *attach(void *argument) {
    end *end = argument;
    peerbeat_layer layer = layer_of(end->trial);
    end->link = NULL;
    end->status = peerbeat_link_attach_fd_layered(end->fd, &end->options, &layer, &end->link);
    peerbeat_last_error(end->detail, sizeof end->detail);
    if (end->status != PEERBEAT_OK)
        close(end->fd); /* it is still ours */
    return NULL;
}

/* Two links with layers on one socket; both sides shake hands at the same time. */
static void pair(end *near, trial *of_near, end *far, trial *of_far) {
    int fds[2];
    pthread_t thread;
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    near->fd = fds[0], far->fd = fds[1];
    near->trial = of_near, far->trial = of_far;
    MUST(pthread_create(&thread, NULL, attach, far) == 0);
    attach(near);
    MUST(pthread_join(thread, NULL) == 0);
}

static void init(end *near, end *far) {
    IS(peerbeat_options_init(&near->options, sizeof near->options), PEERBEAT_OK);
    near->options.handshake_timeout_ms = 5000;
    near->options.close_timeout_ms = 500;
    near->options.local_name = "near";
    far->options = near->options;
    far->options.local_name = "far";
    far->options.handshake = PEERBEAT_HANDSHAKE_ACCEPT;
}

static peerbeat_state state_of(peerbeat_link *link) {
    peerbeat_state state = {.struct_size = sizeof state};
    IS(peerbeat_link_state(link, &state), PEERBEAT_OK);
    return state;
}

/* Messages of all sizes arrive whole, a close is a close, and no state is left. */
static void a_layer_carries_a_link(void) {
    static char big[300000], got[300000];
    size_t len;
    trial one = {.name = "far", .is_early = 1}, other = {.name = "near"};
    end near, far;
    init(&near, &far);
    pair(&near, &one, &far, &other);
    MUST(near.status == PEERBEAT_OK && far.status == PEERBEAT_OK);
    MUST(one.saw_direction == PEERBEAT_DIRECTION_DIALLED);
    MUST(other.saw_direction == PEERBEAT_DIRECTION_ACCEPTED && *other.saw_host == '\0');
    MUST(strcmp(peerbeat_link_verified_name(near.link), "far") == 0);
    MUST(strcmp(peerbeat_link_remote_name(far.link), "near") == 0);
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 7);
    for (size_t size = 1; size <= sizeof big; size = size * 3 + 1) {
        IS(peerbeat_link_send(near.link, big, size), PEERBEAT_OK);
        IS(peerbeat_link_recv(far.link, got, sizeof got, &len, 20000), PEERBEAT_OK);
        MUST(len == size && memcmp(big, got, size) == 0);
    }
    one.link = near.link;
    IS(peerbeat_link_send(near.link, "again", 5), PEERBEAT_OK);
    IS(peerbeat_link_recv(far.link, got, sizeof got, &len, 20000), PEERBEAT_OK);
    MUST(GET(one.status_of_use) == PEERBEAT_E_OWN_THREAD);
    IS(peerbeat_link_drain(near.link, 20000), PEERBEAT_OK);
    IS(peerbeat_link_recv(far.link, got, sizeof got, &len, 20000), PEERBEAT_E_DOWN);
    MUST(state_of(far.link).reason == PEERBEAT_DOWN_CLOSED);
    IS(peerbeat_link_free(near.link), PEERBEAT_OK);
    IS(peerbeat_link_free(far.link), PEERBEAT_OK);
    MUST(GET(states_alive) == 0 && one.closed == 1 && other.closed == 1);
}

/* A child that returns from the first function of all is stopped: the connection is its parent's. */
static void a_child_goes_no_further(void) {
    trial one = {.forks = 1}, other = {0};
    end near, far;
    int status;
    init(&near, &far);
    pair(&near, &one, &far, &other);
    MUST(near.status == PEERBEAT_OK && far.status == PEERBEAT_OK && one.child > 0);
    sleep_ms(100); /* it might exit meanwhile */
    MUST(kill(one.child, SIGKILL) == 0 && waitpid(one.child, &status, 0) == one.child);
    MUST(WIFSIGNALED(status));
    IS(peerbeat_link_free(near.link), PEERBEAT_OK);
    IS(peerbeat_link_free(far.link), PEERBEAT_OK);
    MUST(GET(states_alive) == 0);
}

/* A function that fails in mid-life ends the link, with its text, and is not called again. */
static void a_failing_function_ends_its_link(void) {
    const trial wrongs[] = {{.fails = "seal", .text = "out of\nink"},
                            {.fails = "seal", .status = -7},
                            {.fails = "open", .text = "bad record"},
                            {.fails = "open", .status = 7},
                            {.lies = 1}};
    const char *details[] = {"out of\\nink", "seal returned -7", "bad record", "open returned 7",
                             "counts bytes"};
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        char got[8];
        size_t len;
        trial wrong = wrongs[i], right = {0};
        end near, far;
        init(&near, &far);
        pair(&near, &wrong, &far, &right);
        MUST(near.status == PEERBEAT_OK && far.status == PEERBEAT_OK);
        SET(wrong.armed, 1);
        /* What fails in sending ends the link when something arrives. */
        do {
            peerbeat_link_try_send(near.link, "tock", 4);
            peerbeat_link_try_send(far.link, "tick", 4);
        } while (peerbeat_link_recv(near.link, got, sizeof got, &len, 1) != PEERBEAT_E_DOWN);
        peerbeat_state state = state_of(near.link);
        MUST(state.state == PEERBEAT_STATE_DOWN && state.reason == PEERBEAT_DOWN_IO);
        MUST(strstr(state.detail, details[i]) != NULL);
        IS(peerbeat_link_free(near.link), PEERBEAT_OK);
        IS(peerbeat_link_free(far.link), PEERBEAT_OK);
        MUST(GET(states_alive) == 0);
    }
}

/* What fails in the handshake fails the call; the descriptor stays the host's. */
static void a_handshake_that_fails_fails_the_call(void) {
    trial right = {0};
    end near, far;

    trial none = {.fails = "create", .text = "no memory"};
    init(&near, &far);
    pair(&near, &none, &far, &right);
    MUST(near.status == PEERBEAT_E_HANDSHAKE && strstr(near.detail, "no memory"));
    MUST(far.status == PEERBEAT_E_HANDSHAKE || far.status == PEERBEAT_E_IO);
    MUST(none.destroyed == 0 && GET(states_alive) == 0);

    trial torn = {.fails = "hello"}; /* the layer is ready, and fails while HELLO is read */
    init(&near, &far);
    pair(&near, &right, &far, &torn);
    MUST(far.status == PEERBEAT_E_HANDSHAKE && strstr(far.detail, "bad first record"));
    MUST(near.status != PEERBEAT_OK && GET(states_alive) == 0);

    trial mute = {.is_mute = 1};
    init(&near, &far);
    near.options.handshake_timeout_ms = 200;
    long long began = now_ms();
    pair(&near, &right, &far, &mute);
    MUST(near.status == PEERBEAT_E_HANDSHAKE && strstr(near.detail, "in time"));
    MUST(now_ms() - began >= 200 && GET(states_alive) == 0);

    trial liar = {.name = "somebody"}, honest = {.name = "near"};
    init(&near, &far);
    pair(&near, &honest, &far, &liar);
    MUST(far.status == PEERBEAT_E_HANDSHAKE && near.status == PEERBEAT_E_REFUSED);
    MUST(strstr(far.detail, "HELLO says \"near\", proven is \"somebody\""));
    init(&near, &far);
    pair(&near, &liar, &far, &honest);
    MUST(near.status == PEERBEAT_E_HANDSHAKE);
    if (far.link != NULL) /* it had welcomed us before we looked */
        IS(peerbeat_link_free(far.link), PEERBEAT_OK);

    trial unproven = {.name = ""};
    init(&near, &far);
    pair(&near, &unproven, &far, &right);
    MUST(near.status == PEERBEAT_E_HANDSHAKE && strstr(near.detail, "nothing was proven"));
    MUST(far.status != PEERBEAT_OK && GET(states_alive) == 0);

    peerbeat_layer bad = layer_of(&right);
    int fds[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    bad.seal = NULL;
    IS(peerbeat_link_attach_fd_layered(fds[0], NULL, &bad, &near.link), PEERBEAT_E_INVALID);
    bad = layer_of(&right), bad.open = NULL;
    IS(peerbeat_link_attach_fd_layered(fds[0], NULL, &bad, &near.link), PEERBEAT_E_INVALID);
    bad = layer_of(&right), bad.struct_size = 8;
    IS(peerbeat_link_attach_fd_layered(fds[0], NULL, &bad, &near.link), PEERBEAT_E_INVALID);
    close(fds[0]), close(fds[1]);
}

typedef struct dialler {
    uint16_t port;
    trial trial;
    peerbeat_link *link;
} dialler;

static void *dial(void *argument) {
    dialler *dialler = argument;
    peerbeat_layer layer = layer_of(&dialler->trial);
    IS(peerbeat_link_connect_layered("127.0.0.1", dialler->port, NULL, &layer, &dialler->link),
       PEERBEAT_OK);
    return NULL;
}

/* Garbage, a cut and silence are each refused separately, and delay no one. */
static void a_listener_refuses_strangers(void) {
    trial trial = {0};
    dialler dialler = {.trial = {0}};
    pthread_t thread;
    peerbeat_listener *listener;
    peerbeat_link *link;
    peerbeat_options options;
    peerbeat_layer layer = layer_of(&trial);
    char detail[200], got[8];
    size_t len;
    IS(peerbeat_options_init(&options, sizeof options), PEERBEAT_OK);
    options.handshake_timeout_ms = 5000;
    IS(peerbeat_listener_open("127.0.0.1", 0, &listener), PEERBEAT_OK);
    IS(peerbeat_listener_port(listener, &dialler.port), PEERBEAT_OK);
    int silent = connect_to(dialler.port), cut = connect_to(dialler.port);
    int garbage = connect_to(dialler.port);
    MUST(write(garbage, "GET / HTTP/1.1\r\n\r\n", 18) == 18);
    MUST(write(cut, "H\1", 2) == 2 && shutdown(cut, SHUT_WR) == 0);
    MUST(pthread_create(&thread, NULL, dial, &dialler) == 0);
    int links = 0, refused = 0, cuts = 0, late = 0;
    for (int i = 0; i < 4; i++) {
        int status = peerbeat_listener_accept_layered(listener, &options, &layer, 20000, &link);
        if (status == PEERBEAT_OK) {
            links++;
            IS(peerbeat_link_send(link, "hello", 5), PEERBEAT_OK);
            IS(peerbeat_link_drain(link, 20000), PEERBEAT_OK);
            IS(peerbeat_link_free(link), PEERBEAT_OK);
            continue;
        }
        peerbeat_last_error(detail, sizeof detail);
        MUST(status == PEERBEAT_E_HANDSHAKE || status == PEERBEAT_E_IO);
        refused += strstr(detail, "no hello of a toy\\u{1b}[2J") != NULL;
        cuts += strstr(detail, "cut off") != NULL;
        late += strstr(detail, "in time") != NULL;
    }
    MUST(pthread_join(thread, NULL) == 0);
    MUST(links == 1 && refused == 1 && cuts == 1 && late == 1);
    MUST(strcmp(dialler.trial.saw_host, "127.0.0.1") == 0);
    IS(peerbeat_link_recv(dialler.link, got, sizeof got, &len, 20000), PEERBEAT_OK);
    IS(peerbeat_link_free(dialler.link), PEERBEAT_OK);
    close(silent), close(cut), close(garbage);
    IS(peerbeat_listener_free(listener), PEERBEAT_OK);
    MUST(GET(states_alive) == 0);
}

static peerbeat_node *hub_of(trial *trial) {
    peerbeat_layer layer = layer_of(trial);
    return start(HUB, &layer);
}

static peerbeat_node *feed_of(uint16_t port, trial *trial) {
    peerbeat_layer layer = layer_of(trial);
    return start_feed(port, "hub", &layer);
}

/* A node's connections have layers in both directions; a name must be the one that is proven. */
static void nodes_meet_over_layers(void) {
    uint16_t port;
    trial of_hub = {.name = "feed"}, of_feed = {.name = "hub"}, of_liar = {.name = "nobody"};
    peerbeat_node *hub = hub_of(&of_hub);
    IS(peerbeat_node_port(hub, &port), PEERBEAT_OK);
    peerbeat_node *feed = feed_of(port, &of_feed);
    IS(peerbeat_node_wait_up(hub, "feed", 20000), PEERBEAT_OK);
    IS(peerbeat_node_wait_up(feed, "hub", 20000), PEERBEAT_OK);
    MUST(strcmp(of_feed.saw_peer, "hub") == 0 && strcmp(of_feed.saw_remote_name, "hub") == 0);
    MUST(strcmp(of_feed.saw_host, "127.0.0.1") == 0 && *of_hub.saw_peer == '\0');
    IS(peerbeat_node_send(feed, "hub", "tick", 4), PEERBEAT_OK);
    peerbeat_event event = next_of(hub, PEERBEAT_EVENT_MESSAGE);
    MUST(event.data_len == 4 && memcmp(event.data, "tick", 4) == 0);
    IS(peerbeat_node_free(feed), PEERBEAT_OK);
    event = next_of(hub, PEERBEAT_EVENT_DOWN);
    MUST(event.reason == PEERBEAT_DOWN_CLOSED && GET(of_feed.created) == GET(of_feed.destroyed));

    feed = feed_of(port, &of_liar); /* the hub has proven another name to it */
    event = next_of(feed, PEERBEAT_EVENT_DIAL_FAILED);
    MUST(event.reason == PEERBEAT_DIAL_NAME && strstr(event.text, "proven is \"nobody\""));
    IS(peerbeat_node_free(feed), PEERBEAT_OK);
    MUST(GET(of_liar.created) == GET(of_liar.destroyed));

    close(connect_to(port)); /* a stranger that leaves in the handshake */
    MUST(next_of(hub, PEERBEAT_EVENT_REFUSED).reason == PEERBEAT_REFUSED_GONE);
    IS(peerbeat_node_free(hub), PEERBEAT_OK);
    MUST(GET(states_alive) == 0);
}

/* Freeing a node ends handshakes with silent peers, and calls nothing afterwards. */
static void a_node_is_freed_in_mid_handshake(void) {
    uint16_t port;
    trial of_hub = {0}, of_feed = {0};
    int silent = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET};
    socklen_t length = sizeof here;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    MUST(bind(silent, (struct sockaddr *)&here, sizeof here) == 0 && listen(silent, 8) == 0);
    MUST(getsockname(silent, (struct sockaddr *)&here, &length) == 0);
    peerbeat_node *feed = feed_of(ntohs(here.sin_port), &of_feed);
    peerbeat_node *hub = hub_of(&of_hub);
    IS(peerbeat_node_port(hub, &port), PEERBEAT_OK);
    int stranger = connect_to(port);
    while (GET(of_feed.created) == 0 || GET(of_hub.created) == 0)
        sleep_ms(1);
    long long began = now_ms();
    IS(peerbeat_node_free(feed), PEERBEAT_OK);
    IS(peerbeat_node_free(hub), PEERBEAT_OK);
    MUST(now_ms() - began < 5000); /* the handshakes had 10 s */
    MUST(GET(states_alive) == 0 && of_feed.created == of_feed.destroyed);
    close(silent), close(stranger);
}

int main(void) {
    a_child_goes_no_further(); /* before there is any handle */
    a_layer_carries_a_link();
    a_failing_function_ends_its_link();
    a_handshake_that_fails_fails_the_call();
    a_listener_refuses_strangers();
    nodes_meet_over_layers();
    a_node_is_freed_in_mid_handshake();
    IS(peerbeat_layer_put(NULL, "x", 1), PEERBEAT_E_INVALID);
    IS(peerbeat_layer_fail(NULL, "x"), PEERBEAT_E_INVALID);
    MUST(peerbeat_link_verified_name(NULL) == NULL);
    return 0;
}
