/* Every function with NULL, with sizes that cannot be, and after the end; then nothing is written. */
#include "must.h"

#include <fcntl.h>

#define INVALID PEERBEAT_E_INVALID

static char untouched; /* an address that no function ever gives out */
#define MARK ((void *)&untouched)

static void walk_texts(void) {
    MUST(strcmp(peerbeat_version(), "0.1.0") == 0);
    MUST(peerbeat_abi_version() == PEERBEAT_ABI_VERSION);
    for (int code = PEERBEAT_E_PANIC; code <= PEERBEAT_OK; code++)
        MUST(strstr(peerbeat_strerror(code), "not a status") == NULL);
    MUST(strstr(peerbeat_strerror(PEERBEAT_E_PANIC - 1), "not a status") != NULL);
    MUST(strstr(peerbeat_strerror(1), "not a status") != NULL);

    IS(peerbeat_link_shutdown(NULL), INVALID);
    MUST(peerbeat_last_error(NULL, 0) == strlen("link is NULL"));
    char text[8] = "???????";
    MUST(peerbeat_last_error(text, 0) == 12 && text[0] == '?');
    MUST(peerbeat_last_error(text, 1) == 12 && text[0] == '\0' && text[1] == '?');
    MUST(peerbeat_last_error(text, 5) == 12 && strcmp(text, "link") == 0 && text[5] == '?');
    MUST(peerbeat_last_error(NULL, 100) == 12);
    MUST(peerbeat_last_errno() == 0);
}

