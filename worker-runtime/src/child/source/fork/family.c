// What a job starts ends with it. Each child is the subreaper of its job: what the job detaches stays below
// it, and comes to the zygote when the child ends. So a process that the zygote has for a child and did not
// fork is one that an ended job has left.
#include "addon.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static pid_t *living;
static int count, room;

static int find(pid_t pid) {
  for (int i = 0; i < count; i++) if (living[i] == pid) return i;
  return -1;
}

// Before a fork: whether its child can be remembered.
int can_remember_child(void) {
  if (count < room) return 1;
  pid_t *larger = realloc(living, (2 * room + 16) * sizeof *living);
  if (!larger) return 0;
  living = larger, room = 2 * room + 16;
  return 1;
}

void remember_child(pid_t pid) { living[count++] = pid; }

void forget_child(pid_t pid) {
  int at = find(pid);
  if (at >= 0) living[at] = living[--count];
}

static FILE *children_of_this(void) { return fopen("/proc/thread-self/children", "re"); }

// What modules have started while they loaded is no job's.
void remember_present_children(void) {
  FILE *children = children_of_this();
  for (int pid; children && can_remember_child() && fscanf(children, "%d", &pid) == 1;) remember_child(pid);
  if (children) fclose(children);
}

// Their own children come to this process when they are dead, which is told by another SIGCHLD.
void end_orphans(void) {
  FILE *children = children_of_this();
  for (int pid; children && fscanf(children, "%d", &pid) == 1;)
    if (find(pid) < 0) kill(pid, SIGKILL);
  if (children) fclose(children);
}

// Returns when nothing is left that this process or a job has started.
void end_family(void) {
  for (int i = 0; i < count; i++) kill(-living[i], SIGKILL), kill(living[i], SIGKILL);
  count = 0;
  do end_orphans();
  while (waitpid(-1, 0, 0) > 0 || errno == EINTR);
}

// Orphans of all descendants come to this process from now on.
napi_value BeSubreaper(napi_env env, napi_callback_info info) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  return 0;
}
