/* core/units is in the common subset of C and C++: this is C, strictly. */
#include <stdio.h>
#include <string.h>

#include "core/units/accrual.h"
#include "core/units/decimal.h"
#include "core/units/wide.h"

static int failures;

static void expect(int holds, const char *what) {
    if (holds) return;
    printf("failed: %s\n", what);
    ++failures;
}

static tbu_binary split(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return tbu_split(bits);
}

int main(void) {
    const tbu_rate third = tbu_rate_make(tbu_make(0, 1), tbu_make(0, 3));
    const tbu_position start = {0, {0, 0}};
    const tbu_wide product = tbu_mul(UINT64_MAX, UINT64_MAX);
    const tbu_wide portable = tbu_mul_portable(UINT64_MAX, UINT64_MAX);
    const tbu_fraction meaning = tbu_meaning(split(1.0 / 3));
    expect(product.hi == UINT64_MAX - 1 && product.lo == 1, "tbu_mul");
    expect(portable.hi == product.hi && portable.lo == product.lo, "tbu_mul_portable");
    expect(tbu_gcd(tbu_make(0, 84), tbu_make(0, 36)).lo == 12, "tbu_gcd");
    expect(tbu_advance(&third, start, 2).units == 0, "tbu_advance before a unit");
    expect(tbu_advance(&third, start, 3).units == 1, "tbu_advance at a unit");
    expect(tbu_time_to(&third, start.fraction, 5) == 15, "tbu_time_to");
    expect(meaning.numerator.lo == 1 && meaning.denominator.lo == 3, "tbu_meaning");
    expect(tbu_to_units(split(0.1), 1000000000, TBU_UP) == 100000000, "tbu_to_units");
    expect(tbu_fraction_to_units(split(0.1), 1000, 3) == 300, "tbu_fraction_to_units");
    return failures != 0;
}
