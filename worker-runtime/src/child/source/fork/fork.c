// A real fork() inside Node, over N-API only, so that one compiled file serves every Node version of a
// platform. native.ts loads it. The worker calls order() (orders.c), the zygote beZygote() and in the
// end serve(), which comes back in the children alone.
#include "addon.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

NAPI_EXTERN int uv_loop_fork(void *loop);
NAPI_EXTERN void uv_update_time(void *loop);

enum { FORKED = 48, ENDED = 49 }; // the kinds are those of child/messages.ts
enum { LEAVE_SECONDS = 5 };
#define OOM_SCORE_ADJUSTMENT "800"
enum { LOOP_BROKEN = 251, ORPHANED = 252 };

// A frame of child/messages.ts whose header is JSON and whose body is empty. It waits when the worker is
// behind.
static void say(int kind, const char *format, ...) {
  char frame[512] = {0};
  va_list values;
  va_start(values, format);
  int length = vsnprintf(frame + 5, sizeof frame - 5, format, values);
  va_end(values);
  frame[2] = length >> 8, frame[3] = length, frame[4] = kind;
  for (int sent = 0, now; sent < length + 5; sent += now > 0 ? now : 0)
    if ((now = send(CONTROL, frame + sent, length + 5 - sent, MSG_NOSIGNAL)) < 0) {
      if (errno != EAGAIN && errno != EINTR) end_family(), _exit(0); // the worker is gone
      poll(&(struct pollfd){.fd = CONTROL, .events = POLLOUT}, 1, -1);
    }
}

static int bell = -1;
static void ring(int signal) {
  int before = errno;
  eventfd_write(bell, 1);
  errno = before;
}

static long milliseconds(struct timeval time) { return time.tv_sec * 1000 + (time.tv_usec + 500) / 1000; }

// Everything that ended, the orphans of jobs too. The worker knows which ones are its children. What one has
// left is ended before its end is told.
static void reap(void) {
  end_orphans();
  int status;
  struct rusage used;
  for (pid_t pid; (pid = wait4(-1, &status, WNOHANG, &used)) > 0;) {
    forget_child(pid);
    say(ENDED, "{\"pid\":%d,\"%s\":%d,\"usage\":{\"maxRssBytes\":%lld,\"cpuUserMs\":%ld,\"cpuSystemMs\":%ld}}\n", pid,
        WIFSIGNALED(status) ? "signal" : "exitCode", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
        used.ru_maxrss * 1024LL, milliseconds(used.ru_utime), milliseconds(used.ru_stime));
  }
}

// As entry.ts does it, with the same score, in a spawned child; it is cheaper here. Nothing is lost where it is
// not allowed.
static void be_the_first_to_go_when_memory_is_short(void) {
  int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  if (write(file, OOM_SCORE_ADJUSTMENT, sizeof OOM_SCORE_ADJUSTMENT - 1) < 0) errno = 0;
  close(file);
}

static void settle_in(pid_t zygote, const int *ends, void *loop) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
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

// The rest of the zygote's life: forks when it is told to, and reaps. Returns its pid in each child, and 0 in
// the zygote when the worker orders nothing more.
static napi_value Serve(napi_env env, napi_callback_info info) {
  struct sigaction before, ringing = {.sa_handler = ring, .sa_flags = SA_RESTART};
  void *loop;
  napi_get_uv_event_loop(env, (struct uv_loop_s **)&loop);
  if ((bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 || !make_heap_forkable()) {
    napi_throw_error(env, 0, "the zygote has no eventfd or no /proc/self/maps");
    return 0;
  }
  sigaction(SIGCHLD, &ringing, &before);
  prctl(PR_SET_PDEATHSIG, 0); // the end of CONTROL tells the death of the worker, and leaves time to end what jobs have started
  remember_present_children();
  struct pollfd waits[2] = {{.fd = CONTROL, .events = POLLIN}, {.fd = bell, .events = POLLIN}};
  for (eventfd_t rings;;) {
    if (poll(waits, 2, -1) < 0) continue;
    if (waits[1].revents) eventfd_read(bell, &rings), reap();
    if (!waits[0].revents) continue;
    uint32_t number;
    int ends[ENDS] = {-1, -1, -1};
    ssize_t got = pass(CONTROL, &number, ends, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got != sizeof number) { // the worker wants no more, or is gone
      end_family();
      signal(SIGALRM, SIG_DFL), alarm(LEAVE_SECONDS); // exit listeners run now, and nobody may be left who would end them
      napi_value none;
      napi_create_int32(env, 0, &none);
      return none;
    }
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    pid_t zygote = getpid(), pid = ends[ENDS - 1] < 0 ? (errno = EMFILE, -1) : can_remember_child() ? fork() : -1;
    int error = errno;
    if (pid == 0) {
      sigaction(SIGCHLD, &before, 0);
      close(bell);
      settle_in(zygote, ends, loop);
      napi_value own;
      napi_create_int32(env, getpid(), &own);
      return own;
    }
    if (pid > 0) remember_child(pid), setpgid(pid, pid); // here too: the worker may signal the group before the child has run
    clock_gettime(CLOCK_MONOTONIC, &to);
    close_all(ends, ENDS);
    say(FORKED, "{\"order\":%u,\"pid\":%d,\"errno\":%d,\"forkMicros\":%ld}\n", number, pid, pid < 0 ? error : 0,
        (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000);
  }
}

// Dies with the worker, adopts the orphans of jobs. Returns whether V8 was told that it has no helper
// threads.
static napi_value BeZygote(napi_env env, napi_callback_info info) {
  napi_value told;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  unsetenv("LD_BIND_NOW"); // zygote.ts has set it, for this process alone
  napi_get_boolean(env, tell_v8_no_workers(), &told);
  return told;
}

static napi_value SharePageTables(napi_env env, napi_callback_info info) {
  share_page_tables_of_files();
  return 0;
}

// Other processes of the same user may not read the environment and the memory of this process any more: the address
// of Redis is there.
static napi_value Hide(napi_env env, napi_callback_info info) {
  prctl(PR_SET_DUMPABLE, 0);
  return 0;
}

// Never by way of exit(): V8's and Node's tear-down would join threads that a child does not have.
static napi_value Exit(napi_env env, napi_callback_info info) { _exit(argument(env, info, 0)); }

// In the worker, as PID 1, which inherits orphans.
static napi_value Reap(napi_env env, napi_callback_info info) {
  waitpid(argument(env, info, 0), 0, WNOHANG);
  return 0;
}

NAPI_MODULE_INIT() {
  struct { const char *name; napi_callback call; } all[] = {
    {"beZygote", BeZygote}, {"sharePageTables", SharePageTables}, {"serve", Serve}, {"exit", Exit},
    {"pair", Pair}, {"order", Order}, {"reap", Reap}, {"hide", Hide}, {"beSubreaper", BeSubreaper}};
  napi_value value;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    napi_create_function(env, all[i].name, NAPI_AUTO_LENGTH, all[i].call, 0, &value);
    napi_set_named_property(env, exports, all[i].name, value);
  }
  napi_create_string_utf8(env, SOURCE_HASH, NAPI_AUTO_LENGTH, &value); // of this file, when it was compiled
  napi_set_named_property(env, exports, "sourceHash", value);
  return exports;
}
