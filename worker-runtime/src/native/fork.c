// A real fork() inside Node, over N-API only, so that one compiled file serves every Node version of a platform. child/native.ts loads it.
// The worker calls order(), the zygote beZygote() and then serve(), which comes back in the children alone. native-build.ts compiles it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <node_api.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern int uv_loop_fork(void *loop);
extern void uv_update_time(void *loop);

enum { CONTROL = 3, ENDS = 3, FORKED = 48, ENDED = 49 }; // the kinds are those of child/protocol.ts
#define OOM_SCORE_ADJUSTMENT "800"
enum { LOOP_BROKEN = 251, ORPHANED = 252 };

// ---- V8 ----

// V8 marks its mappings MADV_DONTFORK: undo that on every anonymous mapping, or the child has no heap. Once is enough, since no
// JavaScript runs in a zygote that serves. /proc/self/smaps would tell which ones are marked, but walks all page tables.
static int make_heap_forkable(void) {
  static char line[8192];
  FILE *maps = fopen("/proc/self/maps", "re");
  if (!maps) return 0;
  while (fgets(line, sizeof line, maps)) {
    char *rest;
    uintptr_t from = strtoull(line, &rest, 16), to = strtoull(rest + 1, &rest, 16);
    if (!strchr(rest, '/')) madvise((void *)from, to - from, MADV_DOFORK); // files have a path; [vvar] and such refuse
  }
  fclose(maps);
  return 1;
}

static int protection_of(uintptr_t address) {
  FILE *maps = fopen("/proc/self/maps", "re");
  unsigned long from, to;
  char flags[5], line[8192];
  int found = -1;
  while (maps && found < 0 && fgets(line, sizeof line, maps))
    if (sscanf(line, "%lx-%lx %4s", &from, &to, flags) == 3 && from <= address && address < to)
      found = (flags[0] == 'r' ? PROT_READ : 0) | (flags[1] == 'w' ? PROT_WRITE : 0) | (flags[2] == 'x' ? PROT_EXEC : 0);
  if (maps) fclose(maps);
  return found;
}

static int no_workers(void *platform) { return 0; }

