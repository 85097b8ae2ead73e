// SPDX-License-Identifier: MIT
//
// Limits by key. Included by tokenbucket.hpp.
#ifndef TOKENBUCKET_TABLE_HPP
#define TOKENBUCKET_TABLE_HPP

#include <tokenbucket.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenbucket/config.hpp"
#include "tokenbucket/limits.hpp"
#include "tokenbucket/result.hpp"
#include "tokenbucket/shared.hpp"
#include "tokenbucket/wait.hpp"

namespace tokenbucket {

// ---- Keys -----------------------------------------------------------------------------------------------------------

// What address_key answers: a Key of 4 or 16 bytes.
class AddressKey {
  public:
    const unsigned char *data() const noexcept { return bytes_; }
    std::size_t size() const noexcept { return size_; }

  private:
    friend Result<AddressKey> address_key(std::string_view text, std::int32_t ipv6_prefix) noexcept;
    AddressKey() noexcept = default;

    unsigned char bytes_[TB_ADDRESS_KEY_SIZE] = {};
    std::size_t size_ = 0;
};

// The key of a network address, such as "[2001:db8::1]:80"; one for each IPv6 network of `ipv6_prefix` bits. See
// tb_address_key.
inline Result<AddressKey> address_key(std::string_view text, std::int32_t ipv6_prefix = 64) noexcept {
    AddressKey key;
    const tb_status status = tb_address_key(text.data(), text.size(), ipv6_prefix, key.bytes_, &key.size_);
    return detail::result(status, key);
}

// Requests for Table::allow_many, and their answers. Cleared it keeps its memory, for the next ones.
class Batch {
  public:
    // It allocates, and where that throws only clear() may follow.
    void add(Key key, double n = 1) {
        bytes_.append(static_cast<const char *>(key.data()), key.size());
        sizes_.push_back(key.size());
        amounts_.push_back(n);
        answers_.push_back(TB_E_INVALID_ARGUMENT);
    }
    void clear() noexcept {
        bytes_.clear();
        sizes_.clear();
        amounts_.clear();
        answers_.clear();
    }

    std::size_t size() const noexcept { return sizes_.size(); }
    // What the i-th request was answered; before that, invalid_argument.
    Status operator[](std::size_t i) const noexcept { return Status{answers_[i]}; }

  private:
    friend class Table;

    std::string bytes_;
    std::vector<std::size_t> sizes_;
    std::vector<double> amounts_;
    std::vector<tb_status> answers_;
};

// ---- Tables ---------------------------------------------------------------------------------------------------------

// What becomes of a new key when its places are taken.
enum class WhenFull : std::int32_t {
    evict_fullest = TB_TABLE_EVICT_FULLEST,
    deny = TB_TABLE_DENY,
    admit = TB_TABLE_ADMIT,
};

// See tb_table_config. Either max_keys or max_bytes must be set.
struct TableConfig {
    std::int64_t max_keys = 0;
    std::int64_t max_bytes = 0;
    WhenFull when_full = WhenFull::evict_fullest;
};

// See tb_table_stats.
struct TableStats {
    std::int64_t places;
    std::int64_t occupied;
    std::int64_t evicted;
    double tokens_forgiven;
};

// Owns a tb_table: a bucket for each key. Each member function is the C function of its name, with the same rules and
// statuses. Of a key nothing is kept but by what waits or is reserved, which has a copy: out_of_memory also without
// memory for that.
class Table {
  public:
    // Status of a failure: as tb_table_create and tb_table_create_with.
    static Result<Table> create(double capacity, double tokens_per_second, std::int64_t max_keys) noexcept {
        Config limit;
        limit.capacity = capacity;
        limit.rate_tokens = tokens_per_second;
        TableConfig config;
        config.max_keys = max_keys;
        return create(limit, config);
    }
    static Result<Table> create(const Config &limit, const TableConfig &config) noexcept {
        tb_config l = detail::to_c(limit);
        std::unique_ptr<detail::Wakes> wakes;
        if (!detail::serve_wakes(l, &wakes)) return Result<Table>(Status::out_of_memory);
        const tb_table_config c = to_c(config);
        tb_table *table = nullptr;
        const tb_status status = tb_table_create_with(&l, &c, &table);
        return detail::result(status, Table(table, std::move(wakes)));
    }

