/* SPDX-License-Identifier: Apache-2.0 */
/*
 * codec_internal.h: messages to MessagePack and back.
 */
#ifndef TRI_CODEC_INTERNAL_H
#define TRI_CODEC_INTERNAL_H

#include "buffer_internal.h"

#include <troupe/actors/message.h>

/* Who we are: references to actors of this process have no node in them until they leave it. */
typedef struct tri_codec {
    uint64_t incarnation; /* (C) */
    uint32_t node;        /* (C) */
    void *zone;           /* (L) scratch memory of a decode; NULL until the first */
} tri_codec;

/* Append a message as a map from field number to value. 0 or -ENOMEM; the buffer may then hold a
 * part of it. */
int tri_codec_encode(const tri_codec *codec, const struct tr_type *type, const void *message,
                     tri_buffer *buffer);
/* Read a message into its struct, of type->size bytes. Strings point into `bytes`.
 * 0, TR_EPROTOCOL or -ENOMEM. */
int tri_codec_decode(tri_codec *codec, const struct tr_type *type, const void *bytes, size_t size,
                     void *ret_message);
void tri_codec_fini(tri_codec *codec);

/* Our own references get our node's number; others stay what they are. */
tr_ref tri_ref_leaving(const tri_codec *codec, tr_ref ref);
/* References to this very incarnation lose it. One to an earlier incarnation stays far: dead. */
tr_ref tri_ref_arriving(const tri_codec *codec, tr_ref ref);

#endif
