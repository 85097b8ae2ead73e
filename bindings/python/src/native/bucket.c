/* The methods of a bucket. */
#include <stdlib.h>

#include "native.h"

/* ---- Events ------------------------------------------------------------------------------------------------------ */

/* The library calls on_event on the calling thread and at most once a call, perhaps while the interpreter's lock is
 * released. So the event is kept here, and told when the call is over. */
static _Thread_local struct {
    int is_there;
    tb_event event;
} told;

static void keep_event(void *user, const tb_event *event) {
    (void)user;
    told.is_there = 1;
    told.event = *event;
}

static void tell(Bucket *self, const tb_event *event) {
    if (self->on_event == NULL) return;
    PyObject *const done = PyObject_CallFunction(self->imports->tell, "OidL", self->on_event, (int)event->status,
                                                 event->n, (long long)event->waited_ns);
    if (done == NULL) PyErr_WriteUnraisable(self->on_event);
    Py_XDECREF(done);
}

static void tell_kept(Bucket *self) {
    if (!told.is_there) return;
    told.is_there = 0;
    const tb_event event = told.event;
    tell(self, &event);
}

/* ---- Wakes ------------------------------------------------------------------------------------------------------- */

/* What this thread is at when on_wake is called. */
static _Thread_local struct {
    PyThreadState *resting; /* it has released the interpreter's lock */
    int moves_clock;        /* tags are kept until the call is over */
    const Imports *imports; /* of the clock's buckets */
    uint64_t *tags;
    size_t count, room;
} now;

static void release_lock(void) {
    now.resting = PyEval_SaveThread();
}

static void retake_lock(void) {
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
    if (rests) retake_lock();
    wake(user, tag);
    if (rests) release_lock();
}

/* In on_wake a bucket could be collected, whose end waits until no on_wake of its clock is in progress. */
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

/* What it waits for may need the interpreter's lock. */
void tokenbucket_destroy(tb_bucket *bucket) {
    if (bucket == NULL) return;
    release_lock();
    tb_destroy(bucket);
    retake_lock();
}

/* ---- Arguments --------------------------------------------------------------------------------------------------- */

static int find_name(const char *const *names, PyObject *wanted) {
    int i = 0;
    while (names[i] != NULL && PyUnicode_CompareWithASCIIString(wanted, names[i]) != 0) ++i;
    return i;
}

/* Puts arguments at the places of their names, a list that NULL ends, of which `most` may go without their names;
 * absent ones stay as they are. */
static int arrange(const char *function, const char *const *names, Py_ssize_t most, PyObject *const *args,
                   Py_ssize_t count, PyObject *keywords, PyObject **values) {
    if (count > most) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zd arguments (%zd given)", function, most, count);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; ++i) values[i] = args[i];
    const Py_ssize_t named = keywords == NULL ? 0 : PyTuple_Size(keywords);
    for (Py_ssize_t i = 0; i < named; ++i) {
        PyObject *const name = PyTuple_GetItem(keywords, i);
        const int place = find_name(names, name);
        if (names[place] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", function, name);
            return -1;
        }
        if (place < count) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", function, name);
            return -1;
        }
        values[place] = args[count + i];
    }
    return 0;
}

/* An absent amount is 1. */
static int to_tokens(const Bucket *self, PyObject *value, double *out_n) {
    if (value == NULL) {
        *out_n = 1;
        return 0;
    }
    if (PyFloat_CheckExact(value)) {
        *out_n = PyFloat_AsDouble(value);
        return 0;
    }
    if (PyLong_CheckExact(value)) {
        *out_n = PyLong_AsDouble(value);
        if (*out_n != -1 || !PyErr_Occurred()) return 0;
        PyErr_Clear();
    }
    PyObject *const number = PyObject_CallFunctionObjArgs(self->imports->number, value, NULL);
    if (number == NULL) return -1;
    *out_n = PyFloat_AsDouble(number);
    Py_DECREF(number);
    return 0;
}

