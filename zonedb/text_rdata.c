/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/text_rdata.h"
#include "zonedb/name.h"

#include <string.h>

/* Shapes, one letter a field:
 *   1 2 4 8 A   so many octets (A: 16)
 *   N n         uncompressed name; N: in lower case in the canonical form
 *   s h         length octet and so many octets; h: at least one
 *   t           one or more <character-string>s to the end
 *   b           type bitmaps to the end (RFC 4034 4.1.2)
 *   v           SvcParams to the end (RFC 9460 2.2)
 *   * +         anything to the end; +: at least one octet */
static const char *const shapes[] = {
    [1] = "4",          /* A */
    [2] = "N",          /* NS */
    [3] = "N",          /* MD */
    [4] = "N",          /* MF */
    [5] = "N",          /* CNAME */
    [6] = "NN44444",    /* SOA */
    [7] = "N",          /* MB */
    [8] = "N",          /* MG */
    [9] = "N",          /* MR */
    [11] = "41*",       /* WKS */
    [12] = "N",         /* PTR */
    [13] = "ss",        /* HINFO */
    [14] = "NN",        /* MINFO */
    [15] = "2N",        /* MX */
    [16] = "t",         /* TXT */
    [17] = "NN",        /* RP */
    [18] = "2N",        /* AFSDB */
    [19] = "s",         /* X25 */
    [20] = "t",         /* ISDN */
    [21] = "2N",        /* RT */
    [24] = "2114442N+", /* SIG */
    [25] = "211*",      /* KEY */
    [26] = "2NN",       /* PX */
    [28] = "A",         /* AAAA */
    [30] = "N*",        /* NXT */
    [33] = "222N",      /* SRV */
    [35] = "22sssN",    /* NAPTR */
    [36] = "2N",        /* KX */
    [37] = "221*",      /* CERT */
    [39] = "N",         /* DNAME */
    [43] = "211+",      /* DS */
    [44] = "11+",       /* SSHFP */
    [46] = "2114442N+", /* RRSIG */
    [47] = "nb",        /* NSEC */
    [48] = "211+",      /* DNSKEY */
    [49] = "+",         /* DHCID */
    [50] = "112shb",    /* NSEC3 */
    [51] = "112s",      /* NSEC3PARAM */
    [52] = "111+",      /* TLSA */
    [53] = "111+",      /* SMIMEA */
    [59] = "211+",      /* CDS */
    [60] = "211+",      /* CDNSKEY */
    [62] = "42b",       /* CSYNC */
    [63] = "411+",      /* ZONEMD */
    [64] = "2nv",       /* SVCB */
    [65] = "2nv",       /* HTTPS */
    [99] = "t",         /* SPF */
    [104] = "28",       /* NID */
    [105] = "24",       /* L32 */
    [106] = "28",       /* L64 */
    [107] = "2n",       /* LP */
    [108] = "42",       /* EUI48 */
    [109] = "8",        /* EUI64 */
    [256] = "22+",      /* URI */
    [257] = "1h*",      /* CAA */
};

static const char *shape_of(uint16_t type)
{
    return type < sizeof(shapes) / sizeof(shapes[0]) ? shapes[type] : NULL;
}

static bool is_bitmap(const uint8_t *octets, size_t len)
{
    int last_window = -1;

    while (len > 0) {
        if (len < 2 || octets[0] <= last_window || octets[1] < 1 || octets[1] > 32 ||
            octets[1] + 2U > len)
            return false;
        last_window = octets[0];
        len -= octets[1] + 2U;
        octets += octets[1] + 2U;
    }
    return true;
}

static bool is_svc_params(const uint8_t *octets, size_t len)
{
    int last_key = -1;

    while (len > 0) {
        if (len < 4)
            return false;
        const int key = octets[0] << 8 | octets[1];
        const size_t param_len = 4U + (size_t)(octets[2] << 8 | octets[3]);
        if (key <= last_key || param_len > len)
            return false;
        last_key = key;
        octets += param_len;
        len -= param_len;
    }
    return true;
}

