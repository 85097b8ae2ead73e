// Limits by key: check, hash the key, call the core, translate.
#include <cstddef>

#include "capi/src/config.h"
#include "capi/src/handles.h"
#include "core/table/address.h"

namespace {

using tb::Status;
using tb::capi::is_null;
using tb::capi::refuse;
using tb::capi::to_c;

constexpr size_t kSmallestConfig = offsetof(tb_table_config, reserved) + sizeof(uint32_t);
constexpr size_t kSmallestStats = offsetof(tb_table_stats, tokens_forgiven) + sizeof(double);
constexpr tb_table_config kDefaults{sizeof(tb_table_config), 0, 0, TB_TABLE_EVICT_FULLEST, 0};
static_assert(static_cast<int>(tb::WhenFull::evict_fullest) == TB_TABLE_EVICT_FULLEST);
static_assert(static_cast<int>(tb::WhenFull::deny) == TB_TABLE_DENY);
static_assert(static_cast<int>(tb::WhenFull::admit) == TB_TABLE_ADMIT);
static_assert(TB_ADDRESS_KEY_SIZE == tb::AddressKey::kMostBytes);

bool is_key(const void *key, size_t size) {
    return size <= TB_MAX_KEY_SIZE && (key != nullptr || size == 0);
}

// Is that a table with a key? *hash is the key's.
bool has_key(tb_table *t, const void *key, size_t size, uint64_t *hash) {
    if (is_null(t) || !is_key(key, size)) return false;
    *hash = t->table.hash(key, size);
    return true;
}

Status read_lines(const tb_table_config &c, uint64_t *lines, tb_config_fault *fault) {
    const bool by_keys = c.max_keys > 0 && c.max_bytes == 0;
    const bool by_bytes = c.max_keys == 0 && c.max_bytes >= static_cast<int64_t>(sizeof(tb::Line));
    if (!by_keys && c.max_bytes == 0)
        return refuse(fault, "max_keys", "1 or more, or 0 with max_bytes", Status::invalid_argument);
    if (!by_keys && !by_bytes)
        return refuse(fault, "max_bytes", "64 or more with max_keys 0, or 0 with max_keys", Status::invalid_argument);
    *lines = by_keys ? tb::Table::lines_for(static_cast<uint64_t>(c.max_keys))
                     : static_cast<uint64_t>(c.max_bytes) / sizeof(tb::Line);
    if (*lines <= PTRDIFF_MAX / sizeof(tb::Line)) return Status::success;
    return refuse(fault, by_keys ? "max_keys" : "max_bytes", "so few that they can be addressed", Status::out_of_range);
}

Status read_options(const tb_table_config *config, tb::TableOptions *options, tb_config_fault *fault) {
    tb_table_config c = kDefaults;
    const Status s = tb::capi::read_struct(config, kSmallestConfig, &c, sizeof c, fault);
    if (s != Status::success) return s;
    if (c.when_full < TB_TABLE_EVICT_FULLEST || c.when_full > TB_TABLE_ADMIT)
        return refuse(fault, "when_full", "TB_TABLE_EVICT_FULLEST, TB_TABLE_DENY or TB_TABLE_ADMIT",
                      Status::unsupported);
    if (c.reserved != 0) return refuse(fault, "reserved", "0", Status::unsupported);
    options->when_full = static_cast<tb::WhenFull>(c.when_full);
    return read_lines(c, &options->lines, fault);
}

}  // namespace

// A table has no events and no counts of its decisions, and a new key is full.
Status tb::capi::read_table(const tb_config *limit, const tb_table_config *config, ParsedConfig *parsed,
                            TableOptions *options, tb_config_fault *fault) {
    Status s = read_config(limit, parsed, fault, kTableGrowth);
    if (s == Status::success) s = read_options(config, options, fault);
    if (s != Status::success) return s;
    const tb_config &c = parsed->config;
    if (c.initial_tokens != TB_INITIALLY_FULL)
        return refuse(fault, "initial_tokens", "TB_INITIALLY_FULL for a table", Status::unsupported);
    if ((c.flags & TB_STATISTICS) != 0)
        return refuse(fault, "flags", "without TB_STATISTICS for a table", Status::unsupported);
    if (c.on_event != nullptr) return refuse(fault, "on_event", "NULL for a table", Status::unsupported);
    return Status::success;
}

