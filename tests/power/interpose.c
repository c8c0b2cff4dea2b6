/* Stands between a process and its disk: loaded by LD_PRELOAD, it writes down, in order and with its data, all that the
 * process does to the files below one folder, and lets it fail on demand. What a disk holds after a power cut is then worked
 * out from what was written down (disk.rs).
 *
 *   POWER_ROOT     the folder, absolute and without symbolic links
 *   POWER_TAPE     where the record goes; appended, one record a write
 *   POWER_ACKS     a file: what is written to it goes into the record, in its place among the operations
 *   POWER_KILL     after so many operations the process is killed
 *   POWER_SWALLOW  `fdatasync`, `fsync` or `directory`: such calls say that they succeeded and do nothing; the tests' test
 *   POWER_CONTROL  a file that says what fails, read before each operation: "epoch from upto errno what short"; of the
 *                  operations since `epoch` changed that are of a kind in `what`, those numbered [from, upto) fail. With
 *                  `short` the first of them, if it is a write, writes half. POWER_CONTROL.out gets how many there were
 *                  and how many failed, two u64.
 *
 * All calls are made by number, so that nothing of the C library's own goes past unseen; what would (copy_file_range, a
 * shared writable mapping) is refused. Calls that the program makes by number itself are not seen: the tests compare the
 * replayed record with the real folder. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { CREATE = 1, MKDIR, WRITE, TRUNCATE, RENAME, LINK, UNLINK, RMDIR, SYNC_BEGIN, SYNC_END, ACK, FAULT };
/* What fails: operations that need room, syncs, all others that change something. */
enum what { ROOM = 1, SYNCS = 2, REST = 4 };

struct head {
    uint32_t kind, length1, length2, result;
    uint64_t inode, number, octets;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char root[PATH_MAX], acks[PATH_MAX];
static const char *swallow = "", *control;
static size_t root_length;
static int tape = -1, out = -1;
static dev_t device;
static uint64_t syncs, acks_inode;
static long kill_at;

/* Inodes below the folder, by open addressing; 0 is free, 1 was removed. */
static uint64_t *known;
static size_t slots, used;

static uint64_t *slot(uint64_t inode) {
    size_t at = (inode * 0x9e3779b97f4a7c15u) >> 20;
    uint64_t *removed = NULL;
    for (;; at++) {
        uint64_t *here = &known[at % slots];
        if (*here == inode) return here;
        if (*here == 1 && !removed) removed = here;
        if (*here == 0) return removed ? removed : here;
    }
}

static void learn(uint64_t inode) {
    if (used * 2 >= slots) {
        uint64_t *old = known;
        size_t count = slots;
        slots = slots ? slots * 2 : 1024;
        known = calloc(slots, sizeof *known);
        used = 0;
        for (size_t i = 0; i < count; i++)
            if (old[i] > 1) *slot(old[i]) = old[i], used++;
        free(old);
    }
    uint64_t *here = slot(inode);
    if (*here != inode) *here = inode, used++;
}

static void forget(uint64_t inode) {
    if (!slots) return;
    uint64_t *here = slot(inode);
    if (*here == inode) *here = 1;
}

static void begin(void) {
    const char *path = getenv("POWER_ROOT"), *to = getenv("POWER_TAPE"), *word;
    struct stat stat;
    if (!path || strlen(path) >= sizeof root) return;
    if (syscall(SYS_newfstatat, AT_FDCWD, path, &stat, 0)) return;
    strcpy(root, path);
    root_length = strlen(root);
    device = stat.st_dev;
    if ((word = getenv("POWER_ACKS")) && strlen(word) < sizeof acks) strcpy(acks, word);
    if ((word = getenv("POWER_SWALLOW"))) swallow = word;
    if ((word = getenv("POWER_KILL"))) kill_at = atol(word);
    /* A tape may go on where another process left it. */
    syncs = (uint64_t)getpid() << 32;
    if (to) tape = syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if ((control = getenv("POWER_CONTROL"))) {
        char name[PATH_MAX];
        snprintf(name, sizeof name, "%s.out", control);
        out = syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    }
}

static void enter(void) {
    pthread_once(&once, begin);
    pthread_mutex_lock(&lock);
}

static long leave(long result) {
    int saved = errno;
    pthread_mutex_unlock(&lock);
    errno = saved;
    return result;
}

static void put(struct head head, const void *first, const void *second) {
    int saved = errno;
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)first, head.length1}, {(void *)second, head.length2}};
    size_t whole = sizeof head + head.length1 + head.length2;
    if (tape >= 0 && syscall(SYS_writev, tape, parts, 3) != (long)whole) {
        static const char message[] = "the record of a power-cut test cannot be written\n";
        syscall(SYS_write, 2, message, sizeof message - 1);
        abort();
    }
    static long records;
    if (kill_at && ++records == kill_at) kill(getpid(), SIGKILL);
    errno = saved;
}