static int tokens_argument(const Bucket *self, const char *function, PyObject *const *args, Py_ssize_t count,
                           PyObject *keywords, double *out_n) {
    static const char *const names[] = {"tokens", NULL};
    PyObject *value = NULL;
    if (count == 1 && keywords == NULL) return to_tokens(self, args[0], out_n);
    if (arrange(function, names, 1, args, count, keywords, &value) < 0) return -1;
    return to_tokens(self, value, out_n);
}

static PyObject *fail(Bucket *self, tb_status status, double n) {
    return PyObject_CallFunction(self->imports->fail, "Oid", self, (int)status, n);
}

/* ---- Taking ------------------------------------------------------------------------------------------------------ */

static PyObject *answer_take(Bucket *self, tb_status status, double n) {
    if (self->on_event != NULL) tell_kept(self);
    if (status == TB_SUCCESS) Py_RETURN_TRUE;
    if (status == TB_DENIED || status == TB_EXCEEDS_CAPACITY) Py_RETURN_FALSE;
    return fail(self, status, n);
}

static PyObject *bucket_allow(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    Bucket *const self = (Bucket *)object;
    double n;
    if (tokens_argument(self, "allow", args, count, keywords, &n) < 0) return NULL;
    return answer_take(self, tb_allow(self->handle, n), n);
}

static PyObject *bucket_try_consume(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    Bucket *const self = (Bucket *)object;
    double n;
    if (tokens_argument(self, "try_consume", args, count, keywords, &n) < 0) return NULL;
    return answer_take(self, tb_try_consume(self->handle, n), n);
}

/* Takes over the values; if one is NULL so is the tuple. */
static PyObject *tuple_of(PyObject *const *values, Py_ssize_t count) {
    PyObject *const tuple = PyTuple_New(count);
    int is_whole = tuple != NULL;
    for (Py_ssize_t i = 0; i < count; ++i) {
        is_whole = is_whole && values[i] != NULL;
        if (tuple != NULL)
            PyTuple_SetItem(tuple, i, values[i]);
        else
            Py_XDECREF(values[i]);
    }
    if (is_whole) return tuple;
    Py_XDECREF(tuple);
    return NULL;
}

/* Decision.__new__ would have to be called as a Python function; tuple's makes the same object. */
static PyObject *new_decision(const Imports *imports, const tb_decision *d) {
    if (imports->decision == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the interpreter is shutting down");
        return NULL;
    }
    PyObject *const values[] = {Py_NewRef(d->status == TB_SUCCESS ? Py_True : Py_False),
                                PyFloat_FromDouble(d->remaining), PyLong_FromLongLong(d->retry_after_ns),
                                PyLong_FromLongLong(d->reset_after_ns)};
    PyObject *const fields = tuple_of(values, 4);
    if (fields == NULL) return NULL;
    PyObject *const arguments = tuple_of(&fields, 1);
    if (arguments == NULL) return NULL;
    PyObject *const decision = imports->new_tuple((PyTypeObject *)imports->decision, arguments, NULL);
    Py_DECREF(arguments);
    return decision;
}

static PyObject *bucket_take(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    Bucket *const self = (Bucket *)object;
    double n;
    if (tokens_argument(self, "take", args, count, keywords, &n) < 0) return NULL;
    tb_decision decision;
    const tb_status status = tb_take(self->handle, n, &decision);
    if (self->on_event != NULL) tell_kept(self);
    if (status != TB_SUCCESS && status != TB_DENIED && status != TB_EXCEEDS_CAPACITY) return fail(self, status, n);
    return new_decision(self->imports, &decision);
}

static PyObject *bucket_take_up_to(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    static const char *const names[] = {"most", NULL};
    Bucket *const self = (Bucket *)object;
    PyObject *value = NULL;
    double most, taken = 0;
    if (arrange("take_up_to", names, 1, args, count, keywords, &value) < 0) return NULL;
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "take_up_to() missing 1 required positional argument: 'most'");
        return NULL;
    }
    if (to_tokens(self, value, &most) < 0) return NULL;
    const tb_status status = tb_take_up_to(self->handle, most, &taken);
    return status == TB_SUCCESS ? PyLong_FromDouble(taken) : fail(self, status, most);
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

