#!/usr/bin/env bash
# Holds tb_address_key against Python's ipaddress, for texts that are addresses and for those that are nearly so.
set -euo pipefail

command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
python3 - "$TB_BUILD/libtokenbucket.so" <<'PYTHON'
import ctypes
import ipaddress
import random
import re
import sys

if sys.version_info < (3, 9, 5):
    print("skipped: an older python3 reads zeros before a number")
    sys.exit(77)
random.seed(1)
library = ctypes.CDLL(sys.argv[1])
library.tb_address_key.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int32, ctypes.c_char_p, ctypes.POINTER(ctypes.c_size_t)]


def found(text, prefix):
    key, size = ctypes.create_string_buffer(16), ctypes.c_size_t()
    encoded = text.encode()
    status = library.tb_address_key(encoded, len(encoded), prefix, key, ctypes.byref(size))
    return key.raw[: size.value] if status == 0 else None


def expected(text, prefix):
    port = None
    if match := re.fullmatch(r"\[([^]]*:[^]]*)\](?::(.*))?", text, re.S):
        text, port = match.groups()
    elif text.count(":") == 1:
        text, port = text.split(":")
    if port is not None and not (re.fullmatch("[0-9]{1,5}", port) and int(port) < 2**16):
        return None
    text, percent, zone = text.partition("%")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if percent and (not zone or address.version == 4):
        return None
    address = getattr(address, "ipv4_mapped", None) or address
    if address.version == 4:
        return address.packed
    return ipaddress.ip_network((address, prefix), strict=False).network_address.packed


def address():
    if random.random() < 0.3:
        return ".".join(str(random.choice([0, 1, 9, 10, 99, 100, 255, 256, random.randrange(300)])) for _ in range(random.choice([4, 4, 4, 4, 3, 5])))
    groups = [f"{random.choice([0, 1, 0xFFFF, random.getrandbits(16)]):{random.choice(['x', 'X', '04x'])}}" for _ in range(random.choice([8, 8, 8, 7, 9, 2]))]
    if random.random() < 0.2:
        groups[-2:] = ["192.0.2.128"]
    if random.random() < 0.6:
        first, last = sorted(random.randrange(len(groups) + 1) for _ in range(2))
        return ":".join(groups[:first]) + "::" + ":".join(groups[last:])
    return random.choice(["", "", "::ffff:", "::"]) + ":".join(groups)


def text():
    t = address()
    if random.random() < 0.1:
        t += random.choice(["%eth0", "%1", "%"])
    if random.random() < 0.3:
        t = f"[{t}]"
    if random.random() < 0.3:
        t += random.choice([":0", ":80", ":65535", ":65536", ":", ":http", ":000080"])
    for _ in range(random.choice([0, 0, 0, 1, 2])):
        at = random.randrange(len(t) + 1)
        t = t[:at] + random.choice(["", *"0159afAFg:.[]% -+_"]) + t[at + random.randrange(2) :]
    return t


count, valid = 200000, 0
for _ in range(count):
    t, prefix = text(), random.choice([0, 1, 48, 56, 64, 127, 128, random.randrange(129)])
    right = expected(t, prefix)
    valid += right is not None
    if found(t, prefix) != right:
        sys.exit(f"{t!r} with prefix {prefix} is {found(t, prefix)}, not {right}")
if not count / 5 < valid < count * 4 / 5:
    sys.exit(f"{valid} of {count} texts are addresses")
print(f"{count} texts, of which {valid} are addresses, have the keys that Python says")
PYTHON