tb_table *tb::capi::create_table(const ParsedConfig &parsed, TableOptions options) {
    const tb_config &c = parsed.config;
    options.clock = c.clock;
    options.use_counter = is_null(c.clock) && options.shared == nullptr && platform::counter_is_trusted();
    options.waiting = create_wait_options(c);
    const LimitSpec spec{c.capacity, c.rate_tokens, c.rate_period_ns};
    tb_table *const t = options.waiting == nullptr ? nullptr : create<tb_table>(spec, parsed.limit, options);
    if (t != nullptr && t->table.is_made()) {
        if (c.clock != nullptr) c.clock->retain();
        return t;
    }
    if (t != nullptr) destroy(t);
    destroy_wait_options(options.waiting);
    return nullptr;
}

extern "C" {

tb_status tb_table_config_init(tb_table_config *config, size_t struct_size) {
    if (config == nullptr || !tb::capi::is_struct_size(struct_size, kSmallestConfig)) return TB_E_INVALID_ARGUMENT;
    for (size_t i = 0; i < struct_size; ++i) reinterpret_cast<unsigned char *>(config)[i] = 0;
    config->struct_size = struct_size;
    return to_c(tb::capi::write_struct(&kDefaults, sizeof kDefaults, kSmallestConfig, config));
}

tb_status tb_table_create(double capacity, double tokens_per_second, int64_t max_keys, tb_table **out_table) {
    tb_config limit;
    tb_config_init(&limit, sizeof limit);
    limit.capacity = capacity;
    limit.rate_tokens = tokens_per_second;
    tb_table_config config = kDefaults;
    config.max_keys = max_keys;
    return tb_table_create_with(&limit, &config, out_table);
}

tb_status tb_table_create_with(const tb_config *limit, const tb_table_config *config, tb_table **out_table) {
    if (out_table == nullptr) return TB_E_INVALID_ARGUMENT;
    tb::capi::ParsedConfig parsed;
    tb::TableOptions options;
    tb_config_fault fault;
    const Status s = tb::capi::read_table(limit, config, &parsed, &options, &fault);
    if (s != Status::success) return to_c(s);
    if (tb::platform::random_bytes(&options.secret, sizeof options.secret) != 0) return TB_E_SYSTEM;
    tb_table *const t = tb::capi::create_table(parsed, options);
    if (t == nullptr) return TB_E_OUT_OF_MEMORY;
    *out_table = t;
    return TB_SUCCESS;
}

tb_status tb_table_config_check(const tb_config *limit, const tb_table_config *config, tb_config_fault *out_fault) {
    if (out_fault == nullptr) return TB_E_INVALID_ARGUMENT;
    tb::capi::ParsedConfig parsed;
    tb::TableOptions options;
    *out_fault = {nullptr, nullptr};
    return to_c(tb::capi::read_table(limit, config, &parsed, &options, out_fault));
}

tb_status tb_table_close(tb_table *t) {
    return is_null(t) ? TB_E_INVALID_ARGUMENT : to_c(t->table.close());
}

void tb_table_destroy(tb_table *t) {
    if (is_null(t)) return;
    tb_clock *const clock = t->clock();
    const tb::WaitOptions *const waiting = &t->table.waiting_options();
    tb::SharedTable *const shared = t->table.shared();
    tb::destroy(t);
    if (shared != nullptr) tb::destroy(shared);
    tb::capi::destroy_wait_options(waiting);
    tb::capi::release_clock(clock);
}

tb_status tb_table_allow(tb_table *t, const void *key, size_t key_size, double n) {
    uint64_t hash = 0;
    return has_key(t, key, key_size, &hash) ? to_c(t->table.allow(hash, n)) : TB_E_INVALID_ARGUMENT;
}

tb_status tb_table_take(tb_table *t, const void *key, size_t key_size, double n, tb_decision *out_decision) {
    uint64_t hash = 0;
    if (!has_key(t, key, key_size, &hash) || out_decision == nullptr) return TB_E_INVALID_ARGUMENT;
    tb::Answer a{};
    const Status s = t->table.take(hash, n, &a);
    if (s == Status::success || s == Status::denied || s == Status::exceeds_capacity)
        *out_decision = {to_c(s), 0, a.remaining, a.retry_after_ns, a.reset_after_ns};
    return to_c(s);
}

tb_status tb_table_take_up_to(tb_table *t, const void *key, size_t key_size, double most, double *out_taken) {
    uint64_t hash = 0;
    if (!has_key(t, key, key_size, &hash) || out_taken == nullptr) return TB_E_INVALID_ARGUMENT;
    double taken = 0;
    const Status s = t->table.take_up_to(hash, most, &taken);
    if (s == Status::success) *out_taken = taken;
    return to_c(s);
}

tb_status tb_table_allow_many(tb_table *t, const void *keys, const size_t *key_sizes, const double *amounts,
                              size_t count, tb_status *out_answers) {
    constexpr size_t kBatch = 64;
    if (is_null(t) || (count != 0 && (key_sizes == nullptr || out_answers == nullptr))) return TB_E_INVALID_ARGUMENT;
    for (size_t i = 0; i < count; ++i)
        if (!is_key(keys, key_sizes[i])) return TB_E_INVALID_ARGUMENT;
    const char *key = static_cast<const char *>(keys);
    for (size_t start = 0; start < count; start += kBatch) {
        const size_t size = count - start < kBatch ? count - start : kBatch;
        uint64_t hashes[kBatch];
        Status answers[kBatch];
        for (size_t i = 0; i < size; key += key_sizes[start + i], ++i)
            hashes[i] = t->table.hash(key, key_sizes[start + i]);
        t->table.allow_many(hashes, amounts == nullptr ? nullptr : amounts + start, size, answers);
        for (size_t i = 0; i < size; ++i) out_answers[start + i] = to_c(answers[i]);
    }
    return TB_SUCCESS;
}

tb_status tb_table_wait_for(tb_table *t, const void *key, size_t key_size, double n, int64_t timeout_ns) {
    return tb_table_wait_with(t, key, key_size, n, timeout_ns, 0);
}

tb_status tb_table_wait_with(tb_table *t, const void *key, size_t key_size, double n, int64_t timeout_ns,
                             int32_t priority) {
    uint64_t hash = 0;
    if (timeout_ns < 0) return TB_E_INVALID_ARGUMENT;
    if (!has_key(t, key, key_size, &hash)) return TB_E_INVALID_ARGUMENT;
    return to_c(t->table.wait(hash, n, timeout_ns, priority));
}

tb_status tb_table_enqueue(tb_table *t, const void *key, size_t key_size, double n, int64_t timeout_ns,
                           int32_t priority, uint64_t tag, uint64_t *out_waiter, int64_t *out_wait_ns) {
    uint64_t hash = 0;
    if (timeout_ns < 0 || out_waiter == nullptr || out_wait_ns == nullptr) return TB_E_INVALID_ARGUMENT;
    if (!has_key(t, key, key_size, &hash)) return TB_E_INVALID_ARGUMENT;
    tb::QueuePlace place;
    const Status s = t->table.enqueue(hash, n, timeout_ns, priority, tag, &place);
    if (s == Status::success || s == Status::waiting) *out_waiter = place.waiter;
    if (s == Status::success || s == Status::waiting || s == Status::timed_out) *out_wait_ns = place.wait_ns;
    return to_c(s);
}

tb_status tb_table_waiter_check(tb_table *t, const void *key, size_t key_size, uint64_t waiter, int64_t *out_wait_ns) {
    uint64_t hash = 0;
    if (out_wait_ns == nullptr) return TB_E_INVALID_ARGUMENT;
    if (!has_key(t, key, key_size, &hash)) return TB_E_INVALID_ARGUMENT;
    int64_t wait_ns = 0;
    const Status s = t->table.check(hash, waiter, &wait_ns);
    if (s == Status::success || s == Status::waiting) *out_wait_ns = wait_ns;
    return to_c(s);
}

tb_status tb_table_waiter_leave(tb_table *t, const void *key, size_t key_size, uint64_t waiter) {
    uint64_t hash = 0;
    return has_key(t, key, key_size, &hash) ? to_c(t->table.leave(hash, waiter)) : TB_E_INVALID_ARGUMENT;
}

tb_status tb_table_reserve(tb_table *t, const void *key, size_t key_size, double n, int64_t max_wait_ns,
                           tb_reservation *out_reservation) {
    uint64_t hash = 0;
    if (out_reservation == nullptr || max_wait_ns < 0) return TB_E_INVALID_ARGUMENT;
    if (!has_key(t, key, key_size, &hash)) return TB_E_INVALID_ARGUMENT;
    tb::Reservation r;
    const Status s = t->table.reserve(hash, n, max_wait_ns, &r);
    if (s == Status::success) *out_reservation = to_c(r);
    return to_c(s);
}

tb_status tb_table_cancel(tb_table *t, const void *key, size_t key_size, tb_reservation *reservation) {
    uint64_t hash = 0;
    if (reservation == nullptr) return TB_E_INVALID_ARGUMENT;
    if (!has_key(t, key, key_size, &hash)) return TB_E_INVALID_ARGUMENT;
    if (reservation->tokens == 0) return TB_SUCCESS;
    const Status s = t->table.cancel(hash, tb::capi::to_core(*reservation));
    if (s == Status::success) reservation->tokens = 0;
    return to_c(s);
}

tb_status tb_table_settle(tb_table *t, const void *key, size_t key_size, tb_reservation *reservation, double actual) {
    uint64_t hash = 0;
    if (reservation == nullptr) return TB_E_INVALID_ARGUMENT;
    if (!has_key(t, key, key_size, &hash)) return TB_E_INVALID_ARGUMENT;
    const Status s = t->table.settle(hash, tb::capi::to_core(*reservation), actual);
    if (s == Status::success) reservation->tokens = 0;
    return to_c(s);
}

tb_status tb_table_charge(tb_table *t, const void *key, size_t key_size, double n, int64_t *out_repaid_after_ns) {
    uint64_t hash = 0;
    if (!has_key(t, key, key_size, &hash)) return TB_E_INVALID_ARGUMENT;
    int64_t repaid_after_ns = 0;
    const Status s = t->table.charge(hash, n, &repaid_after_ns);
    if (s == Status::success && out_repaid_after_ns != nullptr) *out_repaid_after_ns = repaid_after_ns;
    return to_c(s);
}

tb_status tb_table_refund(tb_table *t, const void *key, size_t key_size, double n) {
    uint64_t hash = 0;
    return has_key(t, key, key_size, &hash) ? to_c(t->table.refund(hash, n)) : TB_E_INVALID_ARGUMENT;
}

tb_status tb_table_available(tb_table *t, const void *key, size_t key_size, double *out_tokens) {
    uint64_t hash = 0;
    if (!has_key(t, key, key_size, &hash) || out_tokens == nullptr) return TB_E_INVALID_ARGUMENT;
    *out_tokens = t->table.available(hash);
    return TB_SUCCESS;
}

tb_status tb_table_time_until(tb_table *t, const void *key, size_t key_size, double n, int64_t *out_ns) {
    uint64_t hash = 0;
    if (!has_key(t, key, key_size, &hash) || out_ns == nullptr) return TB_E_INVALID_ARGUMENT;
    return to_c(t->table.time_until(hash, n, out_ns));
}

tb_status tb_table_remove(tb_table *t, const void *key, size_t key_size) {
    uint64_t hash = 0;
    if (!has_key(t, key, key_size, &hash)) return TB_E_INVALID_ARGUMENT;
    return to_c(t->table.remove(hash));
}

tb_status tb_table_set_rate(tb_table *t, double tokens_per_second) {
    return is_null(t) ? TB_E_INVALID_ARGUMENT : to_c(t->table.set_rate(tokens_per_second));
}

tb_status tb_table_set_capacity(tb_table *t, double capacity) {
    return is_null(t) ? TB_E_INVALID_ARGUMENT : to_c(t->table.set_capacity(capacity));
}

tb_status tb_table_get_limit(tb_table *t, tb_config *out_config) {
    if (is_null(t)) return TB_E_INVALID_ARGUMENT;
    uint64_t scale = 0;
    const tb::LimitSpec limit = t->table.limit(&scale);
    tb_config full{};
    full.capacity = limit.capacity;
    full.rate_tokens = limit.rate_tokens;
    full.rate_period_ns = limit.rate_period_ns;
    full.initial_tokens = TB_INITIALLY_FULL;
    full.clock = t->clock();
    full.unit = 1.0 / static_cast<double>(scale);
    tb::capi::describe(t->table.waiting_options(), &full);
    return to_c(tb::capi::write_config(full, out_config));
}

tb_status tb_table_get_stats(tb_table *t, tb_table_stats *out_stats) {
    if (is_null(t) || out_stats == nullptr) return TB_E_INVALID_ARGUMENT;
    if (!tb::capi::is_struct_size(out_stats->struct_size, kSmallestStats)) return TB_E_INVALID_ARGUMENT;
    const tb::TableCounts c = t->table.counts();
    const tb_table_stats full{sizeof full, static_cast<int64_t>(c.slots), static_cast<int64_t>(c.occupied),
                              static_cast<int64_t>(c.evicted), c.tokens_forgiven};
    return to_c(tb::capi::write_struct(&full, sizeof full, kSmallestStats, out_stats));
}

tb_status tb_address_key(const char *text, size_t text_size, int32_t ipv6_prefix, void *out_key, size_t *out_key_size) {
    tb::AddressKey key;
    if (text == nullptr || out_key == nullptr || out_key_size == nullptr) return TB_E_INVALID_ARGUMENT;
    if (ipv6_prefix < 0 || ipv6_prefix > 128) return TB_E_INVALID_ARGUMENT;
    if (!tb::read_address(text, text_size, ipv6_prefix, &key)) return TB_E_INVALID_ARGUMENT;
    for (size_t i = 0; i < key.size; ++i) static_cast<unsigned char *>(out_key)[i] = key.bytes[i];
    *out_key_size = key.size;
    return TB_SUCCESS;
}

}  // extern "C"
