// SPDX-License-Identifier: MIT
//
// Limits by key. Included by tokenbucket.hpp.
#ifndef TOKENBUCKET_TABLE_HPP
#define TOKENBUCKET_TABLE_HPP

#include <tokenbucket.h>

#include <algorithm>
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

/// What address_key answers: a Key of 4 or 16 bytes.
class AddressKey {
  public:
    /// The bytes, in network order.
    const unsigned char *data() const noexcept { return bytes_; }
    /// How many bytes: 4 for IPv4, 16 for IPv6.
    std::size_t size() const noexcept { return size_; }

  private:
    friend Result<AddressKey> address_key(std::string_view text, std::int32_t ipv6_prefix) noexcept;
    AddressKey() noexcept = default;

    unsigned char bytes_[TB_ADDRESS_KEY_SIZE] = {};
    std::size_t size_ = 0;
};

/// The key of a network address, such as "[2001:db8::1]:80"; one for each IPv6 network of `ipv6_prefix` bits. See
/// tb_address_key.
inline Result<AddressKey> address_key(std::string_view text, std::int32_t ipv6_prefix = 64) noexcept {
    AddressKey key;
    const tb_status status = tb_address_key(text.data(), text.size(), ipv6_prefix, key.bytes_, &key.size_);
    if (status == TB_SUCCESS) return Result<AddressKey>(key);
    Message message;
    if (ipv6_prefix < 0 || ipv6_prefix > 128)
        detail::append(message, "ipv6_prefix must be from 0 to 128, got %d", static_cast<int>(ipv6_prefix));
    else
        detail::append(message, "text must be an IPv4 or IPv6 address, got %.*s",
                       static_cast<int>(std::min<std::size_t>(text.size(), 64)), text.data());
    return Result<AddressKey>(Status{status}, message);
}

/// Requests for Table::allow_many, and their answers. Cleared it keeps its memory, for the next ones.
class Batch {
  public:
    /// It allocates, and where that throws only clear() may follow.
    void add(Key key, double n = 1) {
        bytes_.append(static_cast<const char *>(key.data()), key.size());
        sizes_.push_back(key.size());
        amounts_.push_back(n);
        answers_.push_back(TB_E_INVALID_ARGUMENT);
    }
    /// Removes all requests and answers, and keeps the memory.
    void clear() noexcept {
        bytes_.clear();
        sizes_.clear();
        amounts_.clear();
        answers_.clear();
    }

    /// How many requests there are.
    std::size_t size() const noexcept { return sizes_.size(); }
    /// What the i-th request was answered; before that, invalid_argument.
    Status operator[](std::size_t i) const noexcept { return Status{answers_[i]}; }

  private:
    friend class Table;

    std::string bytes_;
    std::vector<std::size_t> sizes_;
    std::vector<double> amounts_;
    std::vector<tb_status> answers_;
};

// ---- Tables ---------------------------------------------------------------------------------------------------------

/// What becomes of a new key when its places are taken.
enum class WhenFull : std::int32_t {
    evict_fullest = TB_TABLE_EVICT_FULLEST,
    deny = TB_TABLE_DENY,
    admit = TB_TABLE_ADMIT,
};

/// See tb_table_config. Either max_keys or max_bytes must be set.
struct TableConfig {
    std::int64_t max_keys = 0;                     ///< keys that are not full at one time; 0: as max_bytes says
    std::int64_t max_bytes = 0;                    ///< of memory, 64 or more; 0: as max_keys says
    WhenFull when_full = WhenFull::evict_fullest;  ///< what becomes of a new key then
};

/// See tb_table_stats.
struct TableStats {
    std::int64_t places;     ///< for keys, free ones included
    std::int64_t occupied;   ///< by keys that are not full now
    std::int64_t evicted;    ///< keys so far
    double tokens_forgiven;  ///< what evicted keys had spent, and what admit granted
};

