/* A forked child has our handles: every call is an error, nothing joins, nothing is cut; and what
 * the child makes for itself works. The parent goes on as if nothing had happened. */
#include "must.h"

#include <sys/wait.h>

static peerbeat_link *near, *far;
static peerbeat_node *node;
static peerbeat_listener *listener;
static int last_event, downs;

static void on_event(void *user_data, peerbeat_node *of, const peerbeat_event *event) {
    (void)user_data, (void)of;
    __atomic_store_n(&last_event, event->kind, __ATOMIC_SEQ_CST);
    if (event->kind == PEERBEAT_EVENT_DOWN)
        downs++;
}

static void as_child(void) {
    char buf[8];
    size_t len;
    uint16_t port;
    const void *data;
    peerbeat_link *link;
    peerbeat_state state = {.struct_size = sizeof state};
    peerbeat_stats stats = {.struct_size = sizeof stats};
    const int forked = PEERBEAT_E_FORKED;
    IS(peerbeat_link_send(near, "x", 1), forked);
    IS(peerbeat_link_try_send(near, "x", 1), forked);
    IS(peerbeat_link_recv(near, buf, 8, &len, -1), forked);
    IS(peerbeat_link_recv_borrow(near, &data, &len, -1), forked);
    IS(peerbeat_link_release(near), forked);
    IS(peerbeat_link_state(near, &state), forked);
    IS(peerbeat_link_stats(near, &stats), forked);
    IS(peerbeat_link_set_heartbeat_time(near, 1), forked);
    IS(peerbeat_link_shutdown(near), forked);
    IS(peerbeat_link_free(near), forked);
    IS(peerbeat_link_wait_room(near, 1, -1), forked);
    IS(peerbeat_link_free_timeout(near, -1), forked);
    IS(peerbeat_node_wait_up(node, "far", -1), forked);
    IS(peerbeat_node_next_event(node, NULL, -1), forked);
    IS(peerbeat_node_free_timeout(node, -1), forked);
    MUST(!peerbeat_node_peer(node, "far"));
    IS(peerbeat_node_send(node, "far", "x", 1), forked);
    IS(peerbeat_node_try_send(node, "far", "x", 1), forked);
    IS(peerbeat_node_stats(node, NULL, &stats), forked);
    IS(peerbeat_node_port(node, &port), forked);
    IS(peerbeat_node_shutdown(node), forked);
    IS(peerbeat_node_free(node), forked);
    IS(peerbeat_listener_port(listener, &port), forked);
    IS(peerbeat_listener_accept(listener, NULL, 0, &link), forked);
    IS(peerbeat_listener_free(listener), forked);

    peerbeat_options options = options_of(1000, 1000);
    peerbeat_link *mine, *other;
    link_pair(&mine, &other, &options);
    IS(peerbeat_link_send(mine, "own", 3), PEERBEAT_OK);
    IS(peerbeat_link_recv(other, buf, 8, &len, 5000), PEERBEAT_OK);
    IS(peerbeat_link_free(mine), PEERBEAT_OK);
    IS(peerbeat_link_free(other), PEERBEAT_OK);
}

static void both_ways(const char *message) {
    char buf[8];
    size_t len;
    IS(peerbeat_link_send(near, message, 4), PEERBEAT_OK);
    IS(peerbeat_link_recv(far, buf, sizeof buf, &len, 5000), PEERBEAT_OK);
    IS(peerbeat_link_send(far, message, 4), PEERBEAT_OK);
    IS(peerbeat_link_recv(near, buf, sizeof buf, &len, 5000), PEERBEAT_OK);
}

int main(void) {
    peerbeat_link *client;
    uint16_t port;
    peerbeat_options options = options_of(300, 2700);
    peerbeat_handler handler = {sizeof handler, 0, NULL, on_event, NULL, 0};
    link_pair(&near, &far, &options);
    IS(peerbeat_listener_open("127.0.0.1", 0, &listener), PEERBEAT_OK);
    node = start_node("datasrc-interface 127.0.0.1\ndatasrc-port auto\nadd-peer\nremote-name far\n"
                      "heartbeat-time 0.3\nheartbeat-slack-time 2.7\nend-peer\n",
                      &handler, &port);
    options.handshake = PEERBEAT_HANDSHAKE_DEFAULT;
    options.local_name = "far";
    IS(peerbeat_link_connect("127.0.0.1", port, &options, &client), PEERBEAT_OK);
    both_ways("tick");

    for (int round = 0; round < 20; round++) { /* also while our threads hold locks */
        pid_t child = fork();
        MUST(child >= 0);
        if (child == 0) {
            as_child();
            exit(0); /* with everything that runs at a program's end */
        }
        for (int i = 0; i < 100; i++)
            both_ways("tock");
        int status;
        MUST(waitpid(child, &status, 0) == child);
        MUST(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    sleep_ms(4000); /* more than a limit: no link was lost */
    both_ways("tack");
    peerbeat_stats stats = {.struct_size = sizeof stats};
    IS(peerbeat_node_stats(node, "far", &stats), PEERBEAT_OK);
    MUST(stats.links == 1 && downs == 0);
    IS(peerbeat_link_free(client), PEERBEAT_OK);
    IS(peerbeat_node_free(node), PEERBEAT_OK);
    MUST(last_event == PEERBEAT_EVENT_STOPPED && downs == 1);
    IS(peerbeat_listener_free(listener), PEERBEAT_OK);
    IS(peerbeat_link_free(near), PEERBEAT_OK);
    IS(peerbeat_link_free(far), PEERBEAT_OK);
    return 0;
}
