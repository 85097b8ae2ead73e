#include "core/shared/opening.h"

#include <cstring>

namespace tb {
namespace {

using platform::SharedMemory;
using Fault = SharedMemory::Fault;

static_assert(sizeof(SharedHeader) == 48);

bool is_magic(uint64_t number) {
    return number == kBucketMagic || number == kTableMagic;
}

Difference difference_of(Fault fault) {
    switch (fault) {
        case Fault::not_a_file:
            return Difference::kind;
        case Fault::foreign:
            return Difference::owner;
        case Fault::open:
            return Difference::mode;
        case Fault::truncated:
            return Difference::size;
        default:
            return Difference::none;
    }
}

Difference difference_of(const SharedHeader &header, const SharedHeader &object, const platform::ClockIdentity &here) {
    const bool is_other = is_magic(header.magic);
    if (header.magic != object.magic) return is_other ? Difference::object : Difference::layout;
    if (header.layout != object.layout || header.most_entries != object.most_entries) return Difference::layout;
    if (std::memcmp(header.clock.boot, here.boot, sizeof here.boot) != 0) return Difference::boot;
    if (header.clock.time_namespace != here.time_namespace) return Difference::time_namespace;
    return Difference::none;
}

}  // namespace

Status create_shared(SharedMemory *memory, const char *path, const SharedHeader &object, int *error) {
    SharedHeader header = object;
    *error = platform::read_clock_identity(&header.clock);
    if (*error != 0) return Status::system;
    const Fault fault = memory->create(path, static_cast<std::size_t>(header.size));
    *error = memory->error();
    if (fault != Fault::none) return Status::system;
    std::memcpy(memory->memory(), &header, sizeof header);
    return Status::success;
}

Status publish_shared(SharedMemory *memory, const char *path, int *error) {
    if (path == nullptr) return Status::success;
    const Fault fault = memory->publish(path);
    *error = memory->error();
    if (fault == Fault::exists) return Status::stale;
    return fault == Fault::none ? Status::success : Status::system;
}

Status attach_shared(SharedMemory *memory, const char *path, const SharedHeader &object, Difference *difference,
                     int *error) {
    const Fault fault = memory->open(path, sizeof(SharedHeader));
    *difference = difference_of(fault);
    *error = memory->error();
    if (fault == Fault::absent) return Status::stale;
    if (fault == Fault::refused) return Status::system;
    if (fault != Fault::none) return Status::mismatch;
    SharedHeader header;
    std::memcpy(&header, memory->memory(), sizeof header);
    platform::ClockIdentity here;
    *error = platform::read_clock_identity(&here);
    if (*error != 0) return Status::system;
    *difference = difference_of(header, object, here);
    return *difference == Difference::none ? Status::success : Status::mismatch;
}

Status remove_shared(const char *name, Difference *difference, int *error) {
    char path[SharedMemory::kLongestPath];
    uint64_t magic = 0;
    if (!platform::kSharesMemory) return Status::unsupported;
    if (!SharedMemory::find_path(name, path, sizeof path)) return Status::invalid_argument;
    Fault fault = SharedMemory::read_start(path, &magic, sizeof magic, error);
    *difference = fault == Fault::none && !is_magic(magic) ? Difference::layout : difference_of(fault);
    if (*difference != Difference::none) return Status::mismatch;
    if (fault == Fault::none) fault = SharedMemory::remove(path, error);
    return fault == Fault::none || fault == Fault::absent ? Status::success : Status::system;
}

bool is_same_rate(const LimitSpec &a, const LimitSpec &b) {
    tbu_fraction x, y;
    if (read_limit(a, &x) != Status::success || read_limit(b, &y) != Status::success) return false;
    return x.numerator.hi == y.numerator.hi && x.numerator.lo == y.numerator.lo &&
           x.denominator.hi == y.denominator.hi && x.denominator.lo == y.denominator.lo;
}

}  // namespace tb
