/* The module and its classes: heap types in a multi-phase module, so that each interpreter has its own. */
#include "native.h"

#define NEEDED_ABI 1
#define NEEDED_VERSION (10000 * TB_VERSION_MAJOR + 100 * TB_VERSION_MINOR + TB_VERSION_PATCH)

static struct PyModuleDef module_definition;

void tokenbucket_free_object(PyObject *self) {
    PyTypeObject *const type = Py_TYPE(self);
    const freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

/* ---- Clock ------------------------------------------------------------------------------------------------------- */

static void clock_dealloc(PyObject *self) {
    tb_clock_destroy(((Clock *)self)->handle);
    tokenbucket_free_object(self);
}

static PyObject *clock_open(PyObject *self, PyObject *start_ns) {
    Clock *const clock = (Clock *)self;
    const long long ns = PyLong_AsLongLong(start_ns);
    if (PyErr_Occurred()) return NULL;
    if (clock->handle != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the clock exists already");
        return NULL;
    }
    return PyLong_FromLong(tb_manual_clock_create(ns, &clock->handle));
}

static PyObject *clock_set(PyObject *self, PyObject *now_ns) {
    const long long ns = PyLong_AsLongLong(now_ns);
    if (PyErr_Occurred()) return NULL;
    return PyLong_FromLong(tokenbucket_clock_set(((Clock *)self)->handle, ns));
}

static PyObject *clock_waiters(PyObject *self, PyObject *none) {
    (void)none;
    int64_t count = 0, next_due_ns = TB_FOREVER;
    tb_manual_clock_waiters(((Clock *)self)->handle, &count, &next_due_ns);
    return Py_BuildValue("LL", (long long)count, (long long)next_due_ns);
}

static PyMethodDef clock_methods[] = {
    {"_open", clock_open, METH_O, NULL},
    {"_set", clock_set, METH_O, NULL},
    {"_waiters", clock_waiters, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot clock_slots[] = {
    {Py_tp_dealloc, clock_dealloc},
    {Py_tp_methods, clock_methods},
    {0, NULL},
};

static PyType_Spec clock_spec = {
    .name = "tokenbucket._native.Clock",
    .basicsize = sizeof(Clock),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = clock_slots,
};

/* ---- Buckets and tables ------------------------------------------------------------------------------------------ */

/* The module that defined the class or the base class of which `type` is. */
static PyObject *defining_module(PyTypeObject *type) {
    for (; type != NULL; type = (PyTypeObject *)PyType_GetSlot(type, Py_tp_base)) {
        PyObject *const module = PyType_GetModule(type);
        if (module != NULL && PyModule_GetDef(module) == &module_definition) return module;
        PyErr_Clear();
    }
    PyErr_SetString(PyExc_TypeError, "no class of this module");
    return NULL;
}

static PyObject *limiter_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)args;
    (void)keywords;
    PyObject *const module = defining_module(type);
    if (module == NULL) return NULL;
    const allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Limiter *const self = (Limiter *)allocate(type, 0);
    if (self != NULL) self->imports = PyModule_GetState(module);
    return (PyObject *)self;
}

static int limiter_traverse(PyObject *object, visitproc visit, void *arg) {
    Limiter *const self = (Limiter *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->clock);
    Py_VISIT(self->on_event);
    return 0;
}

static int limiter_clear(PyObject *object) {
    Limiter *const self = (Limiter *)object;
    Py_CLEAR(self->clock);
    Py_CLEAR(self->on_event);
    return 0;
}

/* A thread in a call holds a reference, so nobody is inside, but perhaps one that moves the clock. */
static void bucket_dealloc(PyObject *object) {
    PyObject_GC_UnTrack(object);
    tokenbucket_destroy_bucket(((Bucket *)object)->handle);
    limiter_clear(object);
    tokenbucket_free_object(object);
}

static void table_dealloc(PyObject *object) {
    PyObject_GC_UnTrack(object);
    tokenbucket_destroy_table(((Table *)object)->handle);
    limiter_clear(object);
    tokenbucket_free_object(object);
}

static PyType_Slot bucket_slots[] = {
    {Py_tp_new, limiter_new},
    {Py_tp_traverse, limiter_traverse},
    {Py_tp_clear, limiter_clear},
    {Py_tp_dealloc, bucket_dealloc},
    {Py_tp_methods, tokenbucket_bucket_methods},
    {Py_tp_members, tokenbucket_limiter_members},
    {0, NULL},
};

static PyType_Slot table_slots[] = {
    {Py_tp_new, limiter_new},
    {Py_tp_traverse, limiter_traverse},
    {Py_tp_clear, limiter_clear},
    {Py_tp_dealloc, table_dealloc},
    {Py_tp_methods, tokenbucket_table_methods},
    {Py_tp_members, tokenbucket_limiter_members},
    {0, NULL},
};

/* Its references are set once and not cleared, so the buckets and tables outlive the members. */
static int limits_traverse(PyObject *object, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(((Limits *)object)->parts);
    return 0;
}

static void limits_dealloc(PyObject *object) {
    PyObject_GC_UnTrack(object);
    Py_XDECREF(((Limits *)object)->parts);
    tokenbucket_free_object(object);
}

static PyObject *limits_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
    (void)args;
    (void)keywords;
    PyObject *const module = defining_module(type);
    if (module == NULL) return NULL;
    const allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Limits *const self = (Limits *)allocate(type, 0);
    if (self != NULL) self->imports = PyModule_GetState(module);
    return (PyObject *)self;
}

static PyType_Slot limits_slots[] = {
    {Py_tp_new, limits_new},
    {Py_tp_traverse, limits_traverse},
    {Py_tp_dealloc, limits_dealloc},
    {Py_tp_methods, tokenbucket_limits_methods},
    {0, NULL},
};

