/* SPDX-License-Identifier: Apache-2.0 */
/* A package name is part of a type's identity; it is set before the first include. */
#define TR_PACKAGE "tests.actors"
#include <troupe/actors.h>

#include "t.h"

TR_MESSAGE(tmp_packed, (1, uint32, n));

T_TEST(message, a_package_is_part_of_the_identity) {
    struct tr_type bare = tri_type_tmp_packed;
    bare.package = "";
    T_CHECK_STR(tri_type_tmp_packed.package, "tests.actors");
    T_CHECK(tr_type_id(&tri_type_tmp_packed) != tr_type_id(&bare));
    bare.name = "tests.actors.tmp_packed";
    T_CHECK(tr_type_id(&tri_type_tmp_packed) == tr_type_id(&bare));
}
