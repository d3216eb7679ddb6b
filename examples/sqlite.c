/* sqlite.c - SQLite on a heap of its own, with a cap: what does not fit is SQLITE_NOMEM, and the database is
 * what it was before.
 *
 *     sqlite3_config(SQLITE_CONFIG_MALLOC) --> take, give, resize --> one region of 16 MiB
 */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "guest.h"
#include <xvm/xvm.h>

enum { CAP = 16 << 20 };

/* --- what SQLite asks of an allocator --------------------------------------------------------- */

static xvm_heap *heap; /* its calls have no context */

static void *take(int size)
{
    return xvm_heap_alloc(heap, (size_t)size);
}

static void give(void *block)
{
    xvm_heap_free(heap, block);
}

static void *resize(void *block, int size)
{
    return xvm_heap_realloc(heap, block, (size_t)size);
}

static int size_of(void *block)
{
    return (int)xvm_heap_usable_size(heap, block);
}

/* Blocks are multiples of 16 bytes. */
static int round_size(int size)
{
    return (size + 15) & ~15;
}

static int begin(void *context)
{
    (void)context;
    return SQLITE_OK;
}

static void end(void *context)
{
    (void)context;
}

static const sqlite3_mem_methods on_heap = {take,       give,  resize, size_of,
                                            round_size, begin, end,    NULL};

/* --- a database ------------------------------------------------------------------------------- */

static bool run(sqlite3 *db, const char *sql)
{
    bool done = sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;

    if (!done)
        printf("%s: %s\n", sql, sqlite3_errmsg(db));
    return done;
}

/* Has the first column of the first row this text? */
static bool gives(sqlite3 *db, const char *sql, const char *expected)
{
    sqlite3_stmt *query = NULL;
    bool same = false;

    if (sqlite3_prepare_v2(db, sql, -1, &query, NULL) == SQLITE_OK &&
        sqlite3_step(query) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(query, 0);

        printf("%s: %s\n", sql, text != NULL ? text : "NULL");
        same = text != NULL && strcmp(text, expected) == 0;
    }
    (void)sqlite3_finalize(query);
    return same;
}

/* Inserts rows until one is refused or there are so many; the last answer. */
static int insert(sqlite3 *db, const char *sql, int rows)
{
    sqlite3_stmt *into = NULL;
    int answer = sqlite3_prepare_v2(db, sql, -1, &into, NULL);

    for (int i = 0; answer == SQLITE_OK && i < rows; i++) {
        (void)sqlite3_bind_int(into, 1, i);
        (void)sqlite3_bind_int(into, 2, i % 100);
        if (sqlite3_step(into) == SQLITE_DONE)
            answer = sqlite3_reset(into);
        else
            answer = sqlite3_reset(into) == SQLITE_OK ? SQLITE_ERROR : sqlite3_errcode(db);
    }
    (void)sqlite3_finalize(into);
    return answer;
}

/* Tables, 30,000 rows, an index, a join. */
static bool fill(sqlite3 *db)
{
    return run(db, "CREATE TABLE groups(id INTEGER PRIMARY KEY, name TEXT)") &&
           run(db, "CREATE TABLE items(id INTEGER PRIMARY KEY, grp INTEGER, text TEXT)") &&
           run(db, "BEGIN") &&
           insert(db, "INSERT INTO groups VALUES(?1, 'group ' || ?2)", 100) == SQLITE_OK &&
           insert(db, "INSERT INTO items VALUES(?1, ?2, 'item ' || ?1)", 30000) == SQLITE_OK &&
           run(db, "COMMIT") && run(db, "CREATE INDEX by_group ON items(grp, text)");
}

static bool is_as_filled(sqlite3 *db)
{
    return gives(db, "SELECT count(*) FROM items", "30000") &&
           gives(db,
                 "SELECT sum(items.id) FROM items JOIN groups ON grp = groups.id"
                 " WHERE name = 'group 42'",
                 "4497600") &&
           gives(db, "SELECT text FROM items ORDER BY length(text) DESC, text LIMIT 1",
                 "item 10000") &&
           gives(db, "PRAGMA integrity_check", "ok");
}

/* Inserts until memory is out. SQLite may have gone back by itself. */
static bool overfill(sqlite3 *db)
{
    int answer;

    if (!run(db, "BEGIN"))
        return false;
    answer = insert(db, "INSERT INTO items VALUES(1000000 + ?1, ?2, hex(zeroblob(100)))", 10000000);
    printf("at the cap: %s\n", sqlite3_errstr(answer));
    return answer == SQLITE_NOMEM && (sqlite3_get_autocommit(db) != 0 || run(db, "ROLLBACK"));
}

/* Twice: what was refused once leaves room for as much. */
static bool use(sqlite3 *db)
{
    return fill(db) && is_as_filled(db) && overfill(db) && is_as_filled(db) && overfill(db) &&
           is_as_filled(db) && run(db, "DELETE FROM items") && run(db, "DROP TABLE groups") &&
           gives(db, "PRAGMA integrity_check", "ok");
}

static bool use_database(void)
{
    sqlite3 *db = NULL;
    bool done = sqlite3_open(":memory:", &db) == SQLITE_OK && use(db);

    return sqlite3_close(db) == SQLITE_OK && done;
}

/* --- the heap --------------------------------------------------------------------------------- */

int main(void)
{
    bool done;

    if (xvm_heap_create(&heap, &(xvm_heap_options){.max_size = CAP, .name = "sqlite"}) != XVM_OK)
        return 1;
    done = sqlite3_config(SQLITE_CONFIG_MALLOC, &on_heap) == SQLITE_OK &&
           sqlite3_initialize() == SQLITE_OK && use_database();
    done = sqlite3_shutdown() == SQLITE_OK && done;
    done = guest_left(heap) && done;
    xvm_heap_destroy(heap);
    return done ? 0 : 1;
}
