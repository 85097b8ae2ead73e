/* Waiting, and what the library calls meanwhile. */
#include <stdlib.h>

#include "native.h"

/* ---- Wakes ------------------------------------------------------------------------------------------------------- */

/* What this thread is at when on_wake is called. */
static _Thread_local struct {
    PyThreadState *resting; /* it has released the interpreter's lock */
    int moves_clock;        /* tags are kept until the call is over */
    const Imports *imports; /* of the clock's buckets and tables */
    uint64_t *tags;
    size_t count, room;
} now;

void tokenbucket_release_lock(void) {
    now.resting = PyEval_SaveThread();
}

void tokenbucket_retake_lock(void) {
    PyThreadState *const resting = now.resting;
    now.resting = NULL;
    PyEval_RestoreThread(resting);
}

static int keep_tag(uint64_t tag) {
    if (now.count == now.room) {
        const size_t room = now.room == 0 ? 64 : 2 * now.room;
        uint64_t *const tags = realloc(now.tags, room * sizeof *tags);
        if (tags == NULL) return 0;
        now.tags = tags;
        now.room = room;
    }
    now.tags[now.count++] = tag;
    return 1;
}

static void wake(const Imports *imports, uint64_t tag) {
    if (imports->wake == NULL) return; /* The interpreter is shutting down. */
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *const done = PyObject_CallFunction(imports->wake, "K", (unsigned long long)tag);
    if (done == NULL) PyErr_WriteUnraisable(imports->wake);
    Py_XDECREF(done);
    PyErr_Restore(type, value, trace);
}

/* Called by the library on a thread that is in a call of this file, with the interpreter's lock or without it. */
static void on_wake(void *user, uint64_t tag) {
    now.imports = user;
    if (now.moves_clock && keep_tag(tag)) return;
    const int rests = now.resting != NULL;
    if (rests) tokenbucket_retake_lock();
    wake(user, tag);
    if (rests) tokenbucket_release_lock();
}

/* In on_wake a bucket or table could be collected, whose end waits until no on_wake of its clock is in progress. */
tb_status tokenbucket_clock_set(tb_clock *clock, int64_t now_ns) {
    now.moves_clock = 1;
    const tb_status status = tb_manual_clock_set(clock, now_ns);
    now.moves_clock = 0;
    const Imports *const imports = now.imports;
    uint64_t *const tags = now.tags;
    const size_t count = now.count;
    now.tags = NULL;
    now.count = now.room = 0;
    for (size_t i = 0; i < count; ++i) wake(imports, tags[i]);
    free(tags);
    return status;
}

/* What these wait for may need the interpreter's lock. */
void tokenbucket_destroy_bucket(tb_bucket *bucket) {
    if (bucket == NULL) return;
    tokenbucket_release_lock();
    tb_destroy(bucket);
    tokenbucket_retake_lock();
}

void tokenbucket_destroy_table(tb_table *table) {
    if (table == NULL) return;
    tokenbucket_release_lock();
    tb_table_destroy(table);
    tokenbucket_retake_lock();
}

void tokenbucket_configure(Limiter *self, tb_config *config, PyObject *clock) {
    config->on_wake = on_wake;
    config->wake_user = (void *)self->imports;
    if (clock != Py_None) config->clock = ((Clock *)clock)->handle;
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

static int now_of(const Limiter *self, int64_t *out_ns) {
    PyObject *const clock = self->clock == NULL ? Py_None : self->clock;
    return tokenbucket_to_long(PyObject_CallFunctionObjArgs(self->imports->now_ns, clock, NULL), out_ns);
}

/* Waits; TB_INTERRUPTED is for the caller to handle. */
static tb_status wait_once(const Wait *wait, int64_t timeout_ns) {
    tokenbucket_release_lock();
    const tb_status status = wait->sleep(wait, timeout_ns);
    tokenbucket_retake_lock();
    tokenbucket_tell_kept(wait->limiter);
    return status;
}

/* A signal handler ends the wait in C. One that returns lets it begin again, for what is left of the time. */
static PyObject *wait_until(const Wait *wait, int64_t timeout_ns, int64_t deadline_ns) {
    int64_t left_ns = timeout_ns, now_ns = 0;
    for (;;) {
        const tb_status status = wait_once(wait, left_ns);
        if (status == TB_SUCCESS) Py_RETURN_NONE;
        if (status != TB_INTERRUPTED) return tokenbucket_fail(wait->limiter, wait->key, status, wait->n, "tokens");
        if (PyErr_CheckSignals() < 0) return NULL;
        if (timeout_ns == TB_FOREVER) continue;
        if (now_of(wait->limiter, &now_ns) < 0) return NULL;
        left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    }
}

PyObject *tokenbucket_wait(const Wait *wait, PyObject *timeout) {
    const Limiter *const self = wait->limiter;
    int64_t timeout_ns = TB_FOREVER, now_ns = 0;
    if (timeout != NULL &&
        tokenbucket_to_long(PyObject_CallFunctionObjArgs(self->imports->timeout_ns, timeout, NULL), &timeout_ns) < 0)
        return NULL;
    if (timeout_ns == TB_FOREVER) return wait_until(wait, TB_FOREVER, TB_FOREVER);
    if (now_of(self, &now_ns) < 0) return NULL;
    const int64_t deadline_ns = timeout_ns < TB_FOREVER - now_ns ? now_ns + timeout_ns : TB_FOREVER;
    return wait_until(wait, timeout_ns, deadline_ns);
}