    // As Bucket::open_shared and adopt_shared; see tb_shared_table_open. Waits and reservations are unsupported.
    static Result<Table> open_shared(const char *name, const Config &limit, const TableConfig &config,
                                     SharedFault *fault = nullptr) noexcept {
        return open_shared(name, limit, config, 0, fault);
    }
    static Result<Table> adopt_shared(const char *name, const Config &limit, const TableConfig &config,
                                      SharedFault *fault = nullptr) noexcept {
        return open_shared(name, limit, config, TB_SHARED_ADOPT, fault);
    }

    Table(Table &&) noexcept = default;
    Table &operator=(Table &&) noexcept = default;
    // Destroying a table wakes those who wait.
    ~Table() { handle_.reset(); }

    // The handle, for C functions; still owned by this.
    tb_table *get() const noexcept { return handle_.get(); }

    void close() noexcept { tb_table_close(get()); }

    // Taking: never blocks.
    Result<void> allow(Key key, double n = 1) noexcept {
        return detail::done(tb_table_allow(get(), key.data(), key.size(), n));
    }
    Decision take(Key key, double n = 1) noexcept {
        tb_decision d{};
        const tb_status status = tb_table_take(get(), key.data(), key.size(), n, &d);
        return detail::decision(status, d);
    }
    Result<double> take_up_to(Key key, double most) noexcept {
        double taken = 0;
        const tb_status status = tb_table_take_up_to(get(), key.data(), key.size(), most, &taken);
        return detail::result(status, taken);
    }
    // Writes the answers into the batch. invalid_argument: also if a key is too long; then nothing is taken.
    Result<void> allow_many(Batch &batch) noexcept {
        return detail::done(tb_table_allow_many(get(), batch.bytes_.data(), batch.sizes_.data(), batch.amounts_.data(),
                                                batch.size(), batch.answers_.data()));
    }

    // Waiting: blocks the thread. Timeouts as those of a Bucket.
    Result<void> wait(Key key, double n = 1) noexcept { return wait_for(key, n, kForever); }
    template <class Rep, class Period>
    Result<void> wait_for(Key key, double n, std::chrono::duration<Rep, Period> timeout) noexcept {
        return detail::done(tb_table_wait_for(get(), key.data(), key.size(), n, detail::timeout_ns(timeout)));
    }
    template <class Rep, class Period>
    Result<void> wait_for(Key key, double n, std::chrono::duration<Rep, Period> timeout,
                          std::int32_t priority) noexcept {
        const std::int64_t timeout_ns = detail::timeout_ns(timeout);
        return detail::done(tb_table_wait_with(get(), key.data(), key.size(), n, timeout_ns, priority));
    }

    // Waiting without a thread, each as the function of a Bucket.
    template <class Loop, class Rep = std::chrono::nanoseconds::rep, class Period = std::chrono::nanoseconds::period>
    LoopAwait<Loop> wait_on(Key key, Loop &loop, double n = 1, std::chrono::duration<Rep, Period> timeout = kForever,
                            std::int32_t priority = 0) noexcept {
        return LoopAwait<Loop>(loop, wait_for_one(key, n), detail::timeout_ns(timeout), priority);
    }
    template <class Loop, class Done, class Rep = std::chrono::nanoseconds::rep,
              class Period = std::chrono::nanoseconds::period>
    [[nodiscard]] PendingCall<Loop> call_when_granted(Key key, Loop &loop, Done done, double n = 1,
                                                      std::chrono::duration<Rep, Period> timeout = kForever,
                                                      std::int32_t priority = 0) {
        return detail::call_when_granted(loop, wait_for_one(key, n), std::move(done), detail::timeout_ns(timeout),
                                         priority);
    }
    template <class Rep = std::chrono::nanoseconds::rep, class Period = std::chrono::nanoseconds::period>
    Waiter enqueue(Key key, std::uint64_t tag, double n = 1, std::chrono::duration<Rep, Period> timeout = kForever,
                   std::int32_t priority = 0) noexcept {
        return Waiter(account(key), n, detail::timeout_ns(timeout), priority, tag);
    }

