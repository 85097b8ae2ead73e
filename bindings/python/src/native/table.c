/* The methods of a table. */
#include "native.h"

/* ---- Keys -------------------------------------------------------------------------------------------------------- */

/* What _keys.py makes of numbers that fit. */
static int number_key(long long value, Key *out) {
    out->number[0] = '\xff';
    out->number[1] = 'i';
    for (int i = 0; i < 8; ++i) out->number[2 + i] = (char)((unsigned long long)value >> (56 - 8 * i) & 0xff);
    out->bytes = out->number;
    out->size = 10;
    return 0;
}

/* What _keys.py leaves as it is. */
static int is_plain(const Key *key) {
    return key->size <= TB_MAX_KEY_SIZE && (key->size == 0 || key->bytes[0] != '\xff');
}

/* The caller releases the key, and keeps the value until then. */
static int to_key(const Imports *imports, PyObject *value, Key *out) {
    out->encoded = NULL;
    if (PyUnicode_Check(value)) {
        out->bytes = PyUnicode_AsUTF8AndSize(value, &out->size);
        if (out->bytes == NULL) return -1;
        if (is_plain(out)) return 0;
    } else if (PyBytes_Check(value)) {
        char *bytes;
        if (PyBytes_AsStringAndSize(value, &bytes, &out->size) < 0) return -1;
        out->bytes = bytes;
        if (is_plain(out)) return 0;
    } else if (PyLong_CheckExact(value)) {
        int overflow;
        const long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow == 0) return number_key(number, out);
    }
    out->encoded = PyObject_CallFunctionObjArgs(imports->encode, value, NULL);
    if (out->encoded == NULL) return -1;
    out->bytes = PyBytes_AsString(out->encoded);
    out->size = PyBytes_Size(out->encoded);
    return 0;
}

static void release_key(Key *key) {
    Py_CLEAR(key->encoded);
}

/* ---- Taking ------------------------------------------------------------------------------------------------------ */

/* The arguments of a call: a key, which the caller releases, and an amount. */
static int key_and_amount(const Table *self, const char *function, const char *const *names, Py_ssize_t required,
                          PyObject *const *args, Py_ssize_t count, PyObject *keywords, Key *out_key, double *out_n) {
    const Imports *const imports = self->base.imports;
    PyObject *values[2] = {NULL, NULL};
    if (tokenbucket_arrange(function, names, required, 2, args, count, keywords, values) < 0) return -1;
    if (tokenbucket_to_tokens(imports, names[1], values[1], out_n) < 0) return -1;
    return to_key(imports, values[0], out_key);
}

static const char *const key_and_tokens[] = {"key", "tokens", NULL};

static PyObject *table_allow(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    Table *const self = (Table *)object;
    Key key;
    double n;
    if (key_and_amount(self, "allow", key_and_tokens, 1, args, count, keywords, &key, &n) < 0) return NULL;
    const tb_status status = tb_table_allow(self->handle, key.bytes, (size_t)key.size, n);
    PyObject *const answer = tokenbucket_answer(&self->base, &key, status, n);
    release_key(&key);
    return answer;
}

static PyObject *table_take(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    Table *const self = (Table *)object;
    Key key;
    double n;
    if (key_and_amount(self, "take", key_and_tokens, 1, args, count, keywords, &key, &n) < 0) return NULL;
    tb_decision decision;
    const tb_status status = tb_table_take(self->handle, key.bytes, (size_t)key.size, n, &decision);
    PyObject *const answer = tokenbucket_decision(&self->base, &key, status, n, &decision);
    release_key(&key);
    return answer;
}

static PyObject *table_take_up_to(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    static const char *const names[] = {"key", "most", NULL};
    Table *const self = (Table *)object;
    Key key;
    double most, taken = 0;
    if (key_and_amount(self, "take_up_to", names, 2, args, count, keywords, &key, &most) < 0) return NULL;
    const tb_status status = tb_table_take_up_to(self->handle, key.bytes, (size_t)key.size, most, &taken);
    PyObject *const answer =
        status == TB_SUCCESS ? PyLong_FromDouble(taken) : tokenbucket_fail(&self->base, &key, status, most, "most");
    release_key(&key);
    return answer;
}

/* ---- Taking for many keys ---------------------------------------------------------------------------------------- */

typedef struct {
    char *bytes; /* the keys, one behind the other */
    size_t size, room;
    size_t *sizes;
    double *amounts; /* or NULL: one token for each */
    tb_status *answers;
} Batch;

static int no_memory(void) {
    PyErr_NoMemory();
    return -1;
}

