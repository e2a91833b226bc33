// Preloaded: a process that can have MOST_THREADS threads at a time besides its first, and is refused more.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

typedef int (*Create)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);

struct Start {
    void* (*run)(void*);
    void* with;
};

static int there;

static void* run(void* given) {
    const struct Start start = *(struct Start*)given;
    free(given);
    void* result = start.run(start.with);
    __sync_fetch_and_sub(&there, 1);
    return result;
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*function)(void*), void* with) {
    static Create create;
    if (!create) create = (Create)dlsym(RTLD_NEXT, "pthread_create");
    struct Start* start = malloc(sizeof *start);
    *start = (struct Start){function, with};
    if (__sync_fetch_and_add(&there, 1) < atoi(getenv("MOST_THREADS"))) return create(thread, attributes, run, start);
    __sync_fetch_and_sub(&there, 1);
    free(start);
    return EAGAIN;
}