    // Reserving: waiting in your own way. max_wait as wait_for's timeout.
    Result<Reservation> reserve(Key key, double n = 1) noexcept { return reserve(key, n, kForever); }
    template <class Rep, class Period>
    Result<Reservation> reserve(Key key, double n, std::chrono::duration<Rep, Period> max_wait) noexcept {
        return Reservation::make(account(key), n, detail::timeout_ns(max_wait));
    }

    // A key and a cost of n there, for Limits. The bytes of the key are not copied.
    Member member(Key key, double n = 1) const noexcept {
        return Member({nullptr, get(), key.data(), key.size(), n}, wakes_.get());
    }

    // Adjusting. Charge answers the time until the debt is repaid.
    Result<std::chrono::nanoseconds> charge(Key key, double n) noexcept {
        std::int64_t ns = 0;
        const tb_status status = tb_table_charge(get(), key.data(), key.size(), n, &ns);
        return detail::result(status, std::chrono::nanoseconds(ns));
    }
    Result<void> refund(Key key, double n) noexcept {
        return detail::done(tb_table_refund(get(), key.data(), key.size(), n));
    }
    Result<void> remove(Key key) noexcept { return detail::done(tb_table_remove(get(), key.data(), key.size())); }
    Result<void> set_rate(double tokens_per_second) noexcept {
        return detail::done(tb_table_set_rate(get(), tokens_per_second));
    }
    Result<void> set_capacity(double capacity) noexcept { return detail::done(tb_table_set_capacity(get(), capacity)); }

    // Looking: takes nothing.
    Result<double> available(Key key) const noexcept {
        double tokens = 0;
        const tb_status status = tb_table_available(get(), key.data(), key.size(), &tokens);
        return detail::result(status, tokens);
    }
    Result<std::chrono::nanoseconds> time_until(Key key, double n) const noexcept {
        std::int64_t ns = 0;
        const tb_status status = tb_table_time_until(get(), key.data(), key.size(), n, &ns);
        return detail::result(status, std::chrono::nanoseconds(ns));
    }
    Result<Config> limit() const noexcept {
        tb_config c;
        tb_config_init(&c, sizeof c);
        const tb_status status = tb_table_get_limit(get(), &c);
        return detail::limit(status, c, wakes_.get());
    }
    Result<TableStats> stats() const noexcept {
        tb_table_stats s{};
        s.struct_size = sizeof s;
        const tb_status status = tb_table_get_stats(get(), &s);
        return detail::result(status, TableStats{s.places, s.occupied, s.evicted, s.tokens_forgiven});
    }

#if defined(__cpp_exceptions)
    Table(double capacity, double tokens_per_second, std::int64_t max_keys)
        : Table(create(capacity, tokens_per_second, max_keys).value()) {}
    Table(const Config &limit, const TableConfig &config) : Table(create(limit, config).value()) {}
#endif

  private:
    Table(tb_table *handle, std::unique_ptr<detail::Wakes> wakes) noexcept
        : handle_(handle), wakes_(std::move(wakes)) {}
    static tb_table_config to_c(const TableConfig &config) noexcept {
        tb_table_config c;
        tb_table_config_init(&c, sizeof c);
        c.max_keys = config.max_keys;
        c.max_bytes = config.max_bytes;
        c.when_full = static_cast<std::int32_t>(config.when_full);
        return c;
    }
    static Result<Table> open_shared(const char *name, const Config &limit, const TableConfig &config,
                                     std::uint32_t flags, SharedFault *fault) noexcept {
        const tb_config l = detail::to_c(limit);
        const tb_table_config c = to_c(config);
        tb_table *table = nullptr;
        std::int32_t number = 0;
        if (fault != nullptr) *fault = {};
        const tb_status status = tb_shared_table_open(&l, &c, name, flags, &table, &number);
        detail::tell(status, number, fault);
        return detail::result(status, Table(table, nullptr));
    }
    detail::Account account(Key key) const noexcept {
        return detail::Account(get(), key);
    }
    detail::WaitForOne wait_for_one(Key key, double n) const noexcept {
        return detail::WaitForOne(account(key), wakes_.get(), n);
    }

    std::unique_ptr<tb_table, detail::Destroy> handle_;
    std::unique_ptr<detail::Wakes> wakes_;  // null: the limit has another on_wake
};

}  // namespace tokenbucket

#endif  // TOKENBUCKET_TABLE_HPP