static int append_bytes(Batch *batch, const Key *key) {
    const size_t size = (size_t)key->size;
    if (batch->room - batch->size < size) {
        const size_t room = 2 * (batch->room + size);
        char *const bytes = PyMem_Realloc(batch->bytes, room);
        if (bytes == NULL) return no_memory();
        batch->bytes = bytes;
        batch->room = room;
    }
    if (size != 0) memcpy(batch->bytes + batch->size, key->bytes, size);
    batch->size += size;
    return 0;
}

static int append_key(const Imports *imports, PyObject *value, Batch *batch, size_t *out_size) {
    Key key;
    if (to_key(imports, value, &key) < 0) return -1;
    const int status = append_bytes(batch, &key);
    *out_size = (size_t)key.size;
    release_key(&key);
    return status;
}

static int fill_batch(const Imports *imports, PyObject *keys, PyObject *amounts, Py_ssize_t count, Batch *batch) {
    batch->sizes = PyMem_Calloc((size_t)count, sizeof *batch->sizes);
    batch->answers = PyMem_Calloc((size_t)count, sizeof *batch->answers);
    if (amounts != Py_None) batch->amounts = PyMem_Calloc((size_t)count, sizeof *batch->amounts);
    if (batch->sizes == NULL || batch->answers == NULL || (amounts != Py_None && batch->amounts == NULL))
        return no_memory();
    for (Py_ssize_t i = 0; i < count; ++i) {
        if (append_key(imports, PyTuple_GetItem(keys, i), batch, &batch->sizes[i]) < 0) return -1;
        if (batch->amounts != NULL) batch->amounts[i] = PyFloat_AsDouble(PyList_GetItem(amounts, i));
    }
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *allow_batch(const Table *self, const Batch *batch, Py_ssize_t count) {
    const tb_status status =
        tb_table_allow_many(self->handle, batch->bytes, batch->sizes, batch->amounts, (size_t)count, batch->answers);
    PyObject *const answers = PyList_New(count);
    for (Py_ssize_t i = 0; answers != NULL && i < count; ++i)
        PyList_SetItem(answers, i, tokenbucket_status(batch->answers[i])); /* small ints, which are always there */
    return Py_BuildValue("iN", (int)status, answers);
}

static PyObject *table_allow_many(PyObject *object, PyObject *args) {
    Table *const self = (Table *)object;
    PyObject *keys, *amounts;
    Batch batch = {NULL, 0, 0, NULL, NULL, NULL};
    if (!PyArg_ParseTuple(args, "O!O:_allow_many", &PyTuple_Type, &keys, &amounts)) return NULL;
    const Py_ssize_t count = PyTuple_Size(keys);
    const int filled = fill_batch(self->base.imports, keys, amounts, count, &batch);
    PyObject *const answer = filled < 0 ? NULL : allow_batch(self, &batch, count);
    PyMem_Free(batch.bytes);
    PyMem_Free(batch.sizes);
    PyMem_Free(batch.amounts);
    PyMem_Free(batch.answers);
    return answer;
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

static tb_status sleep_for_key(const Wait *wait, int64_t timeout_ns) {
    tb_table *const table = ((Table *)wait->limiter)->handle;
    return tb_table_wait_with(table, wait->key->bytes, (size_t)wait->key->size, wait->n, timeout_ns, wait->priority);
}

static PyObject *table_wait(PyObject *object, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    static const char *const names[] = {"key", "tokens", "timeout", "priority", NULL};
    Table *const self = (Table *)object;
    const Imports *const imports = self->base.imports;
    PyObject *values[4] = {NULL, NULL, NULL, NULL};
    Key key;
    Wait wait = {&self->base, &key, 0, 0, sleep_for_key};
    if (tokenbucket_arrange("wait", names, 1, 3, args, count, keywords, values) < 0) return NULL;
    if (tokenbucket_to_tokens(imports, "tokens", values[1], &wait.n) < 0) return NULL;
    if (tokenbucket_to_priority(imports, values[3], &wait.priority) < 0) return NULL;
    if (to_key(imports, values[0], &key) < 0) return NULL;
    PyObject *const answer = tokenbucket_wait(&wait, values[2]);
    release_key(&key);
    return answer;
}

static PyObject *table_enqueue(PyObject *object, PyObject *args) {
    Table *const self = (Table *)object;
    Key key;
    double n;
    long long timeout_ns;
    int priority;
    unsigned long long tag;
    uint64_t waiter = 0;
    int64_t wait_ns = 0;
    if (!PyArg_ParseTuple(args, "y#dLiK:_enqueue", &key.bytes, &key.size, &n, &timeout_ns, &priority, &tag))
        return NULL;
    const tb_status status =
        tb_table_enqueue(self->handle, key.bytes, (size_t)key.size, n, timeout_ns, priority, tag, &waiter, &wait_ns);
    return Py_BuildValue("iKL", (int)status, (unsigned long long)waiter, (long long)wait_ns);
}

static PyObject *table_check(PyObject *self, PyObject *args) {
    Key key;
    unsigned long long waiter;
    int64_t wait_ns = -1;
    if (!PyArg_ParseTuple(args, "y#K:_check", &key.bytes, &key.size, &waiter)) return NULL;
    const tb_status status =
        tb_table_waiter_check(((Table *)self)->handle, key.bytes, (size_t)key.size, waiter, &wait_ns);
    return Py_BuildValue("iL", (int)status, (long long)wait_ns);
}

static PyObject *table_leave(PyObject *self, PyObject *args) {
    Key key;
    unsigned long long waiter;
    if (!PyArg_ParseTuple(args, "y#K:_leave", &key.bytes, &key.size, &waiter)) return NULL;
    return tokenbucket_status(tb_table_waiter_leave(((Table *)self)->handle, key.bytes, (size_t)key.size, waiter));
}

/* ---- What Python code checks the status of ----------------------------------------------------------------------- */

static PyObject *table_reserve(PyObject *self, PyObject *args) {
    Key key;
    double n;
    long long max_wait_ns;
    tb_reservation r = {0, 0, 0, 0};
    if (!PyArg_ParseTuple(args, "y#dL:_reserve", &key.bytes, &key.size, &n, &max_wait_ns)) return NULL;
    const tb_status status = tb_table_reserve(((Table *)self)->handle, key.bytes, (size_t)key.size, n, max_wait_ns, &r);
    return tokenbucket_reservation(status, &r);
}

static PyObject *table_cancel(PyObject *self, PyObject *args) {
    Key key;
    PyObject *promise;
    tb_reservation r;
    if (!PyArg_ParseTuple(args, "y#O!:_cancel", &key.bytes, &key.size, &PyTuple_Type, &promise)) return NULL;
    if (tokenbucket_to_reservation(promise, &r) < 0) return NULL;
    return tokenbucket_status(tb_table_cancel(((Table *)self)->handle, key.bytes, (size_t)key.size, &r));
}

static PyObject *table_settle(PyObject *self, PyObject *args) {
    Key key;
    PyObject *promise;
    double actual;
    tb_reservation r;
    if (!PyArg_ParseTuple(args, "y#O!d:_settle", &key.bytes, &key.size, &PyTuple_Type, &promise, &actual)) return NULL;
    if (tokenbucket_to_reservation(promise, &r) < 0) return NULL;
    return tokenbucket_status(tb_table_settle(((Table *)self)->handle, key.bytes, (size_t)key.size, &r, actual));
}

static PyObject *table_charge(PyObject *self, PyObject *args) {
    Key key;
    double n;
    int64_t repaid_after_ns = 0;
    if (!PyArg_ParseTuple(args, "y#d:_charge", &key.bytes, &key.size, &n)) return NULL;
    const tb_status status = tb_table_charge(((Table *)self)->handle, key.bytes, (size_t)key.size, n, &repaid_after_ns);
    return Py_BuildValue("iL", (int)status, (long long)repaid_after_ns);
}

static PyObject *table_refund(PyObject *self, PyObject *args) {
    Key key;
    double n;
    if (!PyArg_ParseTuple(args, "y#d:_refund", &key.bytes, &key.size, &n)) return NULL;
    return tokenbucket_status(tb_table_refund(((Table *)self)->handle, key.bytes, (size_t)key.size, n));
}

static PyObject *table_available(PyObject *self, PyObject *args) {
    Key key;
    double tokens = 0;
    if (!PyArg_ParseTuple(args, "y#:_available", &key.bytes, &key.size)) return NULL;
    const tb_status status = tb_table_available(((Table *)self)->handle, key.bytes, (size_t)key.size, &tokens);
    return Py_BuildValue("id", (int)status, tokens);
}

static PyObject *table_time_until(PyObject *self, PyObject *args) {
    Key key;
    double n;
    int64_t ns = 0;
    if (!PyArg_ParseTuple(args, "y#d:_time_until", &key.bytes, &key.size, &n)) return NULL;
    const tb_status status = tb_table_time_until(((Table *)self)->handle, key.bytes, (size_t)key.size, n, &ns);
    return Py_BuildValue("iL", (int)status, (long long)ns);
}

static PyObject *table_remove(PyObject *self, PyObject *args) {
    Key key;
    if (!PyArg_ParseTuple(args, "y#:_remove", &key.bytes, &key.size)) return NULL;
    return tokenbucket_status(tb_table_remove(((Table *)self)->handle, key.bytes, (size_t)key.size));
}

static PyObject *table_set_rate(PyObject *self, PyObject *tokens_per_second) {
    const double rate = PyFloat_AsDouble(tokens_per_second);
    if (PyErr_Occurred()) return NULL;
    return tokenbucket_status(tb_table_set_rate(((Table *)self)->handle, rate));
}

static PyObject *table_set_capacity(PyObject *self, PyObject *capacity) {
    const double size = PyFloat_AsDouble(capacity);
    if (PyErr_Occurred()) return NULL;
    return tokenbucket_status(tb_table_set_capacity(((Table *)self)->handle, size));
}

static PyObject *table_limit(PyObject *self, PyObject *none) {
    (void)none;
    tb_config limit;
    tb_config_init(&limit, sizeof limit);
    const tb_status status = tb_table_get_limit(((Table *)self)->handle, &limit);
    return tokenbucket_limit(status, &limit);
}

/* It reads the whole table. */
static PyObject *table_stats(PyObject *self, PyObject *none) {
    (void)none;
    tb_table_stats s = {.struct_size = sizeof s};
    tokenbucket_release_lock();
    const tb_status status = tb_table_get_stats(((Table *)self)->handle, &s);
    tokenbucket_retake_lock();
    return Py_BuildValue("i(LLLd)", (int)status, (long long)s.places, (long long)s.occupied, (long long)s.evicted,
                         s.tokens_forgiven);
}

PyObject *tokenbucket_key_of_address(PyObject *module, PyObject *args) {
    (void)module;
    const char *text;
    Py_ssize_t text_size;
    int ipv6_prefix;
    char key[TB_ADDRESS_KEY_SIZE];
    size_t size = 0;
    if (!PyArg_ParseTuple(args, "y#i:key_of_address", &text, &text_size, &ipv6_prefix)) return NULL;
    if (tb_address_key(text, (size_t)text_size, ipv6_prefix, key, &size) != TB_SUCCESS) Py_RETURN_NONE;
    return PyBytes_FromStringAndSize(key, (Py_ssize_t)size);
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

/* The last argument is that of bucket_open. */
static PyObject *table_open(PyObject *object, PyObject *args) {
    Table *const self = (Table *)object;
    tb_config limit;
    tb_table_config config;
    tb_config_fault refusal = {NULL, NULL};
    PyObject *clock, *shared;
    long long period_ns, max_keys, max_bytes, max_waiters, max_lateness_ns;
    int when_full;
    unsigned int shared_flags = 0;
    const char *name = NULL;
    int32_t fault = 0;
    tb_config_init(&limit, sizeof limit);
    tb_table_config_init(&config, sizeof config);
    if (!PyArg_ParseTuple(args, "ddLLLiLLIOO:_open", &limit.capacity, &limit.rate_tokens, &period_ns, &max_keys,
                          &max_bytes, &when_full, &max_waiters, &max_lateness_ns, &limit.flags, &clock, &shared))
        return NULL;
    if (shared != Py_None && !PyArg_ParseTuple(shared, "zI:_open", &name, &shared_flags)) return NULL;
    if (self->handle != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the table exists already");
        return NULL;
    }
    limit.rate_period_ns = period_ns;
    limit.max_waiters = max_waiters;
    limit.max_lateness_ns = max_lateness_ns;
    config.max_keys = max_keys;
    config.max_bytes = max_bytes;
    config.when_full = when_full;
    tokenbucket_configure(&self->base, &limit, clock);
    const tb_status status = shared == Py_None
                                 ? tb_table_create_with(&limit, &config, &self->handle)
                                 : tb_shared_table_open(&limit, &config, name, shared_flags, &self->handle, &fault);
    if (status != TB_SUCCESS)
        tb_table_config_check(&limit, &config, &refusal);
    else if (clock != Py_None)
        self->base.clock = Py_NewRef(clock);
    return tokenbucket_opened(status, &refusal, fault);
}

static PyObject *table_close(PyObject *self, PyObject *none) {
    (void)none;
    return tokenbucket_status(tb_table_close(((Table *)self)->handle));
}

static PyObject *table_exists(PyObject *self, PyObject *none) {
    (void)none;
    return PyBool_FromLong(((Table *)self)->handle != NULL);
}

/* ---- Their list -------------------------------------------------------------------------------------------------- */

PyDoc_STRVAR(
    allow_doc,
    "allow($self, /, key, tokens=1)\n"
    "--\n"
    "\n"
    "Takes tokens of a key if they are there now, all or nothing, and says whether it did; never waits.\n"
    "\n"
    "More than the capacity is always False. ValueError: not above 0, or not finite. TableFull. BucketClosed.\n"
    "\n"
    ">>> table = Table(capacity=10, tokens_per_second=5, max_keys=100_000)\n"
    ">>> table.allow(\"ann\", 8), table.allow(\"ann\", 8), table.allow(\"bob\", 8)\n"
    "(True, False, True)");

PyDoc_STRVAR(try_consume_doc,
             "try_consume($self, /, key, tokens=1)\n"
             "--\n"
             "\n"
             "The same as allow(), under its other usual name.\n"
             "\n"
             ">>> Table(capacity=10, tokens_per_second=5, max_keys=100_000).try_consume(\"ann\")\n"
             "True");

PyDoc_STRVAR(take_doc,
             "take($self, /, key, tokens=1)\n"
             "--\n"
             "\n"
             "As allow(), and says what is left and when to come back.\n"
             "\n"
             ">>> table = Table(capacity=10, tokens_per_second=5, max_keys=100_000, clock=ManualClock())\n"
             ">>> table.take(\"ann\", 8).remaining, table.take(\"ann\", 8).retry_after\n"
             "(2.0, 1.2)");

PyDoc_STRVAR(take_up_to_doc,
             "take_up_to($self, /, key, most)\n"
             "--\n"
             "\n"
             "Takes as many whole tokens of a key as are there now, at most that many, and says how many: possibly 0.\n"
             "\n"
             ">>> table = Table(capacity=10, tokens_per_second=5, max_keys=100_000)\n"
             ">>> table.take_up_to(\"ann\", 7), table.take_up_to(\"ann\", 7)\n"
             "(7, 3)");

PyDoc_STRVAR(wait_doc,
             "wait($self, /, key, tokens=1, timeout=None, *, priority=0)\n"
             "--\n"
             "\n"
             "Takes tokens of a key, sleeping until they are there, as wait() of a TokenBucket. Each key has its own "
             "queue,\n"
             "in which those of a higher priority go first.\n"
             "\n"
             "RateLimitExceeded, ValueError and BucketClosed as there; TableFull.\n"
             "\n"
             ">>> table = Table(capacity=10, tokens_per_second=1000, max_keys=100_000)\n"
             ">>> table.wait(\"ann\", 10)\n"
             ">>> table.wait(\"ann\", 2, timeout=0.5)");

PyMethodDef tokenbucket_table_methods[] = {
    {"allow", TOKENBUCKET_METHOD(table_allow), TOKENBUCKET_KEYWORDS, allow_doc},
    {"try_consume", TOKENBUCKET_METHOD(table_allow), TOKENBUCKET_KEYWORDS, try_consume_doc},
    {"take", TOKENBUCKET_METHOD(table_take), TOKENBUCKET_KEYWORDS, take_doc},
    {"take_up_to", TOKENBUCKET_METHOD(table_take_up_to), TOKENBUCKET_KEYWORDS, take_up_to_doc},
    {"wait", TOKENBUCKET_METHOD(table_wait), TOKENBUCKET_KEYWORDS, wait_doc},
    {"_open", table_open, METH_VARARGS, NULL},
    {"_close", table_close, METH_NOARGS, NULL},
    {"_exists", table_exists, METH_NOARGS, NULL},
    {"_allow_many", table_allow_many, METH_VARARGS, NULL},
    {"_enqueue", table_enqueue, METH_VARARGS, NULL},
    {"_check", table_check, METH_VARARGS, NULL},
    {"_leave", table_leave, METH_VARARGS, NULL},
    {"_reserve", table_reserve, METH_VARARGS, NULL},
    {"_cancel", table_cancel, METH_VARARGS, NULL},
    {"_settle", table_settle, METH_VARARGS, NULL},
    {"_charge", table_charge, METH_VARARGS, NULL},
    {"_refund", table_refund, METH_VARARGS, NULL},
    {"_remove", table_remove, METH_VARARGS, NULL},
    {"_set_rate", table_set_rate, METH_O, NULL},
    {"_set_capacity", table_set_capacity, METH_O, NULL},
    {"_available", table_available, METH_VARARGS, NULL},
    {"_time_until", table_time_until, METH_VARARGS, NULL},
    {"_limit", table_limit, METH_NOARGS, NULL},
    {"_stats", table_stats, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};