/// Owns a tb_table: a bucket for each key. Each member function is the C function of its name, with the same rules and
/// statuses. Of a key nothing is kept but by what waits or is reserved, which has a copy: out_of_memory also without
/// memory for that.
class Table {
  public:
    /// A table for up to max_keys keys at once, each with a full bucket of that limit. See tb_table_create.
    static Result<Table> create(double capacity, double tokens_per_second, std::int64_t max_keys) noexcept {
        Config limit;
        limit.capacity = capacity;
        limit.rate_tokens = tokens_per_second;
        TableConfig config;
        config.max_keys = max_keys;
        return create(limit, config, "tokens_per_second");
    }
    /// A table as the configs say; see tb_table_create_with.
    static Result<Table> create(const Config &limit, const TableConfig &config) noexcept {
        return create(limit, config, "rate_tokens");
    }
    /// As Bucket::open_shared(), for limits by key; see tb_shared_table_open.
    static Result<Table> open_shared(const char *name, const Config &limit, const TableConfig &config,
                                     SharedFault *fault = nullptr) noexcept {
        return open_shared(name, limit, config, 0, fault);
    }
    /// As open_shared(), but takes over the limit and the size that are in force there.
    static Result<Table> adopt_shared(const char *name, const Config &limit, const TableConfig &config,
                                      SharedFault *fault = nullptr) noexcept {
        return open_shared(name, limit, config, TB_SHARED_ADOPT, fault);
    }

    /// Moves: the other answers Status::invalid_argument from then on.
    Table(Table &&) noexcept = default;
    /// Destroys the table that this held, and moves.
    Table &operator=(Table &&) noexcept = default;
    /// Destroying a table wakes those who wait.
    ~Table() { handle_.reset(); }

    /// The handle, for C functions; still owned by this.
    tb_table *get() const noexcept { return handle_.get(); }

    /// As Bucket::close(), for all keys.
    void close() noexcept { tb_table_close(get()); }

    // Taking: never blocks.
    /// As Bucket::allow(), of the key's bucket. table_full: no room for another key.
    Result<void> allow(Key key, double n = 1) noexcept {
        return detail::done(tb_table_allow(get(), key.data(), key.size(), n), amount(key, n));
    }
    /// As Bucket::take(), of the key's bucket.
    Decision take(Key key, double n = 1) noexcept {
        tb_decision d{};
        const tb_status status = tb_table_take(get(), key.data(), key.size(), n, &d);
        return detail::decision(status, d, amount(key, n));
    }
    /// As Bucket::take_up_to(), of the key's bucket.
    Result<double> take_up_to(Key key, double most) noexcept {
        double taken = 0;
        const tb_status status = tb_table_take_up_to(get(), key.data(), key.size(), most, &taken);
        return detail::result(status, taken, detail::or_key(key.size(), detail::amount(most, "most")));
    }
    /// Writes the answers into the batch. invalid_argument: also if a key is too long; then nothing is taken.
    Result<void> allow_many(Batch &batch) noexcept {
        return detail::done(tb_table_allow_many(get(), batch.bytes_.data(), batch.sizes_.data(), batch.amounts_.data(),
                                                batch.size(), batch.answers_.data()));
    }

    // Waiting: blocks the thread. Timeouts as those of a Bucket.
    /// As Bucket::wait(), in the key's queue.
    Result<void> wait(Key key, double n = 1) noexcept { return wait_for(key, n, kForever); }
    /// As Bucket::wait_for(), in the key's queue.
    template <class Rep, class Period>
    Result<void> wait_for(Key key, double n, std::chrono::duration<Rep, Period> timeout) noexcept {
        const std::int64_t timeout_ns = detail::timeout_ns(timeout);
        return detail::done(tb_table_wait_for(get(), key.data(), key.size(), n, timeout_ns),
                            amount(key, n, timeout_ns));
    }
    /// As above, with a priority.
    template <class Rep, class Period>
    Result<void> wait_for(Key key, double n, std::chrono::duration<Rep, Period> timeout,
                          std::int32_t priority) noexcept {
        const std::int64_t timeout_ns = detail::timeout_ns(timeout);
        return detail::done(tb_table_wait_with(get(), key.data(), key.size(), n, timeout_ns, priority),
                            amount(key, n, timeout_ns));
    }

#if defined(__cpp_lib_jthread)
    /// As wait, until the token asks to stop: interrupted, and the tokens come back. As Bucket's.
    Result<void> wait(Key key, double n, const std::stop_token &stop) {
        return wait_for(key, n, kForever, stop);
    }
    /// As wait_for, until the token asks to stop.
    template <class Rep, class Period>
    Result<void> wait_for(Key key, double n, std::chrono::duration<Rep, Period> timeout, const std::stop_token &stop,
                          std::int32_t priority = 0) {
        return detail::wait_or_stop(wait_for_one(key, n), detail::timeout_ns(timeout), priority, stop);
    }
#endif