static int to_long(PyObject *number, int64_t *out) {
    if (number == NULL) return -1;
    *out = PyLong_AsLongLong(number);
    Py_DECREF(number);
    return PyErr_Occurred() ? -1 : 0;
}

static int bucket_now(const Bucket *self, int64_t *out_ns) {
    PyObject *const clock = self->clock == NULL ? Py_None : self->clock;
    return to_long(PyObject_CallFunctionObjArgs(self->imports->now_ns, clock, NULL), out_ns);
}

/* Waits; TB_INTERRUPTED is for the caller to handle. */
static tb_status wait_once(Bucket *self, double n, int64_t timeout_ns, int32_t priority) {
    release_lock();
    const tb_status status = tb_wait_with(self->handle, n, timeout_ns, priority);
    retake_lock();
    if (self->on_event != NULL) tell_kept(self);
    return status;
}

/* A signal handler ends the wait in C. One that returns lets it begin again, for what is left of the time. */
static PyObject *wait_until(Bucket *self, double n, int64_t timeout_ns, int64_t deadline_ns, int32_t priority) {
    int64_t left_ns = timeout_ns, now_ns = 0;
    for (;;) {
        const tb_status status = wait_once(self, n, left_ns, priority);
        if (status == TB_SUCCESS) Py_RETURN_NONE;
        if (status != TB_INTERRUPTED) return fail(self, status, n);
        if (PyErr_CheckSignals() < 0) return NULL;
        if (timeout_ns == TB_FOREVER) continue;
        if (bucket_now(self, &now_ns) < 0) return NULL;
        left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    }
}

static PyObject *bucket_wait(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    static const char *const names[] = {"tokens", "timeout", "priority", NULL};
    Bucket *const self = (Bucket *)object;
    PyObject *values[3] = {NULL, NULL, NULL};
    double n;
    int64_t timeout_ns = TB_FOREVER, now_ns = 0, first = 0;
    if (arrange("wait", names, 2, args, count, keywords, values) < 0) return NULL;
    if (to_tokens(self, values[0], &n) < 0) return NULL;
    if (values[1] != NULL &&
        to_long(PyObject_CallFunctionObjArgs(self->imports->timeout_ns, values[1], NULL), &timeout_ns) < 0)
        return NULL;
    if (values[2] != NULL &&
        to_long(PyObject_CallFunctionObjArgs(self->imports->priority, values[2], NULL), &first) < 0)
        return NULL;
    const int32_t priority = (int32_t)first;
    if (timeout_ns == TB_FOREVER) return wait_until(self, n, TB_FOREVER, TB_FOREVER, priority);
    if (bucket_now(self, &now_ns) < 0) return NULL;
    const int64_t deadline_ns = timeout_ns < TB_FOREVER - now_ns ? now_ns + timeout_ns : TB_FOREVER;
    return wait_until(self, n, timeout_ns, deadline_ns, priority);
}

static PyObject *bucket_enqueue(PyObject *object, PyObject *args) {
    Bucket *const self = (Bucket *)object;
    double n;
    long long timeout_ns;
    int priority;
    unsigned long long tag;
    uint64_t waiter = 0;
    int64_t wait_ns = 0;
    if (!PyArg_ParseTuple(args, "dLiK:_enqueue", &n, &timeout_ns, &priority, &tag)) return NULL;
    const tb_status status = tb_enqueue(self->handle, n, timeout_ns, priority, tag, &waiter, &wait_ns);
    if (self->on_event != NULL) tell_kept(self);
    return Py_BuildValue("iKL", (int)status, (unsigned long long)waiter, (long long)wait_ns);
}

