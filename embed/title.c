/* title.c: the process's name as ps shows it. */
#include "gowsgi.h"

#include <string.h>
#include <sys/prctl.h>

static char *title_room;
static size_t title_size;

/*
 * gw_title_room: where titles are written: the memory of argv[0], which the
 * front made long enough when it started this process. Never freed.
 */
void
gw_title_room(char *room, size_t size)
{
    title_room = room;
    title_size = size;
}

/* gw_title_set: show `title`, cut to the room there is. GIL: not needed. */
void
gw_title_set(const char *title)
{
    size_t length = strlen(title);

    prctl(PR_SET_NAME, "gowsgi", 0, 0, 0);
    if (title_size == 0)
        return;
    if (length > title_size - 1)
        length = title_size - 1;
    memset(title_room, 0, title_size);
    memcpy(title_room, title, length);
}
