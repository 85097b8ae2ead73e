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
    : accounts_(*accounts), process_(platform::process_generation()) {
    accounts_.keys_.time().ask();
    accounts_.enter();
    status_ = accounts_.begin_use(key, absent, &account_);
    if (status_ != Status::out_of_memory || accounts_.rooms() == nullptr) return;
    accounts_.sweep();
    status_ = accounts_.begin_use(key, absent, &account_);
}

// In a child that was forked meanwhile the account is the parent's.
KeyAccounts::Use::~Use() {
    if (process_ != platform::process_generation()) return;
    if (account_ != nullptr) {
        account_->pass_due();
        accounts_.end_use(account_);
    }
    constexpr int kAccounts = 1;
    constexpr int kPlaces = 8;
    accounts_.sweep(kAccounts, kPlaces);
    accounts_.inside_.end(process_);
}

void KeyAccounts::enter() {
    const platform::LockGuard guard(&lock_);
    forget_other_processes();
    inside_.begin();
}

Status KeyAccounts::begin_use(uint64_t key, Use::Absent absent, KeyAccount **account) {
    const platform::LockGuard guard(&lock_);
    *account = find(key);
    Status s = Status::success;
    if (*account == nullptr) s = make(key, absent, account);
    if (s == Status::success) ++(*account)->uses;
    return s;
}

void KeyAccounts::end_use(KeyAccount *account) {
    {
        const platform::LockGuard guard(&lock_);
        if (--account->uses != 0 || !account->is_idle() || !remove(account)) return;
        if (rooms() == nullptr) {
            keys_.unpin(account->slot);
        } else {
            leave_room(account);
        }
    }
    destroy(account);
}

// ---- Under the lock ----

KeyAccount *KeyAccounts::find(uint64_t key) {
    if (chains_ == nullptr) return nullptr;
    KeyAccount *a = *chain_of(key);
    while (a != nullptr && a->key != key) a = a->next_in_chain;
    return a;
}

// waiting: none is to be made.
Status KeyAccounts::make(uint64_t key, Use::Absent absent, KeyAccount **account) {
    if (chains_ == nullptr) chains_ = static_cast<KeyAccount **>(std::calloc(kChains, sizeof(KeyAccount *)));
    if (chains_ == nullptr) return Status::out_of_memory;
    KeyAccount *made = nullptr;
    Status s = Status::waiting;
    if (rooms() != nullptr) {
        s = make_in_room(key, absent, &made);
    } else if (absent == Use::Absent::make) {
        s = make_in_own_memory(key, &made);
    }
    if (s != Status::success) return s;
    made->next_in_chain = *chain_of(key);
    *chain_of(key) = made;
    ++count_;
    *account = made;
    return s;
}

Status KeyAccounts::make_in_own_memory(uint64_t key, KeyAccount **account) {
    KeyAccount *const made = create<KeyAccount>(&keys_, key, &keys_.waiting_options());
    if (made == nullptr) return Status::out_of_memory;
    if (const Status s = keys_.pin(key, &made->slot); s != Status::success) {
        destroy(made);
        return s;
    }
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
    is_telling_.store(false, std::memory_order_relaxed);
    if (rooms() == nullptr) keys_.unpin_all();
}

// ---- Not under the lock ----

// An account that nobody uses, in the next of so many chains, of which each call goes on to others; another one when
// the same chain comes again.
KeyAccount *KeyAccounts::use_next(uint64_t *chains) {
    const platform::LockGuard guard(&lock_);
    for (; count_ != 0 && *chains != 0; --*chains) {
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

// While a thread tells waiters no other does, and so no function of the user that it calls: else they would be nested.
// In a child that such a function has forked nothing is left to do.
void KeyAccounts::sweep(int most, uint64_t places) {
    const uint32_t process = platform::process_generation();
    const bool tells = rooms() != nullptr && !is_telling_.exchange(true, std::memory_order_acquire);
    for (int i = 0; i < most; ++i) {
        KeyAccount *const account = rooms() == nullptr ? use_next(&places) : use_next_room(&places, tells);
        if (account == nullptr) break;
        if (rooms() == nullptr) {
            account->pass_due_reservations();
        } else {
            account->pass_due();
        }
        if (process != platform::process_generation()) return;
        end_use(account);
    }
    if (tells) is_telling_.store(false, std::memory_order_release);
}

void KeyAccounts::sweep() {
    constexpr int kAccounts = 64;
    if (is_empty() && rooms() == nullptr) return;
    const uint32_t process = platform::process_generation();
    inside_.begin();
    sweep(kAccounts, rooms() == nullptr ? kAccounts * kChains : rooms()->count());
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
bool KeyAccounts::for_each_here(F f) {
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

template <class F>
bool KeyAccounts::for_each(F f) {
    if (rooms() == nullptr) return for_each_here(f);
    bool go_on = true;
    for (unsigned room = 0; go_on && room < rooms()->count(); ++room) {
        if (!rooms()->is_taken(room)) continue;
        const Use use(this, rooms()->key(room), Use::Absent::find);
        if (use.status() == Status::success) go_on = f(use.account());
    }
    return go_on;
}

void KeyAccounts::end_own_waits() {
    for_each_here([](KeyAccount *account) {
        account->end_own_waits();
        return true;
    });
}

bool KeyAccounts::fit(const tbu_rate &rate) {
    return for_each([&](KeyAccount *account) { return account->fits(rate); });
}

// A look at a queue brings it there. Those that come later are made for the limit in force.
void KeyAccounts::follow_limit() {
    for_each([](KeyAccount *) { return true; });
}

}  // namespace tb