static PyObject *bucket_check(PyObject *object, PyObject *number) {
    Bucket *const self = (Bucket *)object;
    int64_t wait_ns = 0;
    const unsigned long long waiter = PyLong_AsUnsignedLongLong(number);
    if (PyErr_Occurred()) return NULL;
    const tb_status status = tb_waiter_check(self->handle, waiter, &wait_ns);
    if (self->on_event != NULL) tell_kept(self);
    return Py_BuildValue("iL", (int)status, (long long)wait_ns);
}

static PyObject *bucket_leave(PyObject *object, PyObject *number) {
    Bucket *const self = (Bucket *)object;
    const unsigned long long waiter = PyLong_AsUnsignedLongLong(number);
    if (PyErr_Occurred()) return NULL;
    const tb_status status = tb_waiter_leave(self->handle, waiter);
    if (self->on_event != NULL) tell_kept(self);
    return PyLong_FromLong(status);
}

/* ---- What Python code checks the status of ----------------------------------------------------------------------- */

static PyObject *status_of(tb_status status) {
    return PyLong_FromLong(status);
}

static PyObject *bucket_reserve(PyObject *object, PyObject *args) {
    Bucket *const self = (Bucket *)object;
    double n;
    long long max_wait_ns;
    tb_reservation r = {0, 0, 0, 0};
    if (!PyArg_ParseTuple(args, "dL:_reserve", &n, &max_wait_ns)) return NULL;
    const tb_status status = tb_reserve(self->handle, n, max_wait_ns, &r);
    if (self->on_event != NULL) tell_kept(self);
    return Py_BuildValue("i(dLLK)", (int)status, r.tokens, (long long)r.wait_ns, (long long)r.ready_at_ns,
                         (unsigned long long)r.ticket);
}

static int to_reservation(PyObject *promise, tb_reservation *out) {
    long long wait_ns, ready_at_ns;
    unsigned long long ticket;
    if (!PyArg_ParseTuple(promise, "dLLK:promise", &out->tokens, &wait_ns, &ready_at_ns, &ticket)) return -1;
    out->wait_ns = wait_ns;
    out->ready_at_ns = ready_at_ns;
    out->ticket = ticket;
    return 0;
}

static PyObject *bucket_cancel(PyObject *self, PyObject *promise) {
    tb_reservation r;
    if (to_reservation(promise, &r) < 0) return NULL;
    return status_of(tb_cancel(((Bucket *)self)->handle, &r));
}

static PyObject *bucket_settle(PyObject *self, PyObject *args) {
    PyObject *promise;
    double actual;
    tb_reservation r;
    if (!PyArg_ParseTuple(args, "O!d:_settle", &PyTuple_Type, &promise, &actual)) return NULL;
    if (to_reservation(promise, &r) < 0) return NULL;
    return status_of(tb_settle(((Bucket *)self)->handle, &r, actual));
}

static PyObject *bucket_charge(PyObject *self, PyObject *tokens) {
    int64_t repaid_after_ns = 0;
    const double n = PyFloat_AsDouble(tokens);
    if (PyErr_Occurred()) return NULL;
    const tb_status status = tb_charge(((Bucket *)self)->handle, n, &repaid_after_ns);
    return Py_BuildValue("iL", (int)status, (long long)repaid_after_ns);
}

/* A method that takes a double and returns the status of a function of the library. */
#define PASSED_THROUGH(name, function)                                \
    static PyObject *name(PyObject *self, PyObject *value) {          \
        const double number = PyFloat_AsDouble(value);                \
        if (PyErr_Occurred()) return NULL;                            \
        return status_of(function(((Bucket *)self)->handle, number)); \
    }
PASSED_THROUGH(bucket_refund, tb_refund)
PASSED_THROUGH(bucket_reset, tb_reset)
PASSED_THROUGH(bucket_set_tokens, tb_set_tokens)
PASSED_THROUGH(bucket_set_rate, tb_set_rate)
PASSED_THROUGH(bucket_set_capacity, tb_set_capacity)

static PyObject *bucket_close(PyObject *self, PyObject *none) {
    (void)none;
    return status_of(tb_close(((Bucket *)self)->handle));
}