    // Waiting without a thread.
    /// As Bucket::wait_on(), in the key's queue.
    template <class Loop, class Rep = std::chrono::nanoseconds::rep, class Period = std::chrono::nanoseconds::period>
    LoopAwait<Loop> wait_on(Key key, Loop &loop, double n = 1, std::chrono::duration<Rep, Period> timeout = kForever,
                            std::int32_t priority = 0) noexcept {
        return LoopAwait<Loop>(loop, wait_for_one(key, n), detail::timeout_ns(timeout), priority);
    }
    /// As Bucket::call_when_granted(), in the key's queue.
    template <class Loop, class Done, class Rep = std::chrono::nanoseconds::rep,
              class Period = std::chrono::nanoseconds::period>
    [[nodiscard]] PendingCall<Loop> call_when_granted(Key key, Loop &loop, Done done, double n = 1,
                                                      std::chrono::duration<Rep, Period> timeout = kForever,
                                                      std::int32_t priority = 0) {
        return detail::call_when_granted(loop, wait_for_one(key, n), std::move(done), detail::timeout_ns(timeout),
                                         priority);
    }
    /// As Bucket::enqueue(), in the key's queue.
    template <class Rep = std::chrono::nanoseconds::rep, class Period = std::chrono::nanoseconds::period>
    Waiter enqueue(Key key, std::uint64_t tag, double n = 1, std::chrono::duration<Rep, Period> timeout = kForever,
                   std::int32_t priority = 0) noexcept {
        return Waiter(account(key), n, detail::timeout_ns(timeout), priority, tag);
    }

    // Reserving: waiting in your own way. max_wait as wait_for's timeout.
    /// As Bucket::reserve(), of the key's bucket.
    Result<Reservation> reserve(Key key, double n = 1) noexcept {
        return reserve(key, n, kForever);
    }
    /// As above, within max_wait.
    template <class Rep, class Period>
    Result<Reservation> reserve(Key key, double n, std::chrono::duration<Rep, Period> max_wait) noexcept {
        return Reservation::make(account(key), n, detail::timeout_ns(max_wait));
    }

    /// A key and a cost of n there, for Limits. The bytes of the key are not copied.
    Member member(Key key, double n = 1) const noexcept {
        return Member({nullptr, get(), key.data(), key.size(), n}, wakes_.get());
    }

    // Adjusting.
    /// As Bucket::charge(), of the key's bucket.
    Result<std::chrono::nanoseconds> charge(Key key, double n) noexcept {
        std::int64_t ns = 0;
        const tb_status status = tb_table_charge(get(), key.data(), key.size(), n, &ns);
        return detail::result(status, std::chrono::nanoseconds(ns), amount(key, n));
    }
    /// As Bucket::refund(), of the key's bucket.
    Result<void> refund(Key key, double n) noexcept {
        return detail::done(tb_table_refund(get(), key.data(), key.size(), n), amount(key, n));
    }
    /// Forgets the key: its bucket is full from then on. See tb_table_remove.
    Result<void> remove(Key key) noexcept {
        return detail::done(tb_table_remove(get(), key.data(), key.size()), detail::or_key(key.size(), {}));
    }
    /// Changes the rate of all keys. See tb_table_set_rate.
    Result<void> set_rate(double tokens_per_second) noexcept {
        return detail::done(tb_table_set_rate(get(), tokens_per_second),
                            {detail::Kind::rate, "tokens_per_second", tokens_per_second,
                             "less than 8191 units of this table per nanosecond"});
    }
    /// Changes the capacity of all keys. See tb_table_set_capacity.
    Result<void> set_capacity(double capacity) noexcept {
        return detail::done(tb_table_set_capacity(get(), capacity),
                            {detail::Kind::capacity, "capacity", capacity, "from 1 to 2^57 units of this table"});
    }

