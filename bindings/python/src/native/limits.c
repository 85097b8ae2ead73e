/* Several limits in one decision: what Python code checks the status of. A refusal is the member that refused and the
 * nanoseconds until it would grant, both -1 where no member has refused. */
#include "native.h"

/* ---- Members ----------------------------------------------------------------------------------------------------- */

/* Takes a tuple of tuples: a bucket; or a table and a key, as encode() makes it. */
static PyObject *limits_open(PyObject *object, PyObject *parts) {
    Limits *const self = (Limits *)object;
    const Py_ssize_t count = PyTuple_Size(parts);
    if (self->parts != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the limits exist already");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; ++i) {
        PyObject *const part = PyTuple_GetItem(parts, i);
        PyObject *const limiter = PyTuple_GetItem(part, 0);
        tb_member *const member = &self->members[i];
        char *key;
        Py_ssize_t size;
        if (PyTuple_Size(part) == 1) {
            member->bucket = ((Bucket *)limiter)->handle;
            continue;
        }
        if (PyBytes_AsStringAndSize(PyTuple_GetItem(part, 1), &key, &size) < 0) return NULL;
        member->table = ((Table *)limiter)->handle;
        member->key = key;
        member->key_size = (size_t)size;
    }
    self->count = (size_t)count;
    self->parts = Py_NewRef(parts);
    Py_RETURN_NONE;
}

/* With the costs, a tuple of floats. */
static int to_members(const Limits *self, PyObject *costs, tb_member *out) {
    for (size_t i = 0; i < self->count; ++i) {
        out[i] = self->members[i];
        out[i].n = PyFloat_AsDouble(PyTuple_GetItem(costs, (Py_ssize_t)i));
    }
    return PyErr_Occurred() ? -1 : 0;
}

static const tb_refusal nobody = {-1, 0, -1};

static PyObject *answer(tb_status status, const tb_refusal *refusal) {
    tokenbucket_tell_all_kept();
    return Py_BuildValue("i(iL)", (int)status, (int)refusal->member, (long long)refusal->retry_after_ns);
}

/* ---- Taking and reserving ---------------------------------------------------------------------------------------- */

static PyObject *limits_allow(PyObject *object, PyObject *costs) {
    const Limits *const self = (Limits *)object;
    tb_member members[TB_MAX_MEMBERS];
    tb_refusal refusal = nobody;
    if (to_members(self, costs, members) < 0) return NULL;
    const tb_status status = tb_allow_all(members, self->count, &refusal);
    return answer(status, &refusal);
}

static PyObject *limits_reserve(PyObject *object, PyObject *args) {
    const Limits *const self = (Limits *)object;
    PyObject *costs;
    long long max_wait_ns;
    int64_t wait_ns = 0;
    tb_member members[TB_MAX_MEMBERS];
    tb_reservation reserved[TB_MAX_MEMBERS];
    tb_refusal refusal = nobody;
    if (!PyArg_ParseTuple(args, "OL:_reserve", &costs, &max_wait_ns)) return NULL;
    if (to_members(self, costs, members) < 0) return NULL;
    const tb_status status = tb_reserve_all(members, self->count, max_wait_ns, reserved, &wait_ns, &refusal);
    tokenbucket_tell_all_kept();
    if (status != TB_SUCCESS)
        return Py_BuildValue("i()(iL)", (int)status, (int)refusal.member, (long long)refusal.retry_after_ns);
    PyObject *const promises = PyTuple_New((Py_ssize_t)self->count);
    for (size_t i = 0; promises != NULL && i < self->count; ++i)
        PyTuple_SetItem(promises, (Py_ssize_t)i, tokenbucket_promise(&reserved[i]));
    return Py_BuildValue("iN(iL)", (int)status, promises, (int)refusal.member, (long long)refusal.retry_after_ns);
}