static void put_path(enum kind kind, const char *path, const char *other, uint64_t inode) {
    struct head head = {.kind = kind, .length1 = strlen(path), .length2 = other ? strlen(other) : 0, .inode = inode};
    put(head, path, other);
}

/* Whether an operation of this kind is to fail: the error number, -1 for half a write, 0 to go on. */
static int fails(enum what kind, int is_write) {
    static long long epoch = -1;
    static uint64_t counts[2];
    char text[128];
    long long now, from, upto;
    int number, what, half;
    if (!control) return 0;
    int from_file = syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC, 0);
    if (from_file < 0) return 0;
    long length = syscall(SYS_pread64, from_file, text, sizeof text - 1, 0L);
    syscall(SYS_close, from_file);
    if (length <= 0) return 0;
    text[length] = 0;
    if (sscanf(text, "%lld %lld %lld %d %d %d", &now, &from, &upto, &number, &what, &half) != 6) return 0;
    if (now != epoch) epoch = now, counts[0] = counts[1] = 0;
    if (!(what & kind)) return 0;
    long long at = counts[0]++;
    int hit = at >= from && at < upto;
    counts[1] += hit;
    syscall(SYS_pwrite64, out, counts, sizeof counts, 0L);
    if (!hit) return 0;
    put((struct head){.kind = FAULT, .result = number, .number = kind}, NULL, NULL);
    if (half && is_write && at == from) return -1;
    errno = number;
    return number;
}

