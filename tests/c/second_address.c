/* A name with two addresses: the one behind which something else listens is passed over, whichever
 * of them it is. Ends with 77 if the system does not let this program give a name two addresses. */
#define _GNU_SOURCE
#include "must.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>

static const char *NAME = "two-addresses";

static void name_two_addresses(void) {
    char path[200];
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        _exit(77);
    if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0)
        _exit(77);
    scratch_path(path, sizeof path, "hosts");
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
    MUST(fd >= 0);
    MUST(dprintf(fd, "127.0.0.1 %s\n127.0.0.2 %s\n", NAME, NAME) > 0);
    int mounted = mount(path, "/etc/hosts", "none", MS_BIND, NULL);
    unlink(path);
    if (mounted != 0)
        _exit(77);
}

/* Accepts one connection, and ends it without a word. */
static void *be_no_peer(void *listener) {
    int fd = accept(*(int *)listener, NULL, NULL);
    if (fd >= 0)
        close(fd);
    return NULL;
}

static void *accept_one(void *listener) {
    peerbeat_link *link;
    char buf[8];
    size_t len;
    IS(peerbeat_listener_accept(listener, NULL, 10000, &link), PEERBEAT_OK);
    IS(peerbeat_link_recv(link, buf, sizeof buf, &len, 10000), PEERBEAT_OK);
    MUST(len == 4 && memcmp(buf, "tick", 4) == 0);
    IS(peerbeat_link_free(link), PEERBEAT_OK);
    return NULL;
}

static void connect_past(const char *other, const char *peer) {
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, other, &addr.sin_addr);
    MUST(fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof addr) == 0 && listen(fd, 1) == 0);
    MUST(getsockname(fd, (struct sockaddr *)&addr, &len) == 0);

    peerbeat_listener *listener;
    peerbeat_link *link;
    pthread_t threads[2];
    IS(peerbeat_listener_open(peer, ntohs(addr.sin_port), &listener), PEERBEAT_OK);
    MUST(pthread_create(&threads[0], NULL, be_no_peer, &fd) == 0);
    MUST(pthread_create(&threads[1], NULL, accept_one, listener) == 0);
    IS(peerbeat_link_connect(NAME, ntohs(addr.sin_port), NULL, &link), PEERBEAT_OK);
    IS(peerbeat_link_send(link, "tick", 4), PEERBEAT_OK);
    MUST(pthread_join(threads[1], NULL) == 0);
    IS(peerbeat_link_free(link), PEERBEAT_OK);
    IS(peerbeat_listener_free(listener), PEERBEAT_OK);
    /* Nothing came here if it was not the first: let it go. */
    shutdown(fd, SHUT_RDWR);
    MUST(pthread_join(threads[0], NULL) == 0);
    close(fd);
}

int main(void) {
    name_two_addresses();
    connect_past("127.0.0.1", "127.0.0.2");
    connect_past("127.0.0.2", "127.0.0.1");
    return 0;
}
