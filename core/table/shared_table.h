// A table in memory that processes share: its image, and what must be the same for all who use it.
//
// A take changes a slot by one compare-and-swap, and a change of the limit is in force with one store of a stamp. So a
// process that is killed has changed all or nothing. What it leaves behind is a slot that it was about to use, or a
// change that was under way, and the next who meets these goes on. The queues of keys are in rooms (key_rooms.h).
#ifndef TOKENBUCKET_CORE_TABLE_SHARED_TABLE_H
#define TOKENBUCKET_CORE_TABLE_SHARED_TABLE_H

#include <cstdint>
#include <optional>

#include "core/platform/platform.h"
#include "core/shared/opening.h"
#include "core/table/key_rooms.h"
#include "core/table/siphash.h"
#include "core/table/table_image.h"

namespace tb {

struct SharedTablePage {
    SharedTablePage(const SharedHeader &its_header, const HashSecret &its_secret, WhenFull what, uint64_t its_lines,
                    const Plan &plan, const LimitSpec &spec)
        : header(its_header), secret(its_secret), when_full(what), lines(its_lines), image(plan, spec) {}

    SharedHeader header;
    HashSecret secret;
    WhenFull when_full;
    uint64_t lines;
    TableImage image;  // behind it the lines, then the rooms
};

class SharedTable {
  public:
    SharedTable() = default;
    SharedTable(const SharedTable &) = delete;
    SharedTable &operator=(const SharedTable &) = delete;

    struct Terms {
        LimitSpec spec;
        Limit limit;
        uint64_t lines;
        WhenFull when_full;
        int64_t now_ns;
        bool adopts;  // all that is in force, if there is a table
    };
    // Opens the memory of that name, or creates it; null: new memory without a name. mismatch: *difference says why.
    // system: *error is an errno. unsupported: also where the processor has no compare-and-swap of 16 bytes, for a lock
    // of a line would outlive its holder.
    Status open(const char *name, const Terms &terms, Difference *difference, int *error);

    TableImage *image() { return &page_->image; }
    KeyRooms *rooms() { return &*rooms_; }
    platform::SharedMemory *memory() { return &memory_; }
    uint64_t lines() const { return lines_; }
    const HashSecret &secret() const { return secret_; }
    WhenFull when_full() const { return when_full_; }

  private:
    Status create(const char *path, const Terms &terms, int *error);
    Status attach(const Terms &terms, Difference *difference);
    void read_page();
    void find_rooms();

    platform::SharedMemory memory_;
    SharedTablePage *page_ = nullptr;
    std::optional<KeyRooms> rooms_;
    // As they were when it was opened.
    uint64_t lines_ = 0;
    HashSecret secret_{};
    WhenFull when_full_ = WhenFull::evict_fullest;
};

}  // namespace tb

#endif
