/* SPDX-License-Identifier: Apache-2.0 */
/* Names and sentences of result codes. */
#include <troupe/core/error.h>

#include "t.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

T_TEST(error, success_of_any_size_is_ok) {
    T_CHECK_STR(tr_err_name(0), "OK");
    T_CHECK_STR(tr_err_name(17), "OK");
    T_CHECK_STR(tr_err_name(INT_MAX), "OK");
    T_CHECK_STR(tr_err_text(0), "success");
}

T_TEST(error, our_own_have_name_and_sentence) {
#define CHECK_ONE(name, number, text)        \
    T_CHECK_STR(tr_err_name(name), #name);   \
    T_CHECK_STR(tr_err_name(number), #name); \
    T_CHECK_STR(tr_err_text(number), text);
    TR_ERROR_MAP(CHECK_ONE)
#undef CHECK_ONE
}

/* Numbers are never used again, and each layer stays in its range. */
T_TEST(error, our_own_numbers_are_distinct_and_in_range) {
    static const int numbers[] = {
#define NUMBER_OF(name, number, text) number,
        TR_ERROR_MAP(NUMBER_OF)
#undef NUMBER_OF
    };
    size_t count = sizeof numbers / sizeof numbers[0];
    for (size_t i = 0; i < count; i++) {
        T_CHECK(numbers[i] <= -4001);
        T_CHECK(numbers[i] > -4300);
        for (size_t j = 0; j < i; j++) {
            T_CHECK(numbers[i] != numbers[j]);
        }
    }
}

T_TEST(error, a_sentence_has_no_full_stop_and_no_capital) {
#define CHECK_ONE(name, number, text)       \
    T_CHECK(text[strlen(text) - 1] != '.'); \
    T_CHECK(strchr(text, '\n') == NULL);    \
    T_CHECK(text[0] >= 'a' && text[0] <= 'z');
    TR_ERROR_MAP(CHECK_ONE)
#undef CHECK_ONE
}

T_TEST(error, the_systems_have_their_usual_names) {
    T_CHECK_STR(tr_err_name(-ECONNREFUSED), "ECONNREFUSED");
    T_CHECK_STR(tr_err_name(-ETIMEDOUT), "ETIMEDOUT");
    T_CHECK_STR(tr_err_name(-ENOENT), "ENOENT");
    T_CHECK_STR(tr_err_text(-ENOENT), "No such file or directory");
}

T_TEST(error, a_cancellation_is_not_the_systems) {
    T_CHECK(TR_ECANCELLED != -ECANCELED);
    T_CHECK(TR_ETIMEOUT != -ETIMEDOUT);
}

T_TEST(error, unknown_numbers_have_a_name_too) {
    static const int unknown[] = {-3999, -4000, -4999, -100000, INT_MIN, INT_MIN + 1};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        T_CHECK_STR(tr_err_name(unknown[i]), "E?");
        T_CHECK_STR(tr_err_text(unknown[i]), "unknown error");
    }
}
