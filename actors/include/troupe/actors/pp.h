/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file pp.h
 * Preprocessor tools behind the declaration macros. Nothing here is for users.
 */
#ifndef TROUPE_ACTORS_PP_H
#define TROUPE_ACTORS_PP_H

/* clang-format off */
#define TRI_CAT(a, b)   TRI_CAT_(a, b)
#define TRI_CAT_(a, b)  a##b
#define TRI_STRIP(...)  __VA_ARGS__

/* How many arguments, 1 to 34. */
#define TRI_COUNT(...) TRI_COUNT_(__VA_ARGS__, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, \
    21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define TRI_COUNT_(_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, _13, _14, _15, _16, _17, _18,\
    _19, _20, _21, _22, _23, _24, _25, _26, _27, _28, _29, _30, _31, _32, _33, _34, n, ...) n

/* ONE for one argument, MANY for 2 to 34. */
#define TRI_ONE_OR_MANY(...) TRI_COUNT_(__VA_ARGS__, MANY, MANY, MANY, MANY, MANY, MANY, MANY,     \
    MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY,\
    MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, MANY, ONE, ~)

/* m(c, x) for each of the arguments, 1 to 34 of them. */
#define TRI_EACH(m, c, ...) TRI_CAT(TRI_EACH_, TRI_COUNT(__VA_ARGS__))(m, c, __VA_ARGS__)
#define TRI_EACH_1(m, c, x) m(c, x)
#define TRI_EACH_2(m, c, x, ...) m(c, x) TRI_EACH_1(m, c, __VA_ARGS__)
#define TRI_EACH_3(m, c, x, ...) m(c, x) TRI_EACH_2(m, c, __VA_ARGS__)
#define TRI_EACH_4(m, c, x, ...) m(c, x) TRI_EACH_3(m, c, __VA_ARGS__)
#define TRI_EACH_5(m, c, x, ...) m(c, x) TRI_EACH_4(m, c, __VA_ARGS__)
#define TRI_EACH_6(m, c, x, ...) m(c, x) TRI_EACH_5(m, c, __VA_ARGS__)
#define TRI_EACH_7(m, c, x, ...) m(c, x) TRI_EACH_6(m, c, __VA_ARGS__)
#define TRI_EACH_8(m, c, x, ...) m(c, x) TRI_EACH_7(m, c, __VA_ARGS__)
#define TRI_EACH_9(m, c, x, ...) m(c, x) TRI_EACH_8(m, c, __VA_ARGS__)
#define TRI_EACH_10(m, c, x, ...) m(c, x) TRI_EACH_9(m, c, __VA_ARGS__)
#define TRI_EACH_11(m, c, x, ...) m(c, x) TRI_EACH_10(m, c, __VA_ARGS__)
#define TRI_EACH_12(m, c, x, ...) m(c, x) TRI_EACH_11(m, c, __VA_ARGS__)
#define TRI_EACH_13(m, c, x, ...) m(c, x) TRI_EACH_12(m, c, __VA_ARGS__)
#define TRI_EACH_14(m, c, x, ...) m(c, x) TRI_EACH_13(m, c, __VA_ARGS__)
#define TRI_EACH_15(m, c, x, ...) m(c, x) TRI_EACH_14(m, c, __VA_ARGS__)
#define TRI_EACH_16(m, c, x, ...) m(c, x) TRI_EACH_15(m, c, __VA_ARGS__)
#define TRI_EACH_17(m, c, x, ...) m(c, x) TRI_EACH_16(m, c, __VA_ARGS__)
#define TRI_EACH_18(m, c, x, ...) m(c, x) TRI_EACH_17(m, c, __VA_ARGS__)
#define TRI_EACH_19(m, c, x, ...) m(c, x) TRI_EACH_18(m, c, __VA_ARGS__)
#define TRI_EACH_20(m, c, x, ...) m(c, x) TRI_EACH_19(m, c, __VA_ARGS__)
#define TRI_EACH_21(m, c, x, ...) m(c, x) TRI_EACH_20(m, c, __VA_ARGS__)
#define TRI_EACH_22(m, c, x, ...) m(c, x) TRI_EACH_21(m, c, __VA_ARGS__)
#define TRI_EACH_23(m, c, x, ...) m(c, x) TRI_EACH_22(m, c, __VA_ARGS__)
#define TRI_EACH_24(m, c, x, ...) m(c, x) TRI_EACH_23(m, c, __VA_ARGS__)
#define TRI_EACH_25(m, c, x, ...) m(c, x) TRI_EACH_24(m, c, __VA_ARGS__)
#define TRI_EACH_26(m, c, x, ...) m(c, x) TRI_EACH_25(m, c, __VA_ARGS__)
#define TRI_EACH_27(m, c, x, ...) m(c, x) TRI_EACH_26(m, c, __VA_ARGS__)
#define TRI_EACH_28(m, c, x, ...) m(c, x) TRI_EACH_27(m, c, __VA_ARGS__)
#define TRI_EACH_29(m, c, x, ...) m(c, x) TRI_EACH_28(m, c, __VA_ARGS__)
#define TRI_EACH_30(m, c, x, ...) m(c, x) TRI_EACH_29(m, c, __VA_ARGS__)
#define TRI_EACH_31(m, c, x, ...) m(c, x) TRI_EACH_30(m, c, __VA_ARGS__)
#define TRI_EACH_32(m, c, x, ...) m(c, x) TRI_EACH_31(m, c, __VA_ARGS__)
#define TRI_EACH_33(m, c, x, ...) m(c, x) TRI_EACH_32(m, c, __VA_ARGS__)
#define TRI_EACH_34(m, c, x, ...) m(c, x) TRI_EACH_33(m, c, __VA_ARGS__)
/* clang-format on */

#ifdef __cplusplus
#define TRI_STATIC_ASSERT(cond, text) static_assert(cond, text)
/* One definition for the whole program, in every file that includes the declaration. */
#define TRI_SHARED_CONST extern inline const __attribute__((visibility("default")))
#else
#define TRI_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#define TRI_SHARED_CONST              const __attribute__((weak, visibility("default")))
#endif

#endif /* TROUPE_ACTORS_PP_H */
