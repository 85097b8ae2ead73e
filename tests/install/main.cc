// A C++ program as a user writes it.
#include <cstdio>
#include <tokenbucket.hpp>

int main() {
    auto bucket = tokenbucket::Bucket::create(1, 0.001);
    if (!bucket) return 1;
    const auto first = bucket->allow();
    const auto second = bucket->allow();
    std::printf("%s %s %s\n", tokenbucket::library_version_string(), name(first.status()), name(second.status()));
    return first && second.status() == tokenbucket::Status::denied ? 0 : 2;
}
