/* Loads a plugin, runs it and closes it, again and again: no thread, no descriptor and no
 * destructor of its own stays behind to be called in memory that is gone. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

static void wait_a_little(void) {
    struct timespec time = {0, 1000000};
    nanosleep(&time, NULL);
}

static int count(const char *folder) {
    int entries = 0;
    DIR *dir = opendir(folder);
    while (dir != NULL && readdir(dir) != NULL)
        entries++;
    if (dir != NULL)
        closedir(dir);
    return entries;
}

static void *load_and_run(void *path) {
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    int (*run)(void) = NULL;
    if (plugin == NULL)
        return fprintf(stderr, "%s\n", dlerror()), NULL;
    *(void **)&run = dlsym(plugin, "plugin_run");
    if (run == NULL || run() != 4 || dlsym(plugin, "peerbeat_version") != NULL)
        return fprintf(stderr, "it did not run, or shows more than its own\n"), NULL;
    return dlclose(plugin) == 0 ? path : NULL;
}

int main(int argc, char **argv) {
    int before = count("/proc/self/fd");
    for (int round = 0; argc > 1 && round < 20; round++) {
        pthread_t thread;
        void *done = NULL;
        /* On a thread that ends after it: thread-local values outlive the close. */
        if (pthread_create(&thread, NULL, load_and_run, argv[1]) != 0)
            return 1;
        pthread_join(thread, &done);
        if (done == NULL || load_and_run(argv[1]) == NULL)
            return 1;
    }
    for (int i = 0; i < 30000 && count("/proc/self/task") > 3; i++)
        wait_a_little();
    printf("%d descriptors more\n", count("/proc/self/fd") - before);
    return count("/proc/self/task") == 3 && count("/proc/self/fd") == before ? 0 : 1;
}
