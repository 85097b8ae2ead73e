/* The methods of a bucket. */
#include "native.h"

/* ---- Taking ------------------------------------------------------------------------------------------------------ */

static int tokens_argument(const Bucket *self, const char *function, PyObject *const *args, Py_ssize_t count,
                           PyObject *keywords, double *out_n) {
    static const char *const names[] = {"tokens", NULL};
    PyObject *value = NULL;
    if (count == 1 && keywords == NULL) return tokenbucket_to_tokens(self->base.imports, "tokens", args[0], out_n);
    if (tokenbucket_arrange(function, names, 0, 1, args, count, keywords, &value) < 0) return -1;
    return tokenbucket_to_tokens(self->base.imports, "tokens", value, out_n);
}

static PyObject *answer_take(Bucket *self, tb_status status, double n) {
    tokenbucket_tell_kept(&self->base);
    return tokenbucket_answer(&self->base, NULL, status, n);
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

static PyObject *bucket_take(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    Bucket *const self = (Bucket *)object;
    double n;
    if (tokens_argument(self, "take", args, count, keywords, &n) < 0) return NULL;
    tb_decision decision;
    const tb_status status = tb_take(self->handle, n, &decision);
    tokenbucket_tell_kept(&self->base);
    return tokenbucket_decision(&self->base, NULL, status, n, &decision);
}

static PyObject *bucket_take_up_to(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    static const char *const names[] = {"most", NULL};
    Bucket *const self = (Bucket *)object;
    PyObject *value = NULL;
    double most, taken = 0;
    if (tokenbucket_arrange("take_up_to", names, 1, 1, args, count, keywords, &value) < 0) return NULL;
    if (tokenbucket_to_tokens(self->base.imports, "most", value, &most) < 0) return NULL;
    const tb_status status = tb_take_up_to(self->handle, most, &taken);
    if (status == TB_SUCCESS) return PyLong_FromDouble(taken);
    return tokenbucket_fail(&self->base, NULL, status, most, "most");
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

static tb_status sleep_for_bucket(const Wait *wait, int64_t timeout_ns) {
    return tb_wait_with(((Bucket *)wait->limiter)->handle, wait->n, timeout_ns, wait->priority);
}

static PyObject *bucket_wait(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    static const char *const names[] = {"tokens", "timeout", "priority", NULL};
    Bucket *const self = (Bucket *)object;
    const Imports *const imports = self->base.imports;
    PyObject *values[3] = {NULL, NULL, NULL};
    Wait wait = {&self->base, NULL, 0, 0, sleep_for_bucket};
    if (tokenbucket_arrange("wait", names, 0, 2, args, count, keywords, values) < 0) return NULL;
    if (tokenbucket_to_tokens(imports, "tokens", values[0], &wait.n) < 0) return NULL;
    if (tokenbucket_to_priority(imports, values[2], &wait.priority) < 0) return NULL;
    return tokenbucket_wait(&wait, values[1]);
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
    tokenbucket_tell_kept(&self->base);
    return Py_BuildValue("iKL", (int)status, (unsigned long long)waiter, (long long)wait_ns);
}

static PyObject *bucket_check(PyObject *object, PyObject *number) {
    Bucket *const self = (Bucket *)object;
    int64_t wait_ns = -1;
    const unsigned long long waiter = PyLong_AsUnsignedLongLong(number);
    if (PyErr_Occurred()) return NULL;
    const tb_status status = tb_waiter_check(self->handle, waiter, &wait_ns);
    tokenbucket_tell_kept(&self->base);
    return Py_BuildValue("iL", (int)status, (long long)wait_ns);
}

static PyObject *bucket_leave(PyObject *object, PyObject *number) {
    Bucket *const self = (Bucket *)object;
    const unsigned long long waiter = PyLong_AsUnsignedLongLong(number);
    if (PyErr_Occurred()) return NULL;
    const tb_status status = tb_waiter_leave(self->handle, waiter);
    tokenbucket_tell_kept(&self->base);
    return tokenbucket_status(status);
}

/* ---- What Python code checks the status of ----------------------------------------------------------------------- */

static PyObject *bucket_reserve(PyObject *object, PyObject *args) {
    Bucket *const self = (Bucket *)object;
    double n;
    long long max_wait_ns;
    tb_reservation r = {0, 0, 0, 0};
    if (!PyArg_ParseTuple(args, "dL:_reserve", &n, &max_wait_ns)) return NULL;
    const tb_status status = tb_reserve(self->handle, n, max_wait_ns, &r);
    tokenbucket_tell_kept(&self->base);
    return tokenbucket_reservation(status, &r);
}

static PyObject *bucket_cancel(PyObject *self, PyObject *promise) {
    tb_reservation r;
    if (tokenbucket_to_reservation(promise, &r) < 0) return NULL;
    return tokenbucket_status(tb_cancel(((Bucket *)self)->handle, &r));
}

static PyObject *bucket_settle(PyObject *self, PyObject *args) {
    PyObject *promise;
    double actual;
    tb_reservation r;
    if (!PyArg_ParseTuple(args, "O!d:_settle", &PyTuple_Type, &promise, &actual)) return NULL;
    if (tokenbucket_to_reservation(promise, &r) < 0) return NULL;
    return tokenbucket_status(tb_settle(((Bucket *)self)->handle, &r, actual));
}

static PyObject *bucket_charge(PyObject *self, PyObject *tokens) {
    int64_t repaid_after_ns = 0;
    const double n = PyFloat_AsDouble(tokens);
    if (PyErr_Occurred()) return NULL;
    const tb_status status = tb_charge(((Bucket *)self)->handle, n, &repaid_after_ns);
    return Py_BuildValue("iL", (int)status, (long long)repaid_after_ns);
}

/* A method that takes a double and returns the status of a function of the library. */
#define PASSED_THROUGH(name, function)                                         \
    static PyObject *name(PyObject *self, PyObject *value) {                   \
        const double number = PyFloat_AsDouble(value);                         \
        if (PyErr_Occurred()) return NULL;                                     \
        return tokenbucket_status(function(((Bucket *)self)->handle, number)); \
    }
PASSED_THROUGH(bucket_refund, tb_refund)
PASSED_THROUGH(bucket_reset, tb_reset)
PASSED_THROUGH(bucket_set_tokens, tb_set_tokens)
PASSED_THROUGH(bucket_set_rate, tb_set_rate)
PASSED_THROUGH(bucket_set_capacity, tb_set_capacity)

static PyObject *bucket_close(PyObject *self, PyObject *none) {
    (void)none;
    return tokenbucket_status(tb_close(((Bucket *)self)->handle));
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
    return tokenbucket_limit(status, &limit);
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

/* The last argument is None, or the name, None if there is none, and the flags of a shared bucket. */
static PyObject *bucket_open(PyObject *object, PyObject *args) {
    Bucket *const self = (Bucket *)object;
    tb_config config;
    tb_config_fault refusal = {NULL, NULL};
    PyObject *clock, *on_event, *shared;
    long long period_ns, max_waiters, max_lateness_ns;
    unsigned int flags, shared_flags = 0;
    const char *name = NULL;
    int32_t fault = 0;
    tb_config_init(&config, sizeof config);
    if (!PyArg_ParseTuple(args, "ddLdLLIOOO:_open", &config.capacity, &config.rate_tokens, &period_ns,
                          &config.initial_tokens, &max_waiters, &max_lateness_ns, &flags, &clock, &on_event, &shared))
        return NULL;
    if (shared != Py_None && !PyArg_ParseTuple(shared, "zI:_open", &name, &shared_flags)) return NULL;
    if (self->handle != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the bucket exists already");
        return NULL;
    }
    config.rate_period_ns = period_ns;
    config.max_waiters = max_waiters;
    config.max_lateness_ns = max_lateness_ns;
    config.flags = flags;
    tokenbucket_configure(&self->base, &config, clock);
    if (on_event != Py_None) {
        config.on_event = tokenbucket_keep_event;
        config.event_user = self;
    }
    const tb_status status = shared == Py_None ? tb_create_with(&config, &self->handle)
                                               : tb_shared_open(&config, name, shared_flags, &self->handle, &fault);
    if (status != TB_SUCCESS) {
        tb_config_check(&config, &refusal);
    } else {
        if (clock != Py_None) self->base.clock = Py_NewRef(clock);
        if (on_event != Py_None) self->base.on_event = Py_NewRef(on_event);
    }
    return tokenbucket_opened(status, &refusal, fault);
}

PyObject *tokenbucket_limit_refusal(PyObject *module, PyObject *args) {
    (void)module;
    tb_config config;
    tb_config_fault refusal = {NULL, NULL};
    tb_config_init(&config, sizeof config);
    if (!PyArg_ParseTuple(args, "dd:limit_refusal", &config.capacity, &config.rate_tokens)) return NULL;
    tb_config_check(&config, &refusal);
    return Py_BuildValue("zz", refusal.field, refusal.allowed);
}

PyObject *tokenbucket_remove_shared(PyObject *module, PyObject *args) {
    (void)module;
    const char *name;
    int32_t fault = 0;
    if (!PyArg_ParseTuple(args, "s:remove_shared", &name)) return NULL;
    const tb_status status = tb_shared_remove(name, &fault);
    return Py_BuildValue("ii", (int)status, (int)fault);
}

PyObject *tokenbucket_shared_fault(PyObject *module, PyObject *fault) {
    (void)module;
    const long number = PyLong_AsLong(fault);
    if (PyErr_Occurred()) return NULL;
    return PyUnicode_FromString(tb_shared_fault_message((int32_t)number));
}

/* ---- Their list ------------------------------------------------------------------------------------------------- */

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
    "Takes tokens, sleeping until they are there. Waits of a higher priority go first, others in order of arrival.\n"
    "\n"
    "With a timeout (seconds or a timedelta) it raises RateLimitExceeded at once, nothing taken, if they cannot be\n"
    "there in that time. Ctrl-C ends it at once and gives the tokens back; after a signal handler that returns\n"
    "it goes on, behind the waits that came meanwhile. Other threads run while it sleeps; tasks use wait_async().\n"
    "ValueError: more than the capacity, not above 0, a negative timeout. BucketClosed, also during the wait.\n"
    "\n"
    ">>> bucket = TokenBucket(capacity=10, tokens_per_second=1000)\n"
    ">>> bucket.wait(10)\n"
    ">>> bucket.wait(2, timeout=0.5)");

PyMethodDef tokenbucket_bucket_methods[] = {
    {"allow", TOKENBUCKET_METHOD(bucket_allow), TOKENBUCKET_KEYWORDS, allow_doc},
    {"try_consume", TOKENBUCKET_METHOD(bucket_try_consume), TOKENBUCKET_KEYWORDS, try_consume_doc},
    {"take", TOKENBUCKET_METHOD(bucket_take), TOKENBUCKET_KEYWORDS, take_doc},
    {"take_up_to", TOKENBUCKET_METHOD(bucket_take_up_to), TOKENBUCKET_KEYWORDS, take_up_to_doc},
    {"wait", TOKENBUCKET_METHOD(bucket_wait), TOKENBUCKET_KEYWORDS, wait_doc},
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
