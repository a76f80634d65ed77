/*
 * bodyfile.c: a request body that lies in a file, read at a position of our
 * own.
 *
 * The file's own offset is left alone, except for who asks for the
 * descriptor: copies of it share that offset. Short reads and lines go
 * through a window, long reads do not. Nothing here needs the GIL.
 */
#include "gowsgi.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* gw_body_file_new: take `fd` over. NULL when there is no memory for that;
 * the descriptor is then closed. */
struct gw_body_file *
gw_body_file_new(int fd, int64_t length)
{
    struct gw_body_file *file = PyMem_RawMalloc(sizeof(*file));

    if (file == NULL) {
        close(fd);
        return NULL;
    }
    file->fd = fd;
    file->length = length;
    file->position = 0;
    file->from = 0;
    file->held = 0;
    return file;
}

/* gw_body_file_free: close it; NULL is none. */
void
gw_body_file_free(struct gw_body_file *file)
{
    if (file == NULL)
        return;
    close(file->fd);
    PyMem_RawFree(file);
}

/* gw_body_file_held: how many bytes from `at` on the window holds. */
size_t
gw_body_file_held(const struct gw_body_file *file, int64_t at)
{
    if (at < file->from || at >= file->from + (int64_t)file->held)
        return 0;
    return (size_t)(file->from + (int64_t)file->held - at);
}

/*
 * gw_body_file_fetch: read `size` bytes from `at` on, all of them.
 *
 * returns  0; -1 with errno. EIO when the file ends before: whoever has a
 *          copy of the descriptor can cut it.
 */
int
gw_body_file_fetch(struct gw_body_file *file, char *to, size_t size,
                   int64_t at)
{
    while (size > 0) {
        ssize_t n = pread(file->fd, to, size, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            return -1;
        to += n;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

/* gw_body_file_fill: move the window to `at`, which is before the end of the
 * body. Returns 0, or -1 with errno. */
int
gw_body_file_fill(struct gw_body_file *file, int64_t at)
{
    int64_t left = file->length - at;
    size_t size = left < (int64_t)sizeof(file->window) ? (size_t)left
                                                       : sizeof(file->window);

    file->held = 0;
    if (gw_body_file_fetch(file, file->window, size, at) < 0)
        return -1;
    file->from = at;
    file->held = size;
    return 0;
}
