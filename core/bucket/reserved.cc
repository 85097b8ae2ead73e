#include "core/bucket/reserved.h"

#include <bit>
#include <cstdlib>

namespace tb {
namespace {

constexpr uint64_t low_bits(unsigned count) {
    return (uint64_t{1} << count) - 1;
}

// Chunk c holds first * 2^c entries and begins at index first * (2^c - 1).
std::size_t chunk_of(uint64_t index, uint64_t first) {
    return static_cast<std::size_t>(std::bit_width(index / first + 1)) - 1;
}

}  // namespace

ReservedPool::ReservedPool() : serial_(reinterpret_cast<uintptr_t>(this) * 0x9E3779B97F4A7C15) {}

ReservedPool::~ReservedPool() {
    for (Reserved *chunk : chunks_) std::free(chunk);
}

Reserved *ReservedPool::at(uint64_t index) const {
    const std::size_t chunk = chunk_of(index, kFirstChunk);
    return chunks_[chunk] + (index - kFirstChunk * low_bits(static_cast<unsigned>(chunk)));
}

bool ReservedPool::is_full() const {
    if (free_ != nullptr) return false;
    const std::size_t chunk = chunk_of(given_out_, kFirstChunk);
    return chunk >= kChunks || chunks_[chunk] == nullptr;
}

Reserved *ReservedPool::acquire() {
    uint64_t index = 0;
    if (free_ != nullptr) {
        index = free_->id & low_bits(kIndexBits);
        free_ = static_cast<Reserved *>(free_->after);
    } else {
        const std::size_t chunk = chunk_of(given_out_, kFirstChunk);
        if (chunk >= kChunks) return nullptr;
        if (chunks_[chunk] == nullptr)
            chunks_[chunk] = static_cast<Reserved *>(std::calloc(kFirstChunk << chunk, sizeof(Reserved)));
        if (chunks_[chunk] == nullptr) return nullptr;
        index = given_out_++;
    }
    Reserved *const r = at(index);
    r->id = new_id(index);
    r->in_use = true;
    return r;
}

uint64_t ReservedPool::new_id(uint64_t index) {
    return (++serial_ << kIndexBits & low_bits(kIdBits)) | index;
}

void ReservedPool::disown(Reserved *r) {
    r->id = new_id(r->id & low_bits(kIndexBits));
}

void ReservedPool::release(Reserved *r) {
    r->in_use = false;
    r->after = free_;
    free_ = r;
}

Reserved *ReservedPool::find(uint64_t id) const {
    const uint64_t index = id & low_bits(kIndexBits);
    if (index >= given_out_) return nullptr;
    Reserved *const r = at(index);
    return r->in_use && r->id == id ? r : nullptr;
}

void ReservedPool::forget_all() {
    given_out_ = 0;
    free_ = nullptr;
}

}  // namespace tb
