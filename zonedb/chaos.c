/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/answer.h"

#define TXT_LEN_MAX 255

static const uint8_t version_bind[] = "\7version\4bind";
static const uint8_t version_server[] = "\7version\6server";
static const uint8_t hostname_bind[] = "\10hostname\4bind";
static const uint8_t id_server[] = "\2id\6server";

/* The text configured for a name; NULL if the name is none of these or is switched off. */
static const char *chaos_text(const struct respond_policy *policy, const uint8_t *name)
{
    if (name_equal(name, version_bind) || name_equal(name, version_server))
        return policy->chaos_version;
    if (name_equal(name, hostname_bind) || name_equal(name, id_server))
        return policy->chaos_id;
    return NULL;
}

enum rcode chaos_answer(struct answer *a)
{
    const struct query *query = a->query;
    const char *text = chaos_text(a->policy, query->qname);
    if (text == NULL)
        return RCODE_REFUSED;
    a->response->flags |= FLAG_AA;
    if (query->qtype != RR_TXT && query->qtype != RR_ANY)
        return RCODE_NOERROR;
    uint8_t rdata[2 + 1 + TXT_LEN_MAX];
    size_t len = strlen(text);
    if (len > TXT_LEN_MAX)
        len = TXT_LEN_MAX;
    store_be16(rdata, (uint16_t)(1 + len));
    rdata[2] = (uint8_t)len;
    memcpy(rdata + 3, text, len);
    struct zonedb_rrset rrset = {RR_TXT, 1, 0, rdata, (uint32_t)(3 + len)};
    response_add(a->response, SECTION_ANSWER, (struct owner){query->qname, HEADER_LEN}, &rrset,
                 TTL_AS_STORED);
    return RCODE_NOERROR;
}