static PyObject *bucket_exists(PyObject *self, PyObject *none) {
    (void)none;
    return PyBool_FromLong(((Bucket *)self)->handle != NULL);
}

static PyObject *bucket_available(PyObject *self, PyObject *none) {
    (void)none;
    double tokens = 0;
    const tb_status status = tb_available(((Bucket *)self)->handle, &tokens);
    return Py_BuildValue("id", (int)status, tokens);
}

static PyObject *bucket_time_until(PyObject *self, PyObject *tokens) {
    int64_t ns = 0;
    const double n = PyFloat_AsDouble(tokens);
    if (PyErr_Occurred()) return NULL;
    const tb_status status = tb_time_until(((Bucket *)self)->handle, n, &ns);
    return Py_BuildValue("iL", (int)status, (long long)ns);
}

static PyObject *bucket_limit(PyObject *self, PyObject *none) {
    (void)none;
    tb_config limit;
    tb_config_init(&limit, sizeof limit);
    const tb_status status = tb_get_limit(((Bucket *)self)->handle, &limit);
    return Py_BuildValue("iddL", (int)status, limit.capacity, limit.rate_tokens, (long long)limit.rate_period_ns);
}

static PyObject *bucket_stats(PyObject *self, PyObject *none) {
    (void)none;
    tb_stats s = {.struct_size = sizeof s};
    const tb_status status = tb_get_stats(((Bucket *)self)->handle, &s);
    return Py_BuildValue("i(LLLLLLLLdd)", (int)status, (long long)s.granted, (long long)s.denied,
                         (long long)s.timed_out, (long long)s.cancelled, (long long)s.waits, (long long)s.total_wait_ns,
                         (long long)s.longest_wait_ns, (long long)s.waiting, s.tokens_taken, s.tokens_given_back);
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

static PyObject *bucket_open(PyObject *object, PyObject *args) {
    Bucket *const self = (Bucket *)object;
    tb_config config;
    PyObject *clock, *on_event;
    long long period_ns, max_waiters, max_lateness_ns;
    unsigned int flags;
    tb_config_init(&config, sizeof config);
    if (!PyArg_ParseTuple(args, "ddLdLLIOO:_open", &config.capacity, &config.rate_tokens, &period_ns,
                          &config.initial_tokens, &max_waiters, &max_lateness_ns, &flags, &clock, &on_event))
        return NULL;
    if (self->handle != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the bucket exists already");
        return NULL;
    }
    config.rate_period_ns = period_ns;
    config.max_waiters = max_waiters;
    config.max_lateness_ns = max_lateness_ns;
    config.on_wake = on_wake;
    config.wake_user = (void *)self->imports;
    config.flags = flags;
    /* The caller has checked that it is a ManualClock. */
    if (clock != Py_None) config.clock = ((Clock *)clock)->handle;
    if (on_event != Py_None) config.on_event = keep_event;
    const tb_status status = tb_create_with(&config, &self->handle);
    if (status == TB_SUCCESS) {
        if (clock != Py_None) self->clock = Py_NewRef(clock);
        if (on_event != Py_None) self->on_event = Py_NewRef(on_event);
    }
    return status_of(status);
}

/* ---- The table --------------------------------------------------------------------------------------------------- */

PyDoc_STRVAR(allow_doc,
             "allow($self, /, tokens=1)\n"
             "--\n"
             "\n"
             "Takes tokens if they are there now, all or nothing, and says whether it did; never waits.\n"
             "\n"
             "More than the capacity is always False. ValueError: not above 0, or not finite. BucketClosed.\n"
             "\n"
             ">>> bucket = TokenBucket(capacity=10, tokens_per_second=5)\n"
             ">>> bucket.allow(8), bucket.allow(8), bucket.allow(15)\n"
             "(True, False, False)");

PyDoc_STRVAR(try_consume_doc,
             "try_consume($self, /, tokens=1)\n"
             "--\n"
             "\n"
             "The same as allow(), under its other usual name.\n"
             "\n"
             ">>> TokenBucket(capacity=10, tokens_per_second=5).try_consume()\n"
             "True");

PyDoc_STRVAR(take_doc,
             "take($self, /, tokens=1)\n"
             "--\n"
             "\n"
             "As allow(), and says what is left and when to come back.\n"
             "\n"
             ">>> bucket = TokenBucket(capacity=10, tokens_per_second=5, clock=ManualClock())\n"
             ">>> if not bucket.take(8):\n"
             "...     print(\"unexpected\")\n"
             ">>> bucket.take(8).retry_after\n"
             "1.2");

PyDoc_STRVAR(take_up_to_doc,
             "take_up_to($self, /, most)\n"
             "--\n"
             "\n"
             "Takes as many whole tokens as are there now, at most that many, and says how many: possibly 0.\n"
             "\n"
             ">>> bucket = TokenBucket(capacity=10, tokens_per_second=5)\n"
             ">>> bucket.take_up_to(7), bucket.take_up_to(7)\n"
             "(7, 3)");

PyDoc_STRVAR(
    wait_doc,
    "wait($self, /, tokens=1, timeout=None, *, priority=0)\n"
    "--\n"
    "\n"
    "Takes tokens, sleeping until they are there: in the order of the calls, those of a higher priority first.\n"
    "\n"
    "With a timeout (seconds or a timedelta) it raises RateLimitExceeded at once, nothing taken, if they cannot be\n"
    "there in that time. Ctrl-C ends it at once and gives the tokens back; after a signal whose handler returns\n"
    "it goes on, behind those who came meanwhile. Other threads run while it sleeps; in asyncio use wait_async().\n"
    "ValueError: more than the capacity, not above 0, a negative timeout. BucketClosed, also during the wait.\n"
    "\n"
    ">>> bucket = TokenBucket(capacity=10, tokens_per_second=1000)\n"
    ">>> bucket.wait(10)\n"
    ">>> bucket.wait(2, timeout=0.5)");

#define KEYWORDS (METH_FASTCALL | METH_KEYWORDS)

PyMethodDef tokenbucket_bucket_methods[] = {
    {"allow", (PyCFunction)(void (*)(void))bucket_allow, KEYWORDS, allow_doc},
    {"try_consume", (PyCFunction)(void (*)(void))bucket_try_consume, KEYWORDS, try_consume_doc},
    {"take", (PyCFunction)(void (*)(void))bucket_take, KEYWORDS, take_doc},
    {"take_up_to", (PyCFunction)(void (*)(void))bucket_take_up_to, KEYWORDS, take_up_to_doc},
    {"wait", (PyCFunction)(void (*)(void))bucket_wait, KEYWORDS, wait_doc},
    {"_open", bucket_open, METH_VARARGS, NULL},
    {"_close", bucket_close, METH_NOARGS, NULL},
    {"_exists", bucket_exists, METH_NOARGS, NULL},
    {"_enqueue", bucket_enqueue, METH_VARARGS, NULL},
    {"_check", bucket_check, METH_O, NULL},
    {"_leave", bucket_leave, METH_O, NULL},
    {"_reserve", bucket_reserve, METH_VARARGS, NULL},
    {"_cancel", bucket_cancel, METH_O, NULL},
    {"_settle", bucket_settle, METH_VARARGS, NULL},
    {"_charge", bucket_charge, METH_O, NULL},
    {"_refund", bucket_refund, METH_O, NULL},
    {"_reset", bucket_reset, METH_O, NULL},
    {"_set_tokens", bucket_set_tokens, METH_O, NULL},
    {"_set_rate", bucket_set_rate, METH_O, NULL},
    {"_set_capacity", bucket_set_capacity, METH_O, NULL},
    {"_available", bucket_available, METH_NOARGS, NULL},
    {"_time_until", bucket_time_until, METH_O, NULL},
    {"_limit", bucket_limit, METH_NOARGS, NULL},
    {"_stats", bucket_stats, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyMemberDef tokenbucket_bucket_members[] = {
    {"_clock", T_OBJECT, offsetof(Bucket, clock), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};