static bool is_strings(const uint8_t *octets, size_t len)
{
    size_t at = 0;

    while (at < len)
        at += octets[at] + 1U;
    return len > 0 && at == len;
}

/* Length of the field at `field`; SIZE_MAX: malformed. */
static size_t field_len(char shape, const uint8_t *field, size_t available)
{
    switch (shape) {
    case '1':
        return 1;
    case '2':
        return 2;
    case '4':
        return 4;
    case '8':
        return 8;
    case 'A':
        return 16;
    case 'N':
    case 'n': {
        const size_t len = name_len(field, available);
        return len > 0 ? len : SIZE_MAX;
    }
    case 's':
        return available > 0 ? field[0] + 1U : SIZE_MAX;
    case 'h':
        return available > 0 && field[0] > 0 ? field[0] + 1U : SIZE_MAX;
    case 't':
        return is_strings(field, available) ? available : SIZE_MAX;
    case 'b':
        return is_bitmap(field, available) ? available : SIZE_MAX;
    case 'v':
        return is_svc_params(field, available) ? available : SIZE_MAX;
    case '+':
        return available > 0 ? available : SIZE_MAX;
    default:
        return available;
    }
}

bool text_rdata_is_valid(uint16_t type, const uint8_t *rdata, size_t rdata_len)
{
    const char *shape = shape_of(type);
    size_t at = 0;

    if (shape == NULL)
        return true;
    for (; *shape != '\0'; shape++) {
        const size_t len = field_len(*shape, rdata + at, rdata_len - at);
        if (len > rdata_len - at)
            return false;
        at += len;
    }
    return at == rdata_len;
}

bool text_type_is_meta(uint16_t type)
{
    return type == 0 || type == 41 || (type >= 128 && type <= 255);
}

void text_rdata_canonical(uint16_t type, const uint8_t *rdata, size_t rdata_len, uint8_t *out)
{
    const char *shape = shape_of(type);
    size_t at = 0;

    memcpy(out, rdata, rdata_len);
    if (shape == NULL)
        return;
    for (; *shape != '\0' && strchr(shape, 'N') != NULL; shape++) {
        if (*shape == 'N')
            at += name_copy_lower(out + at, rdata + at);
        else
            at += field_len(*shape, rdata + at, rdata_len - at);
    }
}

/* Two names in their canonical form, behind `*at`, which moves behind them if they are equal. */
static int names_compare(const uint8_t *a, const uint8_t *b, size_t *at)
{
    for (;;) {
        const unsigned len = a[*at];
        if (len != b[*at])
            return len < b[*at] ? -1 : 1;
        for (size_t end = ++*at + len; *at < end; ++*at) {
            const uint8_t mine = name_octet_lower(a[*at]), other = name_octet_lower(b[*at]);
            if (mine != other)
                return mine < other ? -1 : 1;
        }
        if (len == 0)
            return 0;
    }
}

/* Each field tells its own end, so that the fields behind equal ones begin at the same place. */
int text_rdata_compare(uint16_t type, const uint8_t *a, size_t a_len, const uint8_t *b,
                       size_t b_len)
{
    const char *shape = shape_of(type);
    const char *last_name = shape == NULL ? NULL : strrchr(shape, 'N');
    const size_t common = a_len < b_len ? a_len : b_len;
    size_t at = 0;
    int order = 0;

    for (; last_name != NULL && shape <= last_name && order == 0; shape++) {
        if (*shape == 'N') {
            order = names_compare(a, b, &at);
        } else {
            const size_t len = field_len(*shape, a + at, a_len - at);
            order = memcmp(a + at, b + at, len < common - at ? len : common - at);
            at += len;
        }
    }
    if (order == 0)
        order = memcmp(a + at, b + at, common - at);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}
