// Reads lines "op a b" of hexadecimal numbers, or "meaning x" of a double, and prints what tests/model makes of them.
#include <iostream>
#include <string>

#include "tests/model/meaning.h"

using model::Integer;

static Integer read(const std::string &text) {
    const bool negative = text[0] == '-';
    Integer r;
    for (std::size_t i = negative ? 1 : 0; i < text.size(); ++i)
        r = r * Integer(16) + Integer(text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
    return negative ? -r : r;
}

static std::string written(Integer x) {
    if (x < Integer(0)) return "-" + written(-x);
    std::string r;
    do {
        const Integer::Division d = divide(x, 16);
        r.insert(r.begin(), "0123456789abcdef"[d.rest.to_int64()]);
        x = d.floor;
    } while (!x.is_zero());
    return r;
}

int main() {
    for (std::string op, a, b; std::cin >> op >> a;) {
        if (op == "meaning") {
            const model::Rational r = model::rate_meaning(std::stod(a));
            std::cout << written(r.numerator) << " " << written(r.denominator) << "\n";
            continue;
        }
        std::cin >> b;
        const Integer x = read(a);
        const Integer y = read(b);
        if (op == "+") std::cout << written(x + y) << "\n";
        if (op == "-") std::cout << written(x - y) << "\n";
        if (op == "*") std::cout << written(x * y) << "\n";
        if (op == "/") std::cout << written(divide(x, y).floor) << " " << written(divide(x, y).rest) << "\n";
        if (op == "gcd") std::cout << written(gcd(x, y)) << "\n";
        if (op == "<") std::cout << (x < y) << (x == y) << (x > y) << "\n";
    }
}
