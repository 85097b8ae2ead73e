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
        account_->pass_due();
        accounts_.end_use(account_);
    }
    constexpr int kAccounts = 1;
    constexpr int kChainsEach = 8;
    accounts_.sweep(kAccounts, kChainsEach);
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
    if (keys_.shared() == nullptr) keys_.unpin_all();
}

// ---- Not under the lock ----

void KeyAccounts::end_use(KeyAccount *account) {
    {
        const platform::LockGuard guard(&lock_);
        if (--account->uses != 0 || !account->is_idle() || !remove(account)) return;
        keys_.unpin(account->slot);
    }
    destroy(account);
}

// An account that nobody uses, in the next of so many chains, of which each call goes on to others; another one when
// the same chain comes again.
KeyAccount *KeyAccounts::use_next(uint64_t most_chains) {
    const platform::LockGuard guard(&lock_);
    for (uint64_t i = 0; count_ != 0 && i < most_chains; ++i) {
        KeyAccount **link = &chains_[swept_++ % kChains];
        while (*link != nullptr && (*link)->uses != 0) link = &(*link)->next_in_chain;
        KeyAccount *const account = *link;
        if (account == nullptr) continue;
        *link = account->next_in_chain;
        while (*link != nullptr) link = &(*link)->next_in_chain;
        *link = account;
        account->next_in_chain = nullptr;
        ++account->uses;
        return account;
    }
    return nullptr;
}

void KeyAccounts::sweep(int most, uint64_t most_chains) {
    for (int i = 0; i < most; ++i) {
        KeyAccount *const account = use_next(most_chains);
        if (account == nullptr) return;
        account->pass_due_reservations();
        end_use(account);
    }
}

void KeyAccounts::sweep() {
    constexpr int kAccounts = 64;
    if (is_empty()) return;
    const uint32_t process = platform::process_generation();
    inside_.begin();
    sweep(kAccounts, kChains);
    inside_.end(process);
}

// The account at that place of a chain, or behind that account, which is in use and so in its chain.
KeyAccount *KeyAccounts::use_at(KeyAccount *const *link) {
    const platform::LockGuard guard(&lock_);
    KeyAccount *const account = *link;
    if (account != nullptr) ++account->uses;
    return account;
}

bool KeyAccounts::is_empty() {
    const platform::LockGuard guard(&lock_);
    forget_other_processes();
    return count_ == 0;
}

template <class F>
bool KeyAccounts::for_each(F f) {
    if (is_empty()) return true;
    bool go_on = true;
    for (uint64_t chain = 0; go_on && chain < kChains; ++chain)
        for (KeyAccount *account = use_at(&chains_[chain]); account != nullptr;) {
            go_on = go_on && f(account);
            KeyAccount *const next = use_at(&account->next_in_chain);
            account->pass_due();
            end_use(account);
            account = next;
        }
    return go_on;
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
