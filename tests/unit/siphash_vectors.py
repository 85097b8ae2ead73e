# Prints siphash_vectors.inc: SipHash-1-3 by its definition (Aumasson and Bernstein 2012), in Python's integers. Where
# Python's own hash of bytes is SipHash-1-3 it is held against that, whose key is 0 with PYTHONHASHSEED=0.
import sys

WORD = 2**64


def rotated(x, bits):
    return (x << bits | x >> (64 - bits)) % WORD


def sip_round(v):
    a, b, c, d = v
    a, c = (a + b) % WORD, (c + d) % WORD
    b, d = rotated(b, 13) ^ a, rotated(d, 16) ^ c
    a, c = (rotated(a, 32) + d) % WORD, (c + b) % WORD
    b, d = rotated(b, 17) ^ c, rotated(d, 21) ^ a
    return a, b, rotated(c, 32), d


def siphash13(key, message):
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    start = [int.from_bytes(b"somepseudorandomlygeneratedbytes"[i : i + 8], "big") for i in (0, 8, 16, 24)]
    v = tuple(word ^ k for word, k in zip(start, (k0, k1, k0, k1)))
    padded = message + bytes(-(len(message) + 1) % 8) + bytes([len(message) % 256])
    for i in range(0, len(padded), 8):
        word = int.from_bytes(padded[i : i + 8], "little")
        a, b, c, d = sip_round((*v[:3], v[3] ^ word))
        v = (a ^ word, b, c, d)
    v = (v[0], v[1], v[2] ^ 0xFF, v[3])
    for _ in range(3):
        v = sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


if sys.hash_info.algorithm == "siphash13":
    for size in range(1, 64):
        message = bytes(range(size))
        assert siphash13(bytes(16), message) == hash(message) % WORD, "set PYTHONHASHSEED=0"

KEYS = bytes(range(16)), bytes(16), bytes(range(255, 239, -1))
print("// Made by siphash_vectors.py: for each key, the hashes of the bytes 0, 1, 2 ... of the lengths 0 .. 63.")
for key in KEYS:
    words = [int.from_bytes(key[i : i + 8], "little") for i in (0, 8)]
    hashes = [f"0x{siphash13(key, bytes(range(size))):016x}" for size in range(64)]
    print(f"{{{{0x{words[0]:016x}, 0x{words[1]:016x}}},")
    rows = [", ".join(hashes[i : i + 5]) for i in range(0, 64, 5)]
    print(" {" + ",\n  ".join(rows) + "}},")