    // Looking: takes nothing.
    /// As Bucket::available(), of the key's bucket; a key that is not there is full.
    Result<double> available(Key key) const noexcept {
        double tokens = 0;
        const tb_status status = tb_table_available(get(), key.data(), key.size(), &tokens);
        return detail::result(status, tokens, detail::or_key(key.size(), {}));
    }
    /// As Bucket::time_until(), of the key's bucket.
    Result<std::chrono::nanoseconds> time_until(Key key, double n) const noexcept {
        std::int64_t ns = 0;
        const tb_status status = tb_table_time_until(get(), key.data(), key.size(), n, &ns);
        return detail::result(status, std::chrono::nanoseconds(ns), amount(key, n));
    }
    /// The limit of each key, and the unit. See tb_table_get_limit.
    Result<Config> limit() const noexcept {
        tb_config c;
        tb_config_init(&c, sizeof c);
        const tb_status status = tb_table_get_limit(get(), &c);
        return detail::limit(status, c, wakes_.get());
    }
    /// How full the table is. See tb_table_get_stats.
    Result<TableStats> stats() const noexcept {
        tb_table_stats s{};
        s.struct_size = sizeof s;
        const tb_status status = tb_table_get_stats(get(), &s);
        return detail::result(status, TableStats{s.places, s.occupied, s.evicted, s.tokens_forgiven});
    }

#if defined(__cpp_exceptions)
    /// As create(), but throws Error.
    Table(double capacity, double tokens_per_second, std::int64_t max_keys)
        : Table(create(capacity, tokens_per_second, max_keys).value()) {}
    /// As create(), but throws Error.
    Table(const Config &limit, const TableConfig &config) : Table(create(limit, config).value()) {}
#endif

  private:
    static Result<Table> create(const Config &limit, const TableConfig &config, const char *rate_name) noexcept {
        tb_config l = detail::to_c(limit);
        std::unique_ptr<detail::Wakes> wakes;
        if (!detail::serve_wakes(l, &wakes)) return Result<Table>(Status::out_of_memory);
        const tb_table_config c = to_c(config);
        tb_table *table = nullptr;
        const tb_status status = tb_table_create_with(&l, &c, &table);
        if (status == TB_SUCCESS) return Result<Table>(Table(table, std::move(wakes)));
        tb_config_fault fault{nullptr, nullptr};
        tb_table_config_check(&l, &c, &fault);
        return Result<Table>(Status{status}, detail::message_of(fault, l, rate_name, &c));
    }
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
        tb_config l = detail::to_c(limit);
        std::unique_ptr<detail::Wakes> wakes;
        if (fault != nullptr) *fault = {};
        if (!detail::serve_shared_wakes(l, &wakes)) return Result<Table>(Status::out_of_memory);
        const tb_table_config c = to_c(config);
        tb_table *table = nullptr;
        std::int32_t number = 0;
        const tb_status status = tb_shared_table_open(&l, &c, name, flags, &table, &number);
        detail::tell(status, number, fault);
        if (status == TB_SUCCESS) return Result<Table>(Table(table, std::move(wakes)));
        return Result<Table>(Status{status}, detail::message_of(status, number, name, l, c));
    }
    Table(tb_table *handle, std::unique_ptr<detail::Wakes> wakes) noexcept
        : handle_(handle), wakes_(std::move(wakes)) {}
    // A key that is too long is refused before the rest.
    static detail::Blame amount(Key key, double n, std::int64_t timeout_ns = 0) noexcept {
        return detail::or_key(key.size(), detail::amount(n, timeout_ns));
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