static void walk_options(void) {
    union {
        peerbeat_options options;
        unsigned char bytes[sizeof(peerbeat_options) + 8];
    } newer;
    uint32_t size = (uint32_t)sizeof newer;
    IS(peerbeat_options_init(NULL, sizeof newer.options), INVALID);
    IS(peerbeat_options_init(&newer.options, 0), INVALID);
    IS(peerbeat_options_init(&newer.options, sizeof newer.options - 1), INVALID);
    IS(peerbeat_options_init(&newer.options, (size_t)-1), INVALID);
    memset(&newer, 0xff, sizeof newer);
    IS(peerbeat_options_init(&newer.options, sizeof newer), PEERBEAT_OK);
    MUST(newer.options.struct_size == size && newer.options.heartbeat_time_ms == 5000);
    MUST(newer.options.slack_ms == 2000 && newer.options.frame_max == 16 << 20);
    MUST(newer.options.local_name == NULL && newer.bytes[size - 1] == 0);

    /* A longer struct is fine while what this version does not know is zero. */
    peerbeat_liveness rules;
    IS(peerbeat_liveness_init(&rules, &newer.options, 0), PEERBEAT_OK);
    newer.bytes[size - 1] = 1;
    IS(peerbeat_liveness_init(&rules, &newer.options, 0), INVALID);

    int fds[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    peerbeat_link *link = MARK;
#define REFUSED(field, value)                                                                      \
    do {                                                                                           \
        peerbeat_options options = options_of(0, 0);                                               \
        options.field = value;                                                                     \
        IS(peerbeat_link_attach_fd(fds[0], &options, &link), INVALID);                             \
        MUST(link == MARK);                                                                        \
    } while (0)
    REFUSED(struct_size, 0);
    REFUSED(struct_size, sizeof options - 4);
    REFUSED(struct_size, UINT32_MAX);
    REFUSED(heartbeat_mode, 2);
    REFUSED(heartbeat_mode, -1);
    REFUSED(handshake, 4);
    REFUSED(frame_max, 0);
    REFUSED(frame_max, UINT64_MAX);
    REFUSED(stack_size, UINT64_MAX);
    REFUSED(local_name, "");
    REFUSED(local_name, "\xff");
    REFUSED(local_name, "line\nbreak");
    REFUSED(thread_name, "\xff");
    IS(peerbeat_link_attach_fd(-1, NULL, &link), INVALID);
    IS(peerbeat_link_attach_fd(1000000, NULL, &link), INVALID);
    IS(peerbeat_link_attach_fd(fds[0], NULL, NULL), INVALID);
    IS(peerbeat_link_connect(NULL, 1, NULL, &link), INVALID);
    IS(peerbeat_link_connect("\xff", 1, NULL, &link), INVALID);
    IS(peerbeat_link_connect("localhost", 1, NULL, NULL), INVALID);
    MUST(link == MARK);
    MUST(write(fds[0], "x", 1) == 1); /* the descriptor stayed ours */
    close(fds[0]);
    close(fds[1]);
}

static void walk_config(void) {
    peerbeat_config *config = MARK;
    peerbeat_peer peer = {.struct_size = sizeof peer};
    IS(peerbeat_config_load(NULL, NULL, &config), INVALID);
    IS(peerbeat_config_load("/no/such/file", NULL, &config), PEERBEAT_E_CONFIG);
    MUST(peerbeat_config_error_count() == 1 && strstr(peerbeat_config_error(0), "/no/such/file"));
    MUST(peerbeat_config_error(1) == NULL);
    IS(peerbeat_config_load("/dev/null", NULL, NULL), INVALID);
    IS(peerbeat_config_parse(NULL, NULL, &config), INVALID);
    IS(peerbeat_config_parse("\xff", NULL, &config), INVALID);
    IS(peerbeat_config_parse("", "\xff", &config), INVALID);
    IS(peerbeat_config_parse("", NULL, NULL), INVALID);
    IS(peerbeat_config_parse("datasrc-port x\nadd-peer\n", NULL, &config), PEERBEAT_E_CONFIG);
    MUST(peerbeat_config_error_count() == 2 && config == MARK);
    MUST(peerbeat_config_name(NULL) == NULL && peerbeat_config_port(NULL) == 0);
    MUST(peerbeat_config_peer_count(NULL) == 0 && peerbeat_config_peer_name(NULL, 0) == NULL);
    MUST(peerbeat_config_warning_count(NULL) == 0 && peerbeat_config_warning(NULL, 0) == NULL);
    IS(peerbeat_config_peer(NULL, 0, &peer), INVALID);
    peerbeat_config_free(NULL);

    const char *text = "datasrc-name me-%a\ndatasrc-port 7001\nno-such-thing\nadd-peer\n"
                       "remote-name you\naddr one two\nport 1 2\nheartbeat-time 15\ncolour red\n"
                       "end-peer\nadd-peer\nremote-name they\nheartbeat-time 0\nend-peer\n";
    IS(peerbeat_config_parse(text, "app", &config), PEERBEAT_OK);
    MUST(peerbeat_config_error_count() == 0 && peerbeat_config_error(0) == NULL);
    MUST(strcmp(peerbeat_config_name(config), "me-app") == 0);
    MUST(peerbeat_config_port(config) == 7001 && peerbeat_config_peer_count(config) == 2);
    MUST(strcmp(peerbeat_config_peer_name(config, 1), "they") == 0);
    MUST(peerbeat_config_peer_name(config, 2) == NULL);
    MUST(peerbeat_config_warning_count(config) == 1);
    MUST(strstr(peerbeat_config_warning(config, 0), "colour") != NULL);
    MUST(peerbeat_config_warning(config, 1) == NULL);
    IS(peerbeat_config_peer(config, 0, &peer), PEERBEAT_OK);
    MUST(strcmp(peer.addresses, "one:1 two:2") == 0 && peer.heartbeat_time_ms == 15000);
    IS(peerbeat_config_peer(config, 1, &peer), PEERBEAT_OK);
    MUST(peer.heartbeat_time_ms == -1 && peer.slack_ms == 2000);
    MUST(strcmp(peer.name, "they") == 0 && strcmp(peer.addresses, "") == 0);
    IS(peerbeat_config_peer(config, 2, &peer), PEERBEAT_E_NOT_FOUND);
    IS(peerbeat_config_peer(config, 0, NULL), INVALID);
    peer.struct_size = 8;
    IS(peerbeat_config_peer(config, 0, &peer), INVALID);
    peerbeat_config_free(config);
}

/* The functions that ask of a node, with NULL, with a name that there is not, and rightly. */
static void walk_asking(peerbeat_node *node, const peerbeat_config *config) {
    int fd = -7;
    size_t len = 77;
    char buf[8] = "?";
    peerbeat_state state = {.struct_size = sizeof state};
    peerbeat_totals totals = {.struct_size = sizeof totals};
    peerbeat_event event = {.struct_size = sizeof event};
    const int missing = PEERBEAT_E_NOT_FOUND, down = PEERBEAT_E_NOT_CONNECTED;
    IS(peerbeat_node_reload(NULL, config, NULL, 0), INVALID);
    IS(peerbeat_node_reload(node, NULL, NULL, 0), INVALID);
    IS(peerbeat_node_reload(node, config, NULL, 8), PEERBEAT_OK);
    IS(peerbeat_node_set_heartbeat_time(NULL, "a", 1), INVALID);
    IS(peerbeat_node_set_heartbeat_time(node, NULL, 1), INVALID);
    IS(peerbeat_node_set_heartbeat_time(node, "b", 1), missing);
    IS(peerbeat_node_set_slack(NULL, "a", 1), INVALID);
    IS(peerbeat_node_set_slack(node, NULL, 1), INVALID);
    IS(peerbeat_node_set_slack(node, "a", 1), PEERBEAT_E_NEXT_CONNECTION);
    IS(peerbeat_node_close_peer(NULL, "a"), INVALID);
    IS(peerbeat_node_close_peer(node, NULL), INVALID);
    IS(peerbeat_node_close_peer(node, "a"), down);
    IS(peerbeat_node_wait_up(NULL, "a", 0), INVALID);
    IS(peerbeat_node_wait_up(node, "b", 0), missing);
    IS(peerbeat_node_wait_up(node, NULL, 0), PEERBEAT_E_TIMEOUT);
    IS(peerbeat_node_wait_room(NULL, "a", 1, 0), INVALID);
    IS(peerbeat_node_wait_room(node, NULL, 1, 0), INVALID);
    IS(peerbeat_node_wait_room(node, "a", 1, -1), down);
    IS(peerbeat_node_state(NULL, "a", &state), INVALID);
    IS(peerbeat_node_state(node, NULL, &state), INVALID);
    IS(peerbeat_node_state(node, "a", NULL), INVALID);
    IS(peerbeat_node_state(node, "a", &state), PEERBEAT_OK);
    MUST(state.state == PEERBEAT_STATE_DOWN && state.reason == 0);
    IS(peerbeat_node_totals(NULL, "a", &totals), INVALID);
    IS(peerbeat_node_totals(node, "b", &totals), missing);
    IS(peerbeat_node_totals(node, NULL, NULL), INVALID);
    IS(peerbeat_node_totals(node, NULL, &totals), PEERBEAT_OK);
    MUST(totals.connects == 0 && totals.own_late_max_us == -1);
    IS(peerbeat_node_explain(NULL, "a", buf, 8, &len), INVALID);
    IS(peerbeat_node_explain(node, NULL, buf, 8, &len), INVALID);
    IS(peerbeat_node_explain(node, "a", buf, 8, &len), down);
    MUST(len == 77 && buf[0] == '?');
    MUST(!peerbeat_node_peer(NULL, "a") && !peerbeat_node_peer(node, NULL));
    MUST(!peerbeat_node_peer(node, "b") && strcmp(peerbeat_node_peer(node, "a"), "a") == 0);
    IS(peerbeat_node_set_user_data(NULL, "a", MARK), INVALID);
    IS(peerbeat_node_set_user_data(node, NULL, MARK), INVALID);
    IS(peerbeat_node_set_user_data(node, "a", MARK), PEERBEAT_OK);
    MUST(!peerbeat_node_user_data(NULL, "a") && !peerbeat_node_user_data(node, NULL));
    MUST(peerbeat_node_user_data(node, "a") == MARK);
    IS(peerbeat_node_event_fd(NULL, &fd), INVALID);
    IS(peerbeat_node_event_fd(node, NULL), INVALID);
    MUST(fd == -7);
    IS(peerbeat_node_event_fd(node, &fd), PEERBEAT_OK);
    MUST(fd >= 0);
    IS(peerbeat_node_next_event(NULL, &event, 0), INVALID);
    IS(peerbeat_node_next_event(node, NULL, 0), INVALID);
    MUST(peerbeat_event_text(NULL, buf, 8) == 0 && strcmp(peerbeat_event_word(0), "") == 0);
}

static void walk_node(void) {
    peerbeat_config *config;
    peerbeat_node *node = MARK;
    peerbeat_stats stats = {.struct_size = sizeof stats};
    uint16_t port = 7;
    peerbeat_handler handler = {.struct_size = sizeof handler}; /* no callbacks at all */
    IS(peerbeat_config_parse("add-peer\nremote-name a\nend-peer", NULL, &config), PEERBEAT_OK);
    IS(peerbeat_node_start(NULL, &handler, &node), INVALID);
    IS(peerbeat_node_start_layered(NULL, &handler, NULL, &node), INVALID);
    IS(peerbeat_node_start(config, &handler, NULL), INVALID);
    handler.struct_size = 8;
    IS(peerbeat_node_start(config, &handler, &node), INVALID);
    handler.struct_size = sizeof handler;
    handler.stack_size = UINT64_MAX;
    IS(peerbeat_node_start(config, &handler, &node), INVALID);
    handler.stack_size = 1;
    MUST(node == MARK);
    IS(peerbeat_node_start(config, &handler, &node), PEERBEAT_OK);

    IS(peerbeat_node_send(NULL, "a", "x", 1), INVALID);
    IS(peerbeat_node_send(node, NULL, "x", 1), INVALID);
    IS(peerbeat_node_send(node, "a", NULL, 1), INVALID);
    IS(peerbeat_node_send(node, "a", "x", (size_t)-1), INVALID);
    IS(peerbeat_node_send(node, "a", NULL, 0), PEERBEAT_E_NOT_CONNECTED);
    IS(peerbeat_node_send(node, "\xff", "x", 1), INVALID);
    IS(peerbeat_node_try_send(NULL, "a", "x", 1), INVALID);
    IS(peerbeat_node_try_send(node, NULL, "x", 1), INVALID);
    IS(peerbeat_node_try_send(node, "a", NULL, 1), INVALID);
    IS(peerbeat_node_try_send(node, "b", "x", 1), PEERBEAT_E_NOT_FOUND);
    const char *full;
    peerbeat_published published = {.struct_size = sizeof published};
    IS(peerbeat_node_publish(NULL, "x", 1, NULL, 0, NULL), INVALID);
    IS(peerbeat_node_publish(node, NULL, 1, NULL, 0, NULL), INVALID);
    IS(peerbeat_node_publish(node, "x", 1, NULL, 1, NULL), INVALID);
    IS(peerbeat_node_publish(node, "x", 1, &full, 1, &published), PEERBEAT_OK);
    MUST(published.sent == 0 && published.full == 0 && published.not_connected == 1);
    published.struct_size = 0;
    IS(peerbeat_node_publish(node, "x", 1, NULL, 0, &published), INVALID);
    IS(peerbeat_node_stats(NULL, NULL, &stats), INVALID);
    IS(peerbeat_node_stats(node, NULL, NULL), INVALID);
    IS(peerbeat_node_stats(node, "b", &stats), PEERBEAT_E_NOT_FOUND);
    IS(peerbeat_node_stats(node, "a", &stats), PEERBEAT_OK);
    MUST(stats.links == 0 && stats.round_trip_us == -1 && stats.struct_size == sizeof stats);
    stats.struct_size = 4;
    IS(peerbeat_node_stats(node, NULL, &stats), INVALID);
    IS(peerbeat_node_port(NULL, &port), INVALID);
    IS(peerbeat_node_port(node, NULL), INVALID);
    MUST(port == 7);
    IS(peerbeat_node_port(node, &port), PEERBEAT_OK);
    MUST(port == 0);
    walk_asking(node, config);
    peerbeat_config_free(config);
    IS(peerbeat_node_drain(NULL, 0), INVALID);
    IS(peerbeat_node_shutdown(NULL), INVALID);
    for (int i = 0; i < 3; i++) {
        IS(peerbeat_node_shutdown(node), PEERBEAT_OK);
        IS(peerbeat_node_send(node, "a", "x", 1), PEERBEAT_E_NOT_CONNECTED);
    }
    IS(peerbeat_node_free(NULL), PEERBEAT_OK);
    IS(peerbeat_node_free_timeout(NULL, 0), PEERBEAT_OK);
    IS(peerbeat_node_free(node), PEERBEAT_OK);
}

static void walk_listener(void) {
    peerbeat_listener *listener = MARK;
    peerbeat_link *link = MARK;
    uint16_t port;
    IS(peerbeat_listener_open("\xff", 0, &listener), INVALID);
    IS(peerbeat_listener_open(NULL, 0, NULL), INVALID);
    MUST(listener == MARK);
    IS(peerbeat_listener_open(NULL, 0, &listener), PEERBEAT_OK);
    IS(peerbeat_listener_port(NULL, &port), INVALID);
    IS(peerbeat_listener_port(listener, NULL), INVALID);
    IS(peerbeat_listener_port(listener, &port), PEERBEAT_OK);
    MUST(port != 0);
    IS(peerbeat_listener_accept(NULL, NULL, 0, &link), INVALID);
    IS(peerbeat_listener_accept(listener, NULL, 0, NULL), INVALID);
    IS(peerbeat_listener_accept(listener, NULL, 0, &link), PEERBEAT_E_TIMEOUT);
    MUST(link == MARK);
    peerbeat_layer layer = {.struct_size = sizeof layer}; /* without its functions */
    IS(peerbeat_listener_accept_layered(NULL, NULL, NULL, 0, &link), INVALID);
    IS(peerbeat_listener_accept_layered(listener, NULL, &layer, 0, &link), INVALID);
    IS(peerbeat_listener_accept_layered(listener, NULL, NULL, 0, &link), PEERBEAT_E_TIMEOUT);
    IS(peerbeat_link_connect_layered(NULL, 1, NULL, NULL, &link), INVALID);
    IS(peerbeat_link_connect_layered("localhost", 1, NULL, &layer, &link), INVALID);
    IS(peerbeat_link_attach_fd_layered(-1, NULL, NULL, &link), INVALID);
    IS(peerbeat_link_attach_fd_layered(0, NULL, &layer, &link), INVALID);
    IS(peerbeat_layer_put(NULL, "x", 1), INVALID);
    IS(peerbeat_layer_fail(NULL, "x"), INVALID);
    MUST(link == MARK && peerbeat_link_verified_name(NULL) == NULL);
    IS(peerbeat_listener_free(NULL), PEERBEAT_OK);
    IS(peerbeat_listener_free(listener), PEERBEAT_OK);
}

/* What a link does after its end: everything answers, nothing waits. */
static void walk_ended(peerbeat_link *link, peerbeat_link *far) {
    char buf[8];
    size_t len = 77;
    const void *data = MARK;
    peerbeat_state state = {.struct_size = sizeof state};
    peerbeat_stats stats = {.struct_size = sizeof stats};
    IS(peerbeat_link_send(far, "last", 4), PEERBEAT_OK);
    for (stats.inbox_messages = 0; stats.inbox_messages == 0; sleep_ms(1))
        IS(peerbeat_link_stats(link, &stats), PEERBEAT_OK);
    for (int i = 0; i < 3; i++)
        IS(peerbeat_link_shutdown(link), PEERBEAT_OK);
    IS(peerbeat_link_send(link, "x", 1), PEERBEAT_E_DOWN);
    IS(peerbeat_link_try_send(link, "x", 1), PEERBEAT_E_DOWN);
    IS(peerbeat_link_set_heartbeat_time(link, 1), PEERBEAT_E_DOWN);
    IS(peerbeat_link_recv(link, buf, sizeof buf, &len, -1), PEERBEAT_OK);
    MUST(len == 4 && memcmp(buf, "last", 4) == 0);
    IS(peerbeat_link_recv(link, buf, sizeof buf, &len, -1), PEERBEAT_E_DOWN);
    IS(peerbeat_link_recv_borrow(link, &data, &len, -1), PEERBEAT_E_DOWN);
    MUST(len == 4 && data == MARK);
    IS(peerbeat_link_state(link, &state), PEERBEAT_OK);
    MUST(state.state == PEERBEAT_STATE_DOWN && state.reason == PEERBEAT_DOWN_LOCAL);
    IS(peerbeat_link_free(link), PEERBEAT_OK);

    IS(peerbeat_link_recv(far, buf, sizeof buf, &len, -1), PEERBEAT_E_DOWN);
    IS(peerbeat_link_state(far, &state), PEERBEAT_OK);
    MUST(state.reason == PEERBEAT_DOWN_CLOSED && state.bye_code == 0);
    MUST(strcmp(state.detail, "orderly close") == 0);
    IS(peerbeat_link_free(far), PEERBEAT_OK);
}

static void walk_link(void) {
    char buf[8] = "???????";
    size_t len = 77;
    const void *data = MARK;
    peerbeat_state state = {.struct_size = sizeof state};
    peerbeat_stats stats = {.struct_size = sizeof stats};
    peerbeat_options options = options_of(5000, 2000);
    peerbeat_link *link, *far;
    link_pair(&link, &far, &options);
    MUST(strcmp(peerbeat_link_verified_name(link), "") == 0);
    MUST(strcmp(peerbeat_link_remote_name(link), "") == 0 && !peerbeat_link_remote_name(NULL));
    IS(peerbeat_link_send(NULL, "x", 1), INVALID);
    IS(peerbeat_link_send(link, NULL, 1), INVALID);
    IS(peerbeat_link_send(link, "x", (size_t)-1), INVALID);
    IS(peerbeat_link_try_send(NULL, "x", 1), INVALID);
    IS(peerbeat_link_try_send(link, NULL, 1), INVALID);
    IS(peerbeat_link_recv(NULL, buf, 8, &len, 0), INVALID);
    IS(peerbeat_link_recv(link, NULL, 8, &len, 0), INVALID);
    IS(peerbeat_link_recv(link, buf, 8, NULL, 0), INVALID);
    IS(peerbeat_link_recv(link, buf, 8, &len, 0), PEERBEAT_E_TIMEOUT);
    IS(peerbeat_link_recv_borrow(NULL, &data, &len, 0), INVALID);
    IS(peerbeat_link_recv_borrow(link, NULL, &len, 0), INVALID);
    IS(peerbeat_link_recv_borrow(link, &data, NULL, 0), INVALID);
    IS(peerbeat_link_recv_borrow(link, &data, &len, 0), PEERBEAT_E_TIMEOUT);
    IS(peerbeat_link_release(NULL), INVALID);
    IS(peerbeat_link_release(link), PEERBEAT_OK);
    IS(peerbeat_link_state(NULL, &state), INVALID);
    IS(peerbeat_link_state(link, NULL), INVALID);
    IS(peerbeat_link_stats(NULL, &stats), INVALID);
    IS(peerbeat_link_stats(link, NULL), INVALID);
    IS(peerbeat_link_set_heartbeat_time(NULL, 1), INVALID);
    IS(peerbeat_link_drain(NULL, 0), INVALID);
    IS(peerbeat_link_set_slack(NULL, 1), INVALID);
    IS(peerbeat_link_wait_room(NULL, 1, 0), INVALID);
    IS(peerbeat_link_explain(NULL, buf, 8, &len), INVALID);
    IS(peerbeat_link_event_fd(NULL, NULL), INVALID);
    IS(peerbeat_link_event_fd(link, NULL), INVALID);
    IS(peerbeat_link_send_all(NULL, NULL, 0, NULL), INVALID);
    IS(peerbeat_link_send_all(link, NULL, 1, NULL), INVALID);
    IS(peerbeat_link_send_all(link, NULL, 0, NULL), PEERBEAT_OK);
    IS(peerbeat_link_shutdown(NULL), INVALID);
    IS(peerbeat_link_free(NULL), PEERBEAT_OK);
    IS(peerbeat_link_free_timeout(NULL, 0), PEERBEAT_OK);
    MUST(len == 77 && data == MARK && buf[0] == '?');

    IS(peerbeat_link_send(far, NULL, 0), PEERBEAT_OK);
    IS(peerbeat_link_recv(link, NULL, 0, &len, -1), PEERBEAT_OK);
    MUST(len == 0);
    IS(peerbeat_link_send(far, "four", 4), PEERBEAT_OK);
    IS(peerbeat_link_recv(link, NULL, 0, &len, -1), PEERBEAT_E_TOO_SMALL);
    MUST(len == 4);
    IS(peerbeat_link_recv_borrow(link, &data, &len, 0), PEERBEAT_OK);
    MUST(len == 4 && memcmp(data, "four", 4) == 0);
    IS(peerbeat_link_recv(link, buf, 8, &len, -1), PEERBEAT_E_BUSY);
    IS(peerbeat_link_release(link), PEERBEAT_OK);
    IS(peerbeat_link_release(link), PEERBEAT_OK);
    IS(peerbeat_link_recv(link, buf, 8, &len, 0), PEERBEAT_E_TIMEOUT);
    IS(peerbeat_link_state(link, &state), PEERBEAT_OK);
    MUST(state.state == PEERBEAT_STATE_UP && state.limit_ms == 7000 && state.reason == 0);
    do /* the reader counts after it has handed over */
        IS(peerbeat_link_stats(link, &stats), PEERBEAT_OK);
    while (stats.messages_received < 2);
    MUST(stats.links == 1 && stats.messages_received == 2 && stats.local_blocked == 0);
    state.struct_size = stats.struct_size = 0;
    IS(peerbeat_link_state(link, &state), INVALID);
    IS(peerbeat_link_stats(link, &stats), INVALID);
    walk_ended(link, far);

    int fds[2]; /* the number stays until the link has ended */
    MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    IS(peerbeat_link_attach_fd(fds[0], &options, &link), PEERBEAT_OK);
    MUST(fcntl(fds[0], F_GETFD) >= 0);
    IS(peerbeat_link_free(link), PEERBEAT_OK);
    MUST(fcntl(fds[0], F_GETFD) == -1);
    close(fds[1]);

    link_pair(&link, &far, &options); /* freed with a message borrowed, and never shut down */
    IS(peerbeat_link_send(far, "four", 4), PEERBEAT_OK);
    IS(peerbeat_link_recv_borrow(link, &data, &len, -1), PEERBEAT_OK);
    IS(peerbeat_link_free(link), PEERBEAT_OK);
    IS(peerbeat_link_free(far), PEERBEAT_OK);
}

static void walk_liveness(void) {
    peerbeat_liveness rules;
    uint64_t deadline = 77;
    uint32_t value = 77;
    memset(&rules, 0, sizeof rules);
    peerbeat_options options = options_of(100, 50);
    IS(peerbeat_liveness_sent(&rules, 0), INVALID); /* never initialised */
    IS(peerbeat_liveness_heartbeat_sent(&rules, 1, 0), INVALID);
    IS(peerbeat_liveness_received(&rules, 0), INVALID);
    IS(peerbeat_liveness_heartbeat_received(&rules, 1, 0), INVALID);
    IS(peerbeat_liveness_next(&rules, 0, &deadline, &value), INVALID);
    IS(peerbeat_liveness_init(NULL, NULL, 0), INVALID);
    IS(peerbeat_liveness_sent(NULL, 0), INVALID);
    IS(peerbeat_liveness_pending(NULL, 0), INVALID);
    IS(peerbeat_liveness_heartbeat_sent(NULL, 1, 0), INVALID);
    IS(peerbeat_liveness_received(NULL, 0), INVALID);
    IS(peerbeat_liveness_heartbeat_received(NULL, 1, 0), INVALID);
    IS(peerbeat_liveness_next(NULL, 0, &deadline, &value), INVALID);
    options.heartbeat_mode = 9;
    IS(peerbeat_liveness_init(&rules, &options, 0), INVALID);
    options.heartbeat_mode = 0;
    IS(peerbeat_liveness_init(&rules, &options, 0), PEERBEAT_OK);
    IS(peerbeat_liveness_next(&rules, 0, NULL, &value), INVALID);
    MUST(deadline == 77 && value == 77);

    /* The whole life on a clock of our own, to the nanosecond. */
    const uint64_t ms = 1000000;
    IS(peerbeat_liveness_next(&rules, 0, &deadline, &value), PEERBEAT_NEXT_SEND_HEARTBEAT);
    MUST(value == 100 && deadline == 0);
    IS(peerbeat_liveness_heartbeat_sent(&rules, 100, 0), PEERBEAT_OK);
    IS(peerbeat_liveness_next(&rules, 0, &deadline, NULL), PEERBEAT_NEXT_NOTHING);
    MUST(deadline == 100 * ms);
    IS(peerbeat_liveness_sent(&rules, 10 * ms), PEERBEAT_OK);
    IS(peerbeat_liveness_received(&rules, 40 * ms), PEERBEAT_OK);
    IS(peerbeat_liveness_next(&rules, 40 * ms, &deadline, &value), PEERBEAT_NEXT_NOTHING);
    MUST(deadline == 110 * ms && value == 100);
    IS(peerbeat_liveness_next(&rules, 110 * ms, &deadline, &value), PEERBEAT_NEXT_SEND_HEARTBEAT);
    IS(peerbeat_liveness_heartbeat_sent(&rules, 100, 110 * ms), PEERBEAT_OK);
    IS(peerbeat_liveness_next(&rules, 165 * ms, &deadline, &value), PEERBEAT_NEXT_LATE);
    peerbeat_liveness copy = rules; /* it may be copied */
    IS(peerbeat_liveness_next(&copy, 190 * ms - 1, &deadline, &value), PEERBEAT_NEXT_NOTHING);
    MUST(deadline == 190 * ms);
    IS(peerbeat_liveness_next(&copy, 190 * ms, &deadline, &value), PEERBEAT_NEXT_SILENT);
    IS(peerbeat_liveness_heartbeat_received(&rules, 1, 170 * ms), PEERBEAT_OK); /* the floor */
    IS(peerbeat_liveness_next(&rules, 170 * ms, &deadline, &value), PEERBEAT_NEXT_NOTHING);
    MUST(value == 100 && deadline == 210 * ms);
    IS(peerbeat_liveness_next(&rules, 900 * ms, &deadline, &value), PEERBEAT_NEXT_STALLED);

    /* Bytes wait from 10 ms on, of which the kernel takes none, while the peer is heard. */
    IS(peerbeat_liveness_init(&rules, &options, 0), PEERBEAT_OK);
    IS(peerbeat_liveness_heartbeat_sent(&rules, 100, 0), PEERBEAT_OK);
    IS(peerbeat_liveness_pending(&rules, 10 * ms), PEERBEAT_OK);
    IS(peerbeat_liveness_received(&rules, 100 * ms), PEERBEAT_OK);
    IS(peerbeat_liveness_next(&rules, 150 * ms, &deadline, &value), PEERBEAT_NEXT_SEND_HEARTBEAT);
    IS(peerbeat_liveness_next(&rules, 150 * ms, &deadline, &value), PEERBEAT_NEXT_NOTHING);
    MUST(deadline == 160 * ms);
    IS(peerbeat_liveness_next(&rules, 160 * ms, &deadline, &value), PEERBEAT_NEXT_WRITE_STALLED);

    options.heartbeat_time_ms = 0; /* no heartbeat-time: nothing is ever due */
    IS(peerbeat_liveness_init(&rules, &options, 5), PEERBEAT_OK);
    IS(peerbeat_liveness_next(&rules, 5, &deadline, &value), PEERBEAT_NEXT_NOTHING);
    MUST(deadline == PEERBEAT_NEVER && value == 0);
}

int main(void) {
    walk_texts();
    walk_options();
    walk_config();
    walk_node();
    walk_listener();
    walk_link();
    walk_liveness();
    return 0;
}
