/* SPDX-License-Identifier: BSD-2-Clause
 *
 * template_check.h - whatever templates a view holds, its answers are those without any.
 */
#ifndef TEMPLATE_CHECK_H
#define TEMPLATE_CHECK_H

#include "../must.h"
#include "zonedb/respond.h"
#include "zonedb/view.h"

/* The response that is made from nothing but the database. */
static inline size_t respond_plainly(struct zonedb_view *view, const struct respond_policy *policy,
                                     const struct respond_client *client, const uint8_t *request,
                                     size_t request_len, uint8_t *response, size_t cap)
{
    struct template_cache *templates = view->templates;
    view->templates = NULL;
    size_t len = respond(view, policy, client, request, request_len, response, cap);
    view->templates = templates;
    return len;
}

/* Asked three times: it is noted, then kept, then taken from the template. */
static inline bool templates_agree(struct zonedb_view *view, const struct respond_policy *policy,
                                   const struct respond_client *client, const uint8_t *request,
                                   size_t request_len, size_t cap)
{
    static uint8_t plain[RESPOND_MESSAGE_MAX], response[RESPOND_MESSAGE_MAX];
    size_t len = respond_plainly(view, policy, client, request, request_len, plain, cap);
    for (unsigned i = 0; i < 3; i++)
        if (respond(view, policy, client, request, request_len, response, cap) != len ||
            memcmp(response, plain, len) != 0)
            return false;
    return true;
}

#endif
