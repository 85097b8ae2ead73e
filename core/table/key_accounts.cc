#include "core/table/key_accounts.h"

#include <cstdlib>

#include "core/memory.h"

namespace tb {

KeyAccounts::~KeyAccounts() {
    inside_.wait_for_all();
    for (uint64_t i = 0; chains_ != nullptr && i < kChains; ++i)
        for (KeyAccount *a = chains_[i]; a != nullptr;) {
            KeyAccount *const next = a->next_in_chain;
            destroy(a);
            a = next;
        }
    std::free(chains_);
}

KeyAccounts::Use::Use(KeyAccounts *accounts, uint64_t key, Absent absent)
    : accounts_(*accounts), process_(platform::process_generation()), status_(Status::waiting) {
    accounts_.keys_.time().ask();
    const platform::LockGuard guard(&accounts_.lock_);
    accounts_.forget_other_processes();
    accounts_.inside_.begin();
    account_ = accounts_.find(key);
    if (account_ != nullptr) status_ = Status::success;
    if (account_ == nullptr && absent == Absent::make) status_ = accounts_.make(key, &account_);
    if (account_ != nullptr) ++account_->uses;
}

KeyAccounts::Use::~Use() {
    if (account_ != nullptr) {
        accounts_.end_use(account_);
        if (KeyAccount *const other = accounts_.use_next()) accounts_.end_use(other);
    }
    accounts_.inside_.end(process_);
}

// ---- Under the lock ----

KeyAccount *KeyAccounts::find(uint64_t key) {
    if (chains_ == nullptr) return nullptr;
    KeyAccount *a = *chain_of(key);
    while (a != nullptr && a->key != key) a = a->next_in_chain;
    return a;
}

Status KeyAccounts::make(uint64_t key, KeyAccount **account) {
    if (chains_ == nullptr) chains_ = static_cast<KeyAccount **>(std::calloc(kChains, sizeof(KeyAccount *)));
    if (chains_ == nullptr) return Status::out_of_memory;
    Slot *slot = nullptr;
    if (const Status s = keys_.pin(key, &slot); s != Status::success) return s;
    KeyAccount *const made = create<KeyAccount>(&keys_, key, slot, &keys_.waiting_options());
    if (made == nullptr) {
        keys_.unpin(slot);
        return Status::out_of_memory;
    }
    made->next_in_chain = *chain_of(key);
    *chain_of(key) = made;
    ++count_;
    *account = made;
    return Status::success;
}

// False if it is not there: it belongs to another process.
bool KeyAccounts::remove(const KeyAccount *account) {
    if (chains_ == nullptr) return false;
    for (KeyAccount **link = chain_of(account->key); *link != nullptr; link = &(*link)->next_in_chain)
        if (*link == account) {
            *link = account->next_in_chain;
            --count_;
            return true;
        }
    return false;
}

// In the child of a fork what waits and is reserved belongs to the parent. Its accounts are leaked, for the list may
// have been half changed.
void KeyAccounts::forget_other_processes() {
    const uint32_t here = platform::process_generation();
    if (process_ == here) return;
    process_ = here;
    chains_ = nullptr;
    count_ = 0;
    inside_.abandon();
    keys_.unpin_all();
}

// ---- Not under the lock ----

// The look calls those who wait, so it is not made under the lock. If something has entered since, the queue is not
// idle.
void KeyAccounts::end_use(KeyAccount *account) {
    account->pass_due();
    {
        const platform::LockGuard guard(&lock_);
        if (--account->uses != 0 || !account->is_idle() || !remove(account)) return;
        keys_.unpin(account->slot);
    }
    destroy(account);
}

template <class IsWanted>
KeyAccount *KeyAccounts::use_one_of(uint64_t chain, IsWanted is_wanted) {
    const platform::LockGuard guard(&lock_);
    KeyAccount *a = count_ == 0 ? nullptr : chains_[chain];
    while (a != nullptr && !is_wanted(a)) a = a->next_in_chain;
    if (a != nullptr) ++a->uses;
    return a;
}

// An account that nobody uses, of other chains at each call.
KeyAccount *KeyAccounts::use_next() {
    constexpr int kMost = 8;
    for (int i = 0; i < kMost; ++i) {
        const uint64_t chain = swept_.fetch_add(1, std::memory_order_relaxed) % kChains;
        if (KeyAccount *const a = use_one_of(chain, [](const KeyAccount *other) { return other->uses == 0; })) return a;
    }
    return nullptr;
}

bool KeyAccounts::is_empty() {
    const platform::LockGuard guard(&lock_);
    forget_other_processes();
    return count_ == 0;
}

template <class F>
bool KeyAccounts::for_each(F f) {
    if (is_empty()) return true;
    const uint64_t visit = visits_.fetch_add(1, std::memory_order_relaxed) + 1;
    const auto is_next = [visit](KeyAccount *a) {
        const bool is_new = a->visit < visit;
        if (is_new) a->visit = visit;
        return is_new;
    };
    for (uint64_t chain = 0; chain < kChains; ++chain)
        while (KeyAccount *const account = use_one_of(chain, is_next)) {
            const bool go_on = f(account);
            end_use(account);
            if (!go_on) return false;
        }
    return true;
}

bool KeyAccounts::fit(const tbu_rate &rate) {
    return for_each([&](KeyAccount *account) { return account->fits(rate); });
}

// Those that come later are made for the limit in force.
void KeyAccounts::follow_limit() {
    for_each([](KeyAccount *account) {
        account->follow_limit();
        return true;
    });
}

}  // namespace tb
