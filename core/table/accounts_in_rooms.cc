// The accounts of a table that processes share. Lock order: the accounts of this process, all rooms, one account.
#include "core/memory.h"
#include "core/table/key_accounts.h"

namespace tb {

// ---- Under the lock ----

// Nothing is in the queue of a key that is not pinned: a process was killed before it had pinned the key, or after it
// had unpinned it. A key that is pinned without a room has been damaged.
Status KeyAccounts::make_in_room(uint64_t key, Use::Absent absent, KeyAccount **account) {
    if (absent == Use::Absent::find && !keys_.is_pinned(key)) return Status::waiting;
    const KeyRooms::Lock lock(rooms());
    unsigned room = rooms()->find(key);
    const bool is_new = room == rooms()->count() || !keys_.is_pinned(key);
    if (absent == Use::Absent::find && is_new) return Status::waiting;
    if (room == rooms()->count()) room = rooms()->find_free();
    if (room == rooms()->count()) return Status::out_of_memory;
    KeyAccount *const made = create_in_room(key, room);
    if (made == nullptr) return Status::out_of_memory;
    if (is_new) {
        rooms()->give(room, key);
        made->begin_queue();
    }
    if (const Status s = keys_.pin(key, &made->slot); s != Status::success) {
        destroy(made);
        if (is_new) rooms()->set_free(room);
        return s;
    }
    if (rooms()->begin_use(room)) made->remove_other_waiters();
    *account = made;
    return Status::success;
}

KeyAccount *KeyAccounts::create_in_room(uint64_t key, unsigned room) {
    QueueImages *const images = create<QueueImages>(rooms()->memory(), KeyRooms::account_lock(room));
    if (images == nullptr) return nullptr;
    images->use(&(*rooms())[room]->queue);
    KeyAccount *const made = create<KeyAccount>(&keys_, key, &keys_.waiting_options(), images, (*rooms())[room], room);
    if (made == nullptr) {
        destroy(images);
        return nullptr;
    }
    if (images->make(KeyRoom::kMostEntries) && made->make_shared_queue()) return made;
    destroy(made);
    return nullptr;
}

void KeyAccounts::leave_room(KeyAccount *account) {
    const KeyRooms::Lock lock(rooms());
    if (rooms()->is_unused_by_others(account->room_number) && account->is_empty()) {
        keys_.unpin(account->slot);
        rooms()->set_free(account->room_number);
    }
    rooms()->end_use(account->room_number);
}

// Does no process use that room, which is taken? It becomes free if its key is not pinned. Most rooms are in use, which
// is found out without the lock of all.
bool KeyAccounts::is_abandoned(unsigned room) {
    if (!rooms()->is_unused_by_others(room)) return false;
    rooms()->end_use(room);
    const KeyRooms::Lock lock(rooms());
    if (!rooms()->is_unused_by_others(room)) return false;
    if (!keys_.is_pinned(rooms()->key(room))) rooms()->set_free(room);
    rooms()->end_use(room);
    return true;
}

// ---- Not under the lock ----

// Of the next rooms, of which each call goes on to others, the account of one that has not been told of a change of the
// limit, since the process that made it was killed, if `tells`; or of one that no process uses and that may become
// free.
KeyAccount *KeyAccounts::use_next_room(uint64_t *places, bool tells) {
    const platform::LockGuard guard(&lock_);
    const uint64_t changes = keys_.plan().read().changes();
    const int64_t now = keys_.time().latest();
    for (; *places != 0; --*places) {
        const unsigned number = static_cast<unsigned>(swept_++ % rooms()->count());
        if (!rooms()->is_taken(number)) continue;
        const KeyRoom &room = *(*rooms())[number];
        const bool is_told = !tells || room.changes.load(std::memory_order_relaxed) == changes;
        if (is_told && room.free_ns.load(std::memory_order_relaxed) > now) continue;
        const uint64_t key = rooms()->key(number);
        KeyAccount *account = find(key);
        if (is_told && (account != nullptr || !is_abandoned(number))) continue;
        if (account == nullptr && make(key, Use::Absent::find, &account) != Status::success) continue;
        ++account->uses;
        return account;
    }
    return nullptr;
}

}  // namespace tb
