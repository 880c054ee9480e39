/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address.c: names of nodes, and the addresses that are allowed.
 *
 * Links are neither encrypted nor authenticated yet, so an address must not leave the machine. It
 * is checked as text, before libzmq sees it: libzmq resolves host names and interface names.
 */
#include "address_internal.h"

#include <arpa/inet.h>
#include <sys/un.h>

bool tri_node_name_is_valid(const char *name, size_t size) {
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    if (size == 0 || size > TRI_NODE_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (name[i] == 0 || strchr(allowed, name[i]) == NULL) {
            return false;
        }
    }
    return true;
}

uint32_t tri_node_id(const char *name, size_t size) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    }
    return hash;
}

/* 1 to 65535 without leading zeros; to listen also 0 and "*". */
static bool is_port(const char *text, enum tri_address_use use) {
    unsigned long port = 0;
    size_t digits = strlen(text);
    if (use == TRI_ADDRESS_LISTEN && (strcmp(text, "*") == 0 || strcmp(text, "0") == 0)) {
        return true;
    }
    if (digits == 0 || digits > 5 || text[0] == '0') {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        port = port * 10 + (unsigned long)(text[i] - '0');
    }
    return port <= 65535;
}

static bool is_loopback(const char *host) {
    struct in_addr v4;
    if (strcmp(host, "[::1]") == 0) {
        return true;
    }
    return inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

/* What follows "tcp://"; may be written to. */
static const char *tcp_problem(char *rest, enum tri_address_use use) {
    char *colon = strrchr(rest, ':');
    if (colon == NULL) {
        return "expected tcp://HOST:PORT";
    }
    *colon = 0;
    if (!is_port(colon + 1, use)) {
        return use == TRI_ADDRESS_LISTEN ? "expected a port of 0 to 65535, or *"
                                         : "expected a port of 1 to 65535";
    }
    return is_loopback(rest) ? NULL
                             : "links are not encrypted yet: expected 127.x.x.x or [::1] as host, "
                               "or ipc:///PATH";
}

const char *tri_address_problem(const char *address, size_t size, enum tri_address_use use) {
    char text[TRI_ADDRESS_MAX + 1];
    if (size == 0 || size > TRI_ADDRESS_MAX) {
        return "expected 1 to 127 bytes";
    }
    memcpy(text, address, size);
    text[size] = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] <= ' ' || text[i] == 0x7f) {
            return "expected no blanks or control bytes";
        }
    }
    if (strncmp(text, "tcp://", 6) == 0) {
        return tcp_problem(text + 6, use);
    }
    if (strncmp(text, "ipc://", 6) == 0) {
        struct sockaddr_un un;
        if (text[6] != '/') {
            return "expected an absolute path: ipc:///PATH";
        }
        return strlen(text + 6) < sizeof un.sun_path ? NULL : "the path is too long for a socket";
    }
    return "expected tcp://127.0.0.1:PORT, tcp://[::1]:PORT or ipc:///PATH";
}
