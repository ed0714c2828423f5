/* Process 1 of a container, which forks into a container of its own: the child is process 1 as
 * well, and yet no part of the parent. Ends with 77 if the system does not allow it. */
#define _GNU_SOURCE
#include "must.h"

#include <sched.h>
#include <sys/wait.h>

int main(void) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0 && unshare(CLONE_NEWPID) != 0)
        return 77;
    pid_t first = fork();
    MUST(first >= 0);
    if (first == 0) {
        peerbeat_link *near, *far;
        char buf[16];
        size_t len;
        peerbeat_options options = options_of(30000, 30000);
        link_pair(&near, &far, &options);
        if (getpid() != 1 || unshare(CLONE_NEWPID) != 0)
            _exit(77);
        pid_t second = fork();
        MUST(second >= 0);
        if (second == 0) {
            MUST(getpid() == 1);
            IS(peerbeat_link_send(near, "child", 5), PEERBEAT_E_FORKED);
            IS(peerbeat_link_free(near), PEERBEAT_E_FORKED);
            _exit(0);
        }
        int status;
        MUST(waitpid(second, &status, 0) == second && WIFEXITED(status));
        MUST(WEXITSTATUS(status) == 0);
        IS(peerbeat_link_send(near, "parent", 6), PEERBEAT_OK);
        IS(peerbeat_link_recv(far, buf, sizeof buf, &len, 10000), PEERBEAT_OK);
        MUST(len == 6);
        IS(peerbeat_link_free(near), PEERBEAT_OK);
        IS(peerbeat_link_free(far), PEERBEAT_OK);
        _exit(0);
    }
    int status;
    MUST(waitpid(first, &status, 0) == first && WIFEXITED(status));
    return WEXITSTATUS(status);
}