// V8 posts a helper task for every young collection since 14.x (Node 26), even with --single-threaded, and a child would wait for a
// thread that it has not. Told that the pool has no threads it posts nothing. The slot of the vtable is found by its value.
static int tell_v8_no_workers(void) {
  void *function = dlsym(RTLD_DEFAULT, "_ZN4node12NodePlatform21NumberOfWorkerThreadsEv");
  void **table = dlsym(RTLD_DEFAULT, "_ZTVN4node12NodePlatformE");
  Dl_info info;
  ElfW(Sym) *symbol = 0;
  if (!function || !table || !dladdr1(table, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol) return 0;
  for (size_t i = 0; i < symbol->st_size / sizeof(void *); i++) {
    if (table[i] != function) continue;
    uintptr_t page = sysconf(_SC_PAGESIZE), start = (uintptr_t)&table[i] & ~(page - 1);
    int before = protection_of(start);
    if (before < 0 || mprotect((void *)start, page, before | PROT_WRITE)) return 0;
    table[i] = (void *)no_workers;
    mprotect((void *)start, page, before);
    return 1;
  }
  return 0;
}

// ---- between worker and zygote ----

static void close_all(const int *ends, int count) {
  for (int i = 0; i < count; i++) if (ends[i] >= 0) close(ends[i]);
}

// One order: its number, and the child's ends of its message channel, stdout and stderr. Returns bytes sent or received.
static ssize_t pass(int control, uint32_t *number, int *ends, int sends) {
  union { char bytes[CMSG_SPACE(ENDS * sizeof(int))]; struct cmsghdr aligned; } extra = {{0}};
  struct iovec data = {number, sizeof *number};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &extra, .msg_controllen = sizeof extra};
  if (sends) {
    *CMSG_FIRSTHDR(&message) = (struct cmsghdr){CMSG_LEN(ENDS * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), ends, ENDS * sizeof(int));
    return sendmsg(control, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  ssize_t got = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
  struct cmsghdr *rights = got > 0 ? CMSG_FIRSTHDR(&message) : 0;
  int count = rights ? (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
  if (count > 0) memcpy(ends, CMSG_DATA(rights), count * sizeof(int)); // fewer when this process may open no more
  return got;
}

// A frame of child/protocol.ts whose header is JSON and whose body is empty. It waits when the worker is behind.
static void say(int kind, const char *format, ...) {
  char frame[512] = {0};
  va_list values;
  va_start(values, format);
  int length = vsnprintf(frame + 5, sizeof frame - 5, format, values);
  va_end(values);
  frame[2] = length >> 8, frame[3] = length, frame[4] = kind;
  for (int sent = 0, now; sent < length + 5; sent += now > 0 ? now : 0)
    if ((now = send(CONTROL, frame + sent, length + 5 - sent, MSG_NOSIGNAL)) < 0) {
      if (errno != EAGAIN && errno != EINTR) _exit(0); // the worker is gone
      poll(&(struct pollfd){.fd = CONTROL, .events = POLLOUT}, 1, -1);
    }
}

// ---- the zygote ----

static int bell = -1;
static void ring(int signal) {
  int before = errno;
  eventfd_write(bell, 1);
  errno = before;
}

static long milliseconds(struct timeval time) { return time.tv_sec * 1000 + (time.tv_usec + 500) / 1000; }

// Everything that ended, the orphans of jobs too. The worker knows which ones are its children.
static void reap(void) {
  int status;
  struct rusage used;
  for (pid_t pid; (pid = wait4(-1, &status, WNOHANG, &used)) > 0;)
    say(ENDED, "{\"pid\":%d,\"%s\":%d,\"usage\":{\"maxRssBytes\":%lld,\"cpuUserMs\":%ld,\"cpuSystemMs\":%ld}}\n", pid,
        WIFSIGNALED(status) ? "signal" : "exitCode", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
        used.ru_maxrss * 1024LL, milliseconds(used.ru_utime), milliseconds(used.ru_stime));
}

// As entry.ts does it in a spawned child; it is cheaper here. Where it is not allowed, nothing is lost.
static void be_the_first_to_go_when_memory_is_short(void) {
  int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  if (write(file, OOM_SCORE_ADJUSTMENT, sizeof OOM_SCORE_ADJUSTMENT - 1) < 0) errno = 0;
  close(file);
}

static void settle_in(pid_t zygote, const int *ends, void *loop) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != zygote) _exit(ORPHANED); // it died before we asked to be told
  setpgid(0, 0);
  dup3(ends[0], CONTROL, O_CLOEXEC);
  dup2(ends[1], STDOUT_FILENO);
  dup2(ends[2], STDERR_FILENO);
  close_all(ends, ENDS);
  be_the_first_to_go_when_memory_is_short();
  if (uv_loop_fork(loop)) _exit(LOOP_BROKEN);
  uv_update_time(loop); // the zygote's loop stood still
}

// The rest of the zygote's life: forks when it is told to, reaps, and ends with the worker. Returns in each child.
static napi_value Serve(napi_env env, napi_callback_info info) {
  struct sigaction before, ringing = {.sa_handler = ring, .sa_flags = SA_RESTART};
  void *loop;
  napi_get_uv_event_loop(env, (struct uv_loop_s **)&loop);
  if ((bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 || !make_heap_forkable()) {
    napi_throw_error(env, 0, "the zygote has no eventfd or no /proc/self/maps");
    return 0;
  }
  sigaction(SIGCHLD, &ringing, &before);
  struct pollfd waits[2] = {{.fd = CONTROL, .events = POLLIN}, {.fd = bell, .events = POLLIN}};
  for (eventfd_t rings;;) {
    if (poll(waits, 2, -1) < 0) continue;
    if (waits[1].revents) eventfd_read(bell, &rings), reap();
    if (!waits[0].revents) continue;
    uint32_t number;
    int ends[ENDS] = {-1, -1, -1};
    ssize_t got = pass(CONTROL, &number, ends, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got != sizeof number) _exit(0); // the worker is gone
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    pid_t zygote = getpid(), pid = ends[ENDS - 1] < 0 ? (errno = EMFILE, -1) : fork();
    int error = errno;
    if (pid == 0) {
      sigaction(SIGCHLD, &before, 0);
      close(bell);
      settle_in(zygote, ends, loop);
      napi_value own;
      napi_create_int32(env, getpid(), &own);
      return own;
    }
    if (pid > 0) setpgid(pid, pid); // here too: the worker may signal the group before the child has run
    clock_gettime(CLOCK_MONOTONIC, &to);
    close_all(ends, ENDS);
    say(FORKED, "{\"order\":%u,\"pid\":%d,\"errno\":%d,\"forkMicros\":%ld}\n", number, pid, pid < 0 ? error : 0,
        (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000);
  }
}

// Dies with the worker, adopts the orphans of jobs. Returns whether V8 was told that it has no helper threads.
static napi_value BeZygote(napi_env env, napi_callback_info info) {
  napi_value told;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  napi_get_boolean(env, tell_v8_no_workers(), &told);
  return told;
}

static int32_t argument(napi_env env, napi_callback_info info, size_t index) {
  size_t count = 2;
  napi_value all[2];
  int32_t value = 0;
  napi_get_cb_info(env, info, &count, all, 0, 0);
  napi_get_value_int32(env, all[index], &value);
  return value;
}

// Never by way of exit(): V8's and Node's tear-down would join threads that a child has not.
static napi_value Exit(napi_env env, napi_callback_info info) { _exit(argument(env, info, 0)); }

// ---- the worker ----

// order(control, number) → [channel, stdout, stderr], the worker's ends; or a negative errno.
static napi_value Order(napi_env env, napi_callback_info info) {
  uint32_t number = argument(env, info, 1);
  int channel[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1}, failed = 0;
  napi_value result, end;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, channel) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) failed = errno;
  int ours[ENDS] = {channel[0], out[0], err[0]}, theirs[ENDS] = {channel[1], out[1], err[1]};
  if (!failed && pass(argument(env, info, 0), &number, theirs, 1) != sizeof number) failed = errno ? errno : EIO;
  close_all(theirs, ENDS);
  if (failed) close_all(ours, ENDS);
  napi_create_int32(env, -failed, &result);
  if (failed) return result;
  napi_create_array_with_length(env, ENDS, &result);
  for (int i = 0; i < ENDS; i++) napi_create_int32(env, ours[i], &end), napi_set_element(env, result, i, end);
  return result;
}

// A stream socket for a zygote: [ours, theirs], or a negative errno.
static napi_value Pair(napi_env env, napi_callback_info info) {
  int both[2];
  napi_value result, end;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both)) {
    napi_create_int32(env, -errno, &result);
    return result;
  }
  napi_create_array_with_length(env, 2, &result);
  for (int i = 0; i < 2; i++) napi_create_int32(env, both[i], &end), napi_set_element(env, result, i, end);
  return result;
}

// Whether a child of a dead zygote that became ours (we are PID 1) is reaped, or was never ours.
static napi_value Reap(napi_env env, napi_callback_info info) {
  napi_value gone;
  napi_get_boolean(env, waitpid(argument(env, info, 0), 0, WNOHANG) != 0, &gone);
  return gone;
}

NAPI_MODULE_INIT() {
  struct { const char *name; napi_callback call; } all[] = {
    {"beZygote", BeZygote}, {"serve", Serve}, {"exit", Exit}, {"pair", Pair}, {"order", Order}, {"reap", Reap}};
  napi_value value;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    napi_create_function(env, all[i].name, NAPI_AUTO_LENGTH, all[i].call, 0, &value);
    napi_set_named_property(env, exports, all[i].name, value);
  }
  napi_create_string_utf8(env, SOURCE_HASH, NAPI_AUTO_LENGTH, &value); // of this file, when it was compiled
  napi_set_named_property(env, exports, "sourceHash", value);
  return exports;
}
