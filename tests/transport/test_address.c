/* SPDX-License-Identifier: Apache-2.0 */
#include "t.h"

#include "address_internal.h"

static bool allowed(const char *address, enum tri_address_use use) {
    return tri_address_problem(address, strlen(address), use) == NULL;
}

T_TEST(address, loopback_and_ipc_are_allowed) {
    static const char *const good[] = {"tcp://127.0.0.1:1",     "tcp://127.0.0.1:65535",
                                       "tcp://127.255.0.9:700", "tcp://[::1]:8080",
                                       "ipc:///tmp/x",          "ipc:///a"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        T_CHECK(allowed(good[i], TRI_ADDRESS_LISTEN));
        T_CHECK(allowed(good[i], TRI_ADDRESS_DIAL));
    }
}

T_TEST(address, a_free_port_can_be_listened_on_but_not_dialled) {
    T_CHECK(allowed("tcp://127.0.0.1:*", TRI_ADDRESS_LISTEN));
    T_CHECK(allowed("tcp://[::1]:0", TRI_ADDRESS_LISTEN));
    T_CHECK(!allowed("tcp://127.0.0.1:*", TRI_ADDRESS_DIAL));
    T_CHECK(!allowed("tcp://127.0.0.1:0", TRI_ADDRESS_DIAL));
}

T_TEST(address, everything_else_is_refused) {
    static const char *const bad[] = {
        "",
        "tcp://",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:080",
        "tcp://127.0.0.1:-1",
        "tcp://127.0.0.1:1x",
        "tcp://127.0.0.1: 80",
        "tcp://127.1:80", /* not four numbers */
        "tcp://128.0.0.1:80",
        "tcp://0.0.0.0:80",
        "tcp://*:80",
        "tcp://localhost:80", /* a name could be resolved to anything */
        "tcp://eth0:80",
        "tcp://192.168.1.2:80",
        "tcp://127.0.0.1;8.8.8.8:80",
        "tcp://10.0.0.1:80;127.0.0.1:80", /* libzmq's source address syntax */
        "tcp://[::]:80",
        "tcp://[::2]:80",
        "tcp://::1:80",
        "ipc://relative",
        "ipc://@abstract",
        "ipc://*",
        "ipc:///with blank",
        "inproc://x",
        "ws://127.0.0.1:80",
        "pgm://127.0.0.1:80",
        "127.0.0.1:80",
        "TCP://127.0.0.1:80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (allowed(bad[i], TRI_ADDRESS_LISTEN) || allowed(bad[i], TRI_ADDRESS_DIAL)) {
            T_FAIL("'%s' was allowed", bad[i]);
        }
    }
}

T_TEST(address, sizes_are_limited) {
    char text[300];
    memset(text, 'a', sizeof text);
    memcpy(text, "ipc:///", 7);
    T_CHECK(tri_address_problem(text, 6 + 107, TRI_ADDRESS_DIAL) == NULL);
    T_CHECK(tri_address_problem(text, 6 + 108, TRI_ADDRESS_DIAL) != NULL);
    T_CHECK(tri_address_problem(text, sizeof text, TRI_ADDRESS_DIAL) != NULL);
    T_CHECK(tri_address_problem("tcp://127.0.0.1:80\0x", 20, TRI_ADDRESS_DIAL) != NULL);
}

T_TEST(address, node_names) {
    char text[64];
    memset(text, 'a', sizeof text);
    T_CHECK(tri_node_name_is_valid("a", 1));
    T_CHECK(tri_node_name_is_valid("Node-1_x.y", 10));
    T_CHECK(tri_node_name_is_valid(text, 63));
    T_CHECK(!tri_node_name_is_valid(text, 64));
    T_CHECK(!tri_node_name_is_valid("", 0));
    T_CHECK(!tri_node_name_is_valid("a@b", 3));
    T_CHECK(!tri_node_name_is_valid("a b", 3));
    T_CHECK(!tri_node_name_is_valid("a\0b", 3));
    T_CHECK(!tri_node_name_is_valid("\xc3\xa4", 2));
}

T_TEST(address, node_id_is_fnv1a) {
    T_CHECK_INT(tri_node_id("", 0), 0x811c9dc5);
    T_CHECK_INT(tri_node_id("a", 1), 0xe40c292c);
    T_CHECK_INT(tri_node_id("foobar", 6), 0xbf9cf968);
}