/* The path as an absolute one; NULL when it is not below the folder, "" for the folder itself. */
static const char *below(int dir, const char *path, char *whole) {
    if (!root_length || !path) return NULL;
    if (path[0] == '/') {
        if (strlen(path) >= PATH_MAX) return NULL;
        strcpy(whole, path);
    } else {
        char link[64];
        long length;
        if (dir == AT_FDCWD) strcpy(link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        length = syscall(SYS_readlinkat, AT_FDCWD, link, whole, (size_t)PATH_MAX - 1);
        if (length <= 0 || length + strlen(path) + 2 > PATH_MAX) return NULL;
        whole[length] = '/';
        strcpy(whole + length + 1, path);
    }
    size_t length = strlen(whole);
    while (length > 1 && whole[length - 1] == '/') whole[--length] = 0;
    if (strncmp(whole, root, root_length)) return NULL;
    if (!whole[root_length]) return whole + root_length;
    return whole[root_length] == '/' ? whole + root_length + 1 : NULL;
}

static int look(int dir, const char *path, struct stat *stat) {
    int saved = errno;
    int result = syscall(SYS_newfstatat, dir, path, stat, AT_SYMLINK_NOFOLLOW);
    errno = saved;
    return result;
}

/* Whether a descriptor is of a file below the folder. */
static int ours(int fd, struct stat *stat) {
    int saved = errno;
    int found = slots && !syscall(SYS_fstat, fd, stat) && stat->st_dev == device && (S_ISREG(stat->st_mode) || S_ISDIR(stat->st_mode)) &&
                *slot(stat->st_ino) == stat->st_ino;
    errno = saved;
    return found;
}

static long do_open(int dir, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    struct stat stat;
    enter();
    const char *name = below(dir, path, whole);
    int existed = !look(dir, path, &stat);
    int changes = (flags & O_CREAT && !existed) || (flags & O_TRUNC && existed) || (flags & O_ACCMODE) != O_RDONLY;
    if (name && changes && fails(flags & O_CREAT && !existed ? ROOM : REST, 0)) return leave(-1);
    long fd = syscall(SYS_openat, dir, path, flags, mode);
    if (fd >= 0 && !syscall(SYS_fstat, (int)fd, &stat)) {
        if (name && stat.st_dev == device) {
            learn(stat.st_ino);
            if (flags & O_CREAT && !existed) put_path(CREATE, name, NULL, stat.st_ino);
            else if (flags & O_TRUNC) put((struct head){.kind = TRUNCATE, .inode = stat.st_ino}, NULL, NULL);
        } else if (stat.st_dev == device) {
            forget(stat.st_ino);
        }
        if (acks[0] && !strcmp(path, acks)) acks_inode = stat.st_ino;
    }
    return leave(fd);
}

#define OPEN(name, params, dir)                                \
    int name params {                                          \
        mode_t mode = 0;                                       \
        if (flags & (O_CREAT | O_TMPFILE)) {                   \
            va_list more;                                      \
            va_start(more, flags);                             \
            mode = va_arg(more, mode_t);                       \
            va_end(more);                                      \
        }                                                      \
        return do_open(dir, path, flags, mode);                \
    }
OPEN(open, (const char *path, int flags, ...), AT_FDCWD)
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD)
OPEN(openat, (int dir, const char *path, int flags, ...), dir)
OPEN(openat64, (int dir, const char *path, int flags, ...), dir)
int creat(const char *path, mode_t mode) { return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

/* All writes: at `offset`, or where the descriptor stands when it is -1. */
static ssize_t do_write(int fd, const struct iovec *parts, int count, off_t offset) {
    struct stat stat;
    enter();
    if (acks_inode && !syscall(SYS_fstat, fd, &stat) && stat.st_ino == acks_inode) {
        for (int i = 0; i < count; i++) put((struct head){.kind = ACK, .length1 = parts[i].iov_len}, parts[i].iov_base, NULL);
    } else if (ours(fd, &stat)) {
        size_t whole = 0;
        for (int i = 0; i < count; i++) whole += parts[i].iov_len;
        int fault = fails(ROOM, 1);
        if (fault > 0) return leave(-1);
        if (fault < 0) whole /= 2;
        /* One buffer: what is on the tape is what was handed over, whatever the caller does with it meanwhile. */
        char *data = malloc(whole ? whole : 1);
        size_t at = 0;
        for (int i = 0; i < count && at < whole; i++) {
            size_t part = parts[i].iov_len < whole - at ? parts[i].iov_len : whole - at;
            memcpy(data + at, parts[i].iov_base, part);
            at += part;
        }
        off_t place = offset;
        if (offset < 0) place = syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND ? stat.st_size : syscall(SYS_lseek, fd, 0L, SEEK_CUR);
        ssize_t done = offset < 0 ? syscall(SYS_write, fd, data, whole) : syscall(SYS_pwrite64, fd, data, whole, offset);
        if (done > 0) put((struct head){.kind = WRITE, .length1 = done, .inode = stat.st_ino, .number = place}, data, NULL);
        int saved = errno;
        free(data);
        errno = saved;
        return leave(done);
    }
    leave(0);
    if (offset < 0) return syscall(SYS_writev, fd, parts, count);
    return syscall(SYS_pwritev, fd, parts, (long)count, (long)offset, 0L);
}

ssize_t write(int fd, const void *data, size_t count) {
    struct iovec part = {(void *)data, count};
    return do_write(fd, &part, 1, -1);
}
ssize_t pwrite(int fd, const void *data, size_t count, off_t offset) {
    struct iovec part = {(void *)data, count};
    return do_write(fd, &part, 1, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t count, off_t offset) { return pwrite(fd, data, count, offset); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return do_write(fd, parts, count, -1); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { return do_write(fd, parts, count, offset); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) { return do_write(fd, parts, count, offset); }

int ftruncate(int fd, off_t length) {
    struct stat stat;
    enter();
    int own = ours(fd, &stat);
    if (own && fails(length > stat.st_size ? ROOM : REST, 0)) return leave(-1);
    long result = syscall(SYS_ftruncate, fd, length);
    if (own && !result) put((struct head){.kind = TRUNCATE, .inode = stat.st_ino, .number = length}, NULL, NULL);
    return leave(result);
}
int ftruncate64(int fd, off_t length) { return ftruncate(fd, length); }

int truncate(const char *path, off_t length) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    int result = ftruncate(fd, length);
    int saved = errno;
    close(fd);
    errno = saved;
    return result;
}
int truncate64(const char *path, off_t length) { return truncate(path, length); }

/* Room that is reserved: a longer file of zeros, which is all that anybody can see of it. */
int fallocate(int fd, int mode, off_t offset, off_t length) {
    struct stat stat;
    enter();
    int own = ours(fd, &stat);
    if (own && mode) return errno = EOPNOTSUPP, leave(-1);
    if (own && fails(ROOM, 0)) return leave(-1);
    long result = syscall(SYS_fallocate, fd, mode, offset, length);
    if (own && !result && offset + length > stat.st_size)
        put((struct head){.kind = TRUNCATE, .inode = stat.st_ino, .number = offset + length}, NULL, NULL);
    return leave(result);
}
int fallocate64(int fd, int mode, off_t offset, off_t length) { return fallocate(fd, mode, offset, length); }
int posix_fallocate(int fd, off_t offset, off_t length) { return fallocate(fd, 0, offset, length) ? errno : 0; }
int posix_fallocate64(int fd, off_t offset, off_t length) { return posix_fallocate(fd, offset, length); }

static int do_rename(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    char whole[2][PATH_MAX];
    enter();
    const char *old = below(from_dir, from, whole[0]), *new = below(to_dir, to, whole[1]);
    if (flags & RENAME_EXCHANGE || !old != !new) return errno = EXDEV, leave(-1);
    if (old && fails(ROOM, 0)) return leave(-1);
    long result = syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
    if (old && !result) put_path(RENAME, old, new, 0);
    return leave(result);
}
int rename(const char *from, const char *to) { return do_rename(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int from_dir, const char *from, int to_dir, const char *to) { return do_rename(from_dir, from, to_dir, to, 0); }
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    return do_rename(from_dir, from, to_dir, to, flags);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
    char whole[PATH_MAX];
    struct stat stat;
    enter();
    const char *name = below(to_dir, to, whole);
    if (name && fails(ROOM, 0)) return leave(-1);
    long result = syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
    if (name && !result && !look(to_dir, to, &stat)) put_path(LINK, name, NULL, stat.st_ino);
    return leave(result);
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int dir, const char *path, int flags) {
    char whole[PATH_MAX];
    enter();
    const char *name = below(dir, path, whole);
    if (name && fails(REST, 0)) return leave(-1);
    long result = syscall(SYS_unlinkat, dir, path, flags);
    if (name && !result) put_path(flags & AT_REMOVEDIR ? RMDIR : UNLINK, name, NULL, 0);
    return leave(result);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int dir, const char *path, mode_t mode) {
    char whole[PATH_MAX];
    struct stat stat;
    enter();
    const char *name = below(dir, path, whole);
    if (name && look(dir, path, &stat) && fails(ROOM, 0)) return leave(-1);
    long result = syscall(SYS_mkdirat, dir, path, mode);
    if (name && !result && !look(dir, path, &stat)) {
        learn(stat.st_ino);
        put_path(MKDIR, name, NULL, stat.st_ino);
    }
    return leave(result);
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* A sync counts for what was done before it began, and from when it ended. */
static int do_sync(int fd, long call, const char *word) {
    struct stat stat;
    enter();
    if (!ours(fd, &stat)) {
        leave(0);
        return syscall(call, fd);
    }
    if (!strcmp(swallow, S_ISDIR(stat.st_mode) ? "directory" : word)) return leave(0);
    uint64_t number = ++syncs;
    put((struct head){.kind = SYNC_BEGIN, .inode = stat.st_ino, .number = number}, NULL, NULL);
    int fault = fails(SYNCS, 0);
    leave(0);
    /* As long as a quick disk takes, also in memory: others go on meanwhile. */
    if (S_ISREG(stat.st_mode)) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    long result = fault ? -1 : syscall(call, fd);
    int saved = fault ? fault : errno;
    enter();
    put((struct head){.kind = SYNC_END, .result = result ? 1 : 0, .inode = stat.st_ino, .number = number}, NULL, NULL);
    errno = saved;
    return leave(result);
}
int fsync(int fd) { return do_sync(fd, SYS_fsync, "fsync"); }
int fdatasync(int fd) { return do_sync(fd, SYS_fdatasync, "fdatasync"); }

/* Promises nothing (sync_file_range(2), "Warning"): it may fail, but it is never written down as a sync. */
int sync_file_range(int fd, off_t offset, off_t count, unsigned flags) {
    struct stat stat;
    enter();
    if (ours(fd, &stat) && fails(SYNCS, 0)) return leave(-1);
    leave(0);
    return syscall(SYS_sync_file_range, fd, offset, count, flags);
}

/* Callers fall back on reading and writing. */
ssize_t copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t count, unsigned flags) {
    struct stat stat;
    enter();
    if (ours(to, &stat)) return errno = ENOSYS, leave(-1);
    leave(0);
    return syscall(SYS_copy_file_range, from, from_at, to, to_at, count, flags);
}
ssize_t sendfile(int to, int from, off_t *offset, size_t count) {
    struct stat stat;
    enter();
    if (ours(to, &stat)) return errno = EINVAL, leave(-1);
    leave(0);
    return syscall(SYS_sendfile, to, from, offset, count);
}
ssize_t sendfile64(int to, int from, off_t *offset, size_t count) { return sendfile(to, from, offset, count); }
ssize_t splice(int from, off_t *from_at, int to, off_t *to_at, size_t count, unsigned flags) {
    struct stat stat;
    enter();
    if (ours(to, &stat)) return errno = EINVAL, leave(-1);
    leave(0);
    return syscall(SYS_splice, from, from_at, to, to_at, count, flags);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    struct stat stat;
    if (fd >= 0 && flags & MAP_SHARED && protection & PROT_WRITE) {
        enter();
        int own = ours(fd, &stat);
        leave(0);
        if (own) return errno = EACCES, MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}
void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    return mmap(address, length, protection, flags, fd, offset);
}
