/* SPDX-License-Identifier: Apache-2.0 */
/* A program that uses the installed actors layer. */
#include <troupe/actors.h>

#include <stdio.h>
#include <string.h>

static int app(void *arg) {
    printf("%s\n", (const char *)arg);
    return strcmp(tr_err_name(TR_ECANCELLED), "TR_ECANCELLED") == 0 ? 0 : -1;
}

int main(void) {
    static char text[] = "consumer of actors";
    return tr_run(app, text, .loops = 1) == 0 ? 0 : 1;
}