static PyObject *limits_cancel(PyObject *object, PyObject *promises) {
    const Limits *const self = (Limits *)object;
    tb_member members[TB_MAX_MEMBERS];
    tb_reservation reserved[TB_MAX_MEMBERS];
    for (size_t i = 0; i < self->count; ++i) {
        members[i] = self->members[i];
        if (tokenbucket_to_reservation(PyTuple_GetItem(promises, (Py_ssize_t)i), &reserved[i]) < 0) return NULL;
    }
    return tokenbucket_status(tb_cancel_all(members, self->count, reserved));
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

static PyObject *limits_wait(PyObject *object, PyObject *args) {
    const Limits *const self = (Limits *)object;
    PyObject *costs;
    long long timeout_ns;
    int priority;
    tb_member members[TB_MAX_MEMBERS];
    tb_refusal refusal = nobody;
    if (!PyArg_ParseTuple(args, "OLi:_wait", &costs, &timeout_ns, &priority)) return NULL;
    if (to_members(self, costs, members) < 0) return NULL;
    tokenbucket_release_lock();
    const tb_status status = tb_wait_all(members, self->count, timeout_ns, priority, &refusal);
    tokenbucket_retake_lock();
    return answer(status, &refusal);
}

/* A place in the queues, while it has not been left. It refers to the members without being cleared, so it leaves
 * before a bucket or table is destroyed, in whatever order a cycle is collected. */
typedef struct {
    PyObject_HEAD PyObject *limits;
    tb_waiter_all *handle; /* or NULL */
} WaiterAll;

static void leave(WaiterAll *self) {
    tb_waiter_all *const handle = self->handle;
    self->handle = NULL;
    tb_waiter_all_leave(handle);
    tokenbucket_tell_all_kept();
}

static int waiter_all_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((WaiterAll *)object)->limits);
    return 0;
}

static void waiter_all_dealloc(PyObject *object) {
    WaiterAll *const self = (WaiterAll *)object;
    PyObject *type, *value, *trace;
    PyObject_GC_UnTrack(object);
    PyErr_Fetch(&type, &value, &trace);
    leave(self);
    PyErr_Restore(type, value, trace);
    Py_XDECREF(self->limits);
    tokenbucket_free_object(object);
}

static PyType_Slot waiter_all_slots[] = {
    {Py_tp_traverse, waiter_all_traverse},
    {Py_tp_dealloc, waiter_all_dealloc},
    {0, NULL},
};

PyType_Spec tokenbucket_waiter_all_spec = {
    .name = "tokenbucket._native.WaiterAll",
    .basicsize = sizeof(WaiterAll),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = waiter_all_slots,
};

static PyObject *limits_enqueue(PyObject *object, PyObject *args) {
    const Limits *const self = (Limits *)object;
    PyObject *costs;
    long long timeout_ns;
    int priority;
    unsigned long long tag;
    int64_t wait_ns = 0;
    tb_member members[TB_MAX_MEMBERS];
    tb_refusal refusal = nobody;
    if (!PyArg_ParseTuple(args, "OLiK:_enqueue", &costs, &timeout_ns, &priority, &tag)) return NULL;
    if (to_members(self, costs, members) < 0) return NULL;
    WaiterAll *const waiter = (WaiterAll *)PyType_GenericAlloc((PyTypeObject *)self->imports->waiter_all, 0);
    if (waiter == NULL) return NULL;
    waiter->limits = Py_NewRef(object);
    const tb_status status =
        tb_enqueue_all(members, self->count, timeout_ns, priority, tag, &waiter->handle, &wait_ns, &refusal);
    tokenbucket_tell_all_kept();
    if (status == TB_PENDING) return Py_BuildValue("iNL", (int)status, (PyObject *)waiter, (long long)wait_ns);
    Py_DECREF(waiter);
    return Py_BuildValue("iO(iL)", (int)status, Py_None, (int)refusal.member, (long long)refusal.retry_after_ns);
}

static PyObject *limits_check(PyObject *object, PyObject *waiter) {
    (void)object;
    WaiterAll *const self = (WaiterAll *)waiter;
    int64_t wait_ns = 0;
    tb_refusal refusal = nobody;
    const tb_status status = tb_waiter_all_check(self->handle, &wait_ns, &refusal);
    if (status != TB_PENDING) {
        leave(self);
        return answer(status, &refusal);
    }
    tokenbucket_tell_all_kept();
    return Py_BuildValue("iL", (int)status, (long long)wait_ns);
}

static PyObject *limits_leave(PyObject *object, PyObject *waiter) {
    (void)object;
    leave((WaiterAll *)waiter);
    Py_RETURN_NONE;
}

/* ---- Their list -------------------------------------------------------------------------------------------------- */

PyMethodDef tokenbucket_limits_methods[] = {
    {"_open", limits_open, METH_O, NULL},
    {"_allow", limits_allow, METH_O, NULL},
    {"_reserve", limits_reserve, METH_VARARGS, NULL},
    {"_cancel", limits_cancel, METH_O, NULL},
    {"_wait", limits_wait, METH_VARARGS, NULL},
    {"_enqueue", limits_enqueue, METH_VARARGS, NULL},
    {"_check", limits_check, METH_O, NULL},
    {"_leave", limits_leave, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};
