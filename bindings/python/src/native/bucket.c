/* The methods of a bucket. */
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

/* ---- Arguments --------------------------------------------------------------------------------------------------- */

static int find_name(const char *const *names, PyObject *wanted) {
    int i = 0;
    while (names[i] != NULL && PyUnicode_CompareWithASCIIString(wanted, names[i]) != 0) ++i;
    return i;
}

/* Puts arguments at the places of their names, a list that NULL ends; absent ones stay as they are. */
static int arrange(const char *function, const char *const *names, PyObject *const *args, Py_ssize_t count,
                   PyObject *keywords, PyObject **values) {
    Py_ssize_t known = 0;
    while (names[known] != NULL) ++known;
    if (count > known) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zd arguments (%zd given)", function, known, count);
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
    if (arrange(function, names, args, count, keywords, &value) < 0) return -1;
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
    if (arrange("take_up_to", names, args, count, keywords, &value) < 0) return NULL;
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "take_up_to() missing 1 required positional argument: 'most'");
        return NULL;
    }
    if (to_tokens(self, value, &most) < 0) return NULL;
    const tb_status status = tb_take_up_to(self->handle, most, &taken);
    return status == TB_SUCCESS ? PyLong_FromDouble(taken) : fail(self, status, most);
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

static int to_ns(PyObject *ns, int64_t *out_ns) {
    if (ns == NULL) return -1;
    *out_ns = PyLong_AsLongLong(ns);
    Py_DECREF(ns);
    return PyErr_Occurred() ? -1 : 0;
}

static int bucket_now(const Bucket *self, int64_t *out_ns) {
    PyObject *const clock = self->clock == NULL ? Py_None : self->clock;
    return to_ns(PyObject_CallFunctionObjArgs(self->imports->now_ns, clock, NULL), out_ns);
}

/* Waits; TB_INTERRUPTED is for the caller to handle. */
static tb_status wait_once(Bucket *self, double n, int64_t timeout_ns) {
    tb_status status;
    Py_BEGIN_ALLOW_THREADS;
    status = tb_wait_for(self->handle, n, timeout_ns);
    Py_END_ALLOW_THREADS;
    if (self->on_event != NULL) tell_kept(self);
    return status;
}

/* A signal handler ends the wait in C. One that returns lets it begin again, for what is left of the time. */
static PyObject *wait_until(Bucket *self, double n, int64_t timeout_ns, int64_t deadline_ns) {
    int64_t left_ns = timeout_ns, now_ns = 0;
    for (;;) {
        const tb_status status = wait_once(self, n, left_ns);
        if (status == TB_SUCCESS) Py_RETURN_TRUE;
        if (status != TB_INTERRUPTED) return fail(self, status, n);
        if (PyErr_CheckSignals() < 0) return NULL;
        if (timeout_ns == TB_FOREVER) continue;
        if (bucket_now(self, &now_ns) < 0) return NULL;
        left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    }
}

static PyObject *bucket_wait(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    static const char *const names[] = {"tokens", "timeout", NULL};
    Bucket *const self = (Bucket *)object;
    PyObject *values[2] = {NULL, NULL};
    double n;
    int64_t timeout_ns = TB_FOREVER, now_ns = 0;
    if (arrange("wait", names, args, count, keywords, values) < 0) return NULL;
    if (to_tokens(self, values[0], &n) < 0) return NULL;
    if (values[1] != NULL &&
        to_ns(PyObject_CallFunctionObjArgs(self->imports->timeout_ns, values[1], NULL), &timeout_ns) < 0)
        return NULL;
    if (timeout_ns == TB_FOREVER) return wait_until(self, n, TB_FOREVER, TB_FOREVER);
    if (bucket_now(self, &now_ns) < 0) return NULL;
    return wait_until(self, n, timeout_ns, timeout_ns < TB_FOREVER - now_ns ? now_ns + timeout_ns : TB_FOREVER);
}

static PyObject *bucket_tell(PyObject *self, PyObject *args) {
    int status;
    double n;
    long long waited_ns;
    if (!PyArg_ParseTuple(args, "idL:_tell", &status, &n, &waited_ns)) return NULL;
    const tb_event event = {sizeof event, status, 0, n, waited_ns};
    tell((Bucket *)self, &event);
    Py_RETURN_NONE;
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
    long long period_ns, max_waiters;
    unsigned int flags;
    tb_config_init(&config, sizeof config);
    if (!PyArg_ParseTuple(args, "ddLdLIOO:_open", &config.capacity, &config.rate_tokens, &period_ns,
                          &config.initial_tokens, &max_waiters, &flags, &clock, &on_event))
        return NULL;
    if (self->handle != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the bucket exists already");
        return NULL;
    }
    config.rate_period_ns = period_ns;
    config.max_waiters = max_waiters;
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
    "wait($self, /, tokens=1, timeout=None)\n"
    "--\n"
    "\n"
    "Takes tokens, sleeping until they are there, in the order of the calls; returns True.\n"
    "\n"
    "With a timeout (seconds or a timedelta) it raises RateLimitExceeded at once, nothing taken, if they cannot be\n"
    "there in that time. Ctrl-C ends it at once and gives the tokens back; after a signal whose handler returns\n"
    "it goes on, behind those who came meanwhile. Other threads run while it sleeps; in asyncio use wait_async().\n"
    "ValueError: more than the capacity, not above 0, a negative timeout. BucketClosed, also during the wait.\n"
    "\n"
    ">>> bucket = TokenBucket(capacity=10, tokens_per_second=1000)\n"
    ">>> bucket.wait(10) and bucket.wait(2, timeout=0.5)\n"
    "True");

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
    {"_tell", bucket_tell, METH_VARARGS, NULL},
    {"_reserve", bucket_reserve, METH_VARARGS, NULL},
    {"_cancel", bucket_cancel, METH_O, NULL},
    {"_settle", bucket_settle, METH_VARARGS, NULL},
    {"_charge", bucket_charge, METH_O, NULL},
    {"_refund", bucket_refund, METH_O, NULL},
    {"_reset", bucket_reset, METH_O, NULL},
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
    {"_on_event", T_OBJECT, offsetof(Bucket, on_event), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};
