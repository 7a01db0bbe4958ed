/* SPDX-License-Identifier: BSD-2-Clause
 *
 * answer.h - whatever carries a request, here it gets its answer: from the image of the zones if
 * that has it, else from the database.
 */
#ifndef SERVER_ANSWER_H
#define SERVER_ANSWER_H

#include "zonedb/respond.h"

/* Memory that an image of the zones is in, or will be (zonedb/image.h), for as long as anybody may
 * read it. Others may write it meanwhile: its version is looked at before and after. */
struct answer_image {
    const uint8_t *octets;
    size_t len;
};

/* As respond(), with the same octets. `image`: NULL, there is none. */
size_t answer_request(struct zonedb_view *view, const struct answer_image *image,
                      const struct respond_policy *policy, const struct respond_client *client,
                      const uint8_t *request, size_t request_len, uint8_t *response,
                      size_t response_cap);

#endif