#define LIMITER_FLAGS (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC)

static PyType_Spec bucket_spec = {
    .name = "tokenbucket._native.Bucket",
    .basicsize = sizeof(Bucket),
    .flags = LIMITER_FLAGS,
    .slots = bucket_slots,
};

static PyType_Spec table_spec = {
    .name = "tokenbucket._native.Table",
    .basicsize = sizeof(Table),
    .flags = LIMITER_FLAGS,
    .slots = table_slots,
};

static PyType_Spec limits_spec = {
    .name = "tokenbucket._native.Limits",
    .basicsize = sizeof(Limits),
    .flags = LIMITER_FLAGS,
    .slots = limits_slots,
};

/* ---- Module ------------------------------------------------------------------------------------------------------ */

static PyObject *library_version(PyObject *module, PyObject *none) {
    (void)module;
    (void)none;
    return PyUnicode_FromString(tb_library_version_string());
}

static PyMethodDef module_methods[] = {
    {"library_version", library_version, METH_NOARGS,
     PyDoc_STR("library_version()\n--\n\n"
               "The version of the C library in use.\n\n"
               ">>> library_version().split(\".\")[0]\n"
               "'1'")},
    {"limit_refusal", tokenbucket_limit_refusal, METH_VARARGS, NULL},
    {"remove_shared", tokenbucket_remove_shared, METH_VARARGS, NULL},
    {"shared_fault", tokenbucket_shared_fault, METH_O, NULL},
    {"key_of_address", tokenbucket_key_of_address, METH_VARARGS, NULL},
    {"remote_script", tokenbucket_remote_script, METH_NOARGS, NULL},
    {"queue_key", tokenbucket_queue_key, METH_O, NULL},
    {"ask_many", tokenbucket_ask_many, METH_VARARGS, NULL},
    {"read_many", tokenbucket_read_many, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int import(const char *module_name, const char *name, PyObject **out) {
    PyObject *const module = PyImport_ImportModule(module_name);
    if (module == NULL) return -1;
    *out = PyObject_GetAttrString(module, name);
    Py_DECREF(module);
    return *out == NULL ? -1 : 0;
}

static int add_type(PyObject *module, const char *name, PyType_Spec *spec) {
    PyObject *const type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type == NULL) return -1;
    const int status = PyModule_AddObjectRef(module, name, type);
    Py_DECREF(type);
    return status;
}

static int module_exec(PyObject *module) {
    Imports *const imports = PyModule_GetState(module);
    if (tb_abi_version() != NEEDED_ABI || tb_library_version() < NEEDED_VERSION) {
        PyErr_Format(PyExc_ImportError, "libtokenbucket is version %s with ABI %d", tb_library_version_string(),
                     (int)tb_abi_version());
        return -1;
    }
    imports->new_tuple = (newfunc)PyType_GetSlot(&PyTuple_Type, Py_tp_new);
    if (import("tokenbucket._results", "fail", &imports->fail) < 0 ||
        import("tokenbucket._results", "tell", &imports->tell) < 0 ||
        import("tokenbucket._results", "Decision", &imports->decision) < 0 ||
        import("tokenbucket._numbers", "number", &imports->number) < 0 ||
        import("tokenbucket._numbers", "priority_number", &imports->priority) < 0 ||
        import("tokenbucket._numbers", "timeout_ns", &imports->timeout_ns) < 0 ||
        import("tokenbucket._waiting", "wake", &imports->wake) < 0 ||
        import("tokenbucket._keys", "encode", &imports->encode) < 0 ||
        import("tokenbucket._numbers", "now_ns", &imports->now_ns) < 0)
        return -1;
    if (add_type(module, "Clock", &clock_spec) < 0) return -1;
    if (add_type(module, "Bucket", &bucket_spec) < 0) return -1;
    if (add_type(module, "Table", &table_spec) < 0) return -1;
    if (add_type(module, "Limits", &limits_spec) < 0) return -1;
    if (add_type(module, "Remote", &tokenbucket_remote_spec) < 0) return -1;
    imports->waiter_all = PyType_FromModuleAndSpec(module, &tokenbucket_waiter_all_spec, NULL);
    return imports->waiter_all == NULL ? -1 : 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    Imports *const imports = PyModule_GetState(module);
    Py_VISIT(imports->fail);
    Py_VISIT(imports->tell);
    Py_VISIT(imports->decision);
    Py_VISIT(imports->number);
    Py_VISIT(imports->priority);
    Py_VISIT(imports->timeout_ns);
    Py_VISIT(imports->wake);
    Py_VISIT(imports->now_ns);
    Py_VISIT(imports->encode);
    Py_VISIT(imports->waiter_all);
    return 0;
}

static int module_clear(PyObject *module) {
    Imports *const imports = PyModule_GetState(module);
    Py_CLEAR(imports->fail);
    Py_CLEAR(imports->tell);
    Py_CLEAR(imports->decision);
    Py_CLEAR(imports->number);
    Py_CLEAR(imports->priority);
    Py_CLEAR(imports->timeout_ns);
    Py_CLEAR(imports->wake);
    Py_CLEAR(imports->now_ns);
    Py_CLEAR(imports->encode);
    Py_CLEAR(imports->waiter_all);
    return 0;
}

static void module_free(void *module) {
    module_clear(module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,   .m_name = "tokenbucket._native", .m_size = sizeof(Imports), .m_methods = module_methods,
    .m_slots = module_slots, .m_traverse = module_traverse,   .m_clear = module_clear,   .m_free = module_free,
};

PyMODINIT_FUNC PyInit__native(void) {
    return PyModuleDef_Init(&module_definition);
}
