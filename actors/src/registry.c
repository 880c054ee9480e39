/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.c: names of actors and identities of message types, for the whole runtime.
 *
 * Both are open-addressing tables under the system's mutex: they are asked seldom. A removed name
 * leaves a hole that the entries behind it are moved into, so that look-ups need no tombstones.
 */
#include "actors_internal.h"

#include <errno.h>
#include <string.h>

/* FNV-1a, 64 bits. */
uint64_t tri_hash(const void *bytes, size_t size) {
    const unsigned char *at = bytes;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ at[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

/* ---- names ------------------------------------------------------------------------------------- */

int tri_name_check(const char *name) {
    size_t size = strnlen(name, TRI_NAME_MAX + 1);
    if (size == 0 || size > TRI_NAME_MAX || memchr(name, '@', size) != NULL) {
        tr_log(TR_LOG_ERROR, "the name '%.64s' is not allowed: expected 1 to %d bytes without '@'",
               name, TRI_NAME_MAX);
        return TR_ENAME;
    }
    return 0;
}

/* The entry of a name, or the free one where it would stand. */
static struct tri_name *name_entry(tri_system *system, const char *name, size_t size) {
    uint64_t hash = tri_hash(name, size);
    size_t mask = system->name_room - 1;
    for (size_t at = hash & mask;; at = (at + 1) & mask) {
        struct tri_name *entry = &system->names[at];
        if (entry->text[0] == '\0' ||
            (entry->hash == hash && strncmp(entry->text, name, size) == 0 &&
             entry->text[size] == '\0')) {
            return entry;
        }
    }
}

static int grow_names(tri_system *system) {
    struct tri_name *old = system->names;
    size_t old_room = system->name_room;
    size_t room = old_room == 0 ? 64 : old_room * 2;
    struct tri_name *names = tri_calloc(room, sizeof *names);
    if (names == NULL) {
        return -ENOMEM;
    }
    system->names = names;
    system->name_room = room;
    for (size_t i = 0; i < old_room; i++) {
        if (old[i].text[0] != '\0') {
            *name_entry(system, old[i].text, strlen(old[i].text)) = old[i];
        }
    }
    tri_free(old);
    return 0;
}

int tri_name_claim(tri_system *system, const char *name, tr_ref ref) {
    int err = 0;
    pthread_mutex_lock(&system->mutex);
    if (system->name_count * 2 >= system->name_room) {
        err = grow_names(system);
    }
    if (err == 0) {
        struct tri_name *entry = name_entry(system, name, strlen(name));
        if (entry->text[0] != '\0') {
            err = TR_ENAME;
        } else {
            *entry = (struct tri_name){.hash = tri_hash(name, strlen(name)), .ref = ref};
            strncpy(entry->text, name, TRI_NAME_MAX);
            system->name_count++;
        }
    }
    pthread_mutex_unlock(&system->mutex);
    return err;
}

static void close_hole(tri_system *system, size_t hole) {
    size_t mask = system->name_room - 1;
    for (size_t at = (hole + 1) & mask; system->names[at].text[0] != '\0'; at = (at + 1) & mask) {
        size_t home = system->names[at].hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            system->names[hole] = system->names[at];
            hole = at;
        }
    }
    system->names[hole].text[0] = '\0';
}

void tri_name_release(tri_system *system, const char *name, tr_ref ref) {
    pthread_mutex_lock(&system->mutex);
    struct tri_name *entry = name_entry(system, name, strlen(name));
    if (entry->text[0] != '\0' && tr_ref_equal(entry->ref, ref)) {
        close_hole(system, (size_t)(entry - system->names));
        system->name_count--;
    }
    pthread_mutex_unlock(&system->mutex);
}

int tri_name_find(tri_system *system, const char *name, size_t size, tr_ref *ret_ref) {
    int err = TR_ENOACTOR;
    pthread_mutex_lock(&system->mutex);
    if (system->name_room > 0) {
        struct tri_name *entry = name_entry(system, name, size);
        if (entry->text[0] != '\0') {
            *ret_ref = entry->ref;
            err = 0;
        }
    }
    pthread_mutex_unlock(&system->mutex);
    return err;
}

int tr_whereis(const char *name, tr_ref *ret_ref) {
    tri_actors *actors = tri_actors_get(tri_loop_here("tr_whereis"));
    if (actors == NULL) {
        return -ENOMEM;
    }
    const char *at = strchr(name, '@');
    size_t size = at != NULL ? (size_t)(at - name) : strlen(name);
    if (size == 0 || size > TRI_NAME_MAX || (at != NULL && at[1] == '\0')) {
        return TR_ENAME;
    }
    if (at == NULL) {
        return tri_name_find(actors->system, name, size, ret_ref);
    }
    tri_remote *remote = tri_system_remote(actors->system);
    return remote == NULL ? TR_ENODE : remote->whereis(remote, name, size, at + 1, ret_ref);
}

/* ---- types -------------------------------------------------------------------------------------- */

uint64_t tr_type_id(const struct tr_type *type) {
    char text[256];
    size_t package = strlen(type->package);
    size_t name = strlen(type->name);
    TRI_USAGE(package + name + 1 < sizeof text, "TR_MESSAGE",
              "package and name together have at most 254 bytes");
    size_t size = 0;
    if (package > 0) {
        memcpy(text, type->package, package);
        text[package] = '.';
        size = package + 1;
    }
    memcpy(text + size, type->name, name);
    return tri_hash(text, size + name);
}

static struct tri_known_type *type_entry(tri_system *system, uint64_t id) {
    size_t mask = system->type_room - 1;
    for (size_t at = id & mask;; at = (at + 1) & mask) {
        struct tri_known_type *entry = &system->types[at];
        if (entry->type == NULL || entry->id == id) {
            return entry;
        }
    }
}

static int grow_types(tri_system *system) {
    struct tri_known_type *old = system->types;
    size_t old_room = system->type_room;
    size_t room = old_room == 0 ? 64 : old_room * 2;
    struct tri_known_type *types = tri_calloc(room, sizeof *types);
    if (types == NULL) {
        return -ENOMEM;
    }
    system->types = types;
    system->type_room = room;
    for (size_t i = 0; i < old_room; i++) {
        if (old[i].type != NULL) {
            *type_entry(system, old[i].id) = old[i];
        }
    }
    tri_free(old);
    return 0;
}

int tri_type_register(tri_system *system, const struct tr_type *type) {
    uint64_t id = tr_type_id(type);
    int err = 0;
    pthread_mutex_lock(&system->mutex);
    if (system->type_count * 2 >= system->type_room) {
        err = grow_types(system);
    }
    if (err == 0) {
        struct tri_known_type *entry = type_entry(system, id);
        if (entry->type == NULL) {
            *entry = (struct tri_known_type){id, type};
            system->type_count++;
        } else if (strcmp(entry->type->name, type->name) != 0 ||
                   strcmp(entry->type->package, type->package) != 0) {
            tr_log(TR_LOG_ERROR, "the types '%s.%s' and '%s.%s' have the same identity: rename one",
                   entry->type->package, entry->type->name, type->package, type->name);
            err = TR_ENAME;
        }
    }
    pthread_mutex_unlock(&system->mutex);
    return err;
}

const struct tr_type *tri_type_find(tri_system *system, uint64_t id) {
    const struct tr_type *type = NULL;
    pthread_mutex_lock(&system->mutex);
    if (system->type_room > 0) {
        type = type_entry(system, id)->type;
    }
    pthread_mutex_unlock(&system->mutex);
    return type;
}

int tri_behaviour_register(tri_system *system, const struct tr_behaviour *behaviour) {
    int err = behaviour->arg_type != NULL ? tri_type_register(system, behaviour->arg_type) : 0;
    for (size_t i = 0; i < behaviour->row_count && err == 0; i++) {
        if (behaviour->rows[i].type != NULL) {
            err = tri_type_register(system, behaviour->rows[i].type);
        }
    }
    return err;
}
