#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Signed messages as dnspython makes them, for zonedb_tsig_test.c.

usage: tsig_vectors.py > tsig_vectors.h
       tsig_vectors.py --check tsig_vectors.h     0 it is what would be written; 77 no dnspython
"""
import sys
from unittest import mock

try:
    import dns.message
    import dns.name
    import dns.rrset
    import dns.tsig
except ImportError:
    print("dnspython is not installed")
    sys.exit(77)

TIME = 1700000000
ALGORITHMS = ("SHA1", "SHA256", "SHA384", "SHA512", "SHA256_128", "SHA384_192", "SHA512_256")


def hexadecimal(octets):
    lines = [octets[i:i + 40].hex() for i in range(0, len(octets), 40)]
    return "\n".join(f'     "{line}"' for line in lines)


def vector(key_name, algorithm, secret, other=b"", original_id=None):
    """A signed request, and the response signed at the same time."""
    key = dns.tsig.Key(key_name, secret, getattr(dns.tsig, "HMAC_" + algorithm))
    with mock.patch("time.time", return_value=float(TIME)):
        request = dns.message.make_query("www.Example.", "A", use_edns=0, payload=1232)
        request.id = 0x1234
        request.use_tsig({key.name: key}, keyname=key.name, original_id=original_id,
                         other_data=other)
        request_wire = request.to_wire()
        response = dns.message.make_response(request)
        response.answer.append(dns.rrset.from_text("www.Example.", 60, "IN", "A", "192.0.2.1"))
        response.use_tsig({key.name: key}, keyname=key.name)
        response.request_mac = request.mac
        response_wire = response.to_wire()
    text = "".join(f"\\x{octet:02x}" for octet in dns.name.from_text(key_name).to_wire())
    return (f'    {{(const uint8_t *)"{text}", TSIG_HMAC_{algorithm},\n     "{secret.hex()}",\n'
            f"{hexadecimal(request_wire)},\n{hexadecimal(response_wire)}}},\n")


def header():
    yield ("/* SPDX-License-Identifier: BSD-2-Clause\n *\n"
           " * Signed by dnspython; made by tsig_vectors.py.\n */\n"
           f"#define VECTOR_TIME_S {TIME}\n\n/* clang-format off */\n"
           "static const struct {\n    const uint8_t *name;\n    enum tsig_algorithm algorithm;\n"
           "    const char *secret, *request, *response;\n} vectors[] = {\n")
    for algorithm in ALGORITHMS:
        yield vector("key.example.", algorithm, bytes(range(32)))
    # Shorter and longer than a block of any hash.
    yield vector("k.", "SHA256", b"s")
    yield vector("k.", "SHA512", bytes(200))
    # The key that everybody knows, with a nonce.
    yield vector(".", "SHA256", bytes(32), other=b"NonceOf8")
    # Forwarded under another ID.
    yield vector("key.example.", "SHA256", bytes(range(32)), original_id=0x4321)
    yield "};\n/* clang-format on */\n"


def main():
    text = "".join(header())
    if sys.argv[1:2] != ["--check"]:
        sys.stdout.write(text)
        return 0
    with open(sys.argv[2], encoding="utf-8") as committed:
        if committed.read() == text:
            return 0
    print("the vectors are not what this dnspython makes")
    return 1


sys.exit(main())
