// The first process of a test cluster's namespaces, and the program of its pause image: it waits, buries processes whose parents
// have gone, and ends at SIGTERM. Called with a word after its name, it also ends when its standard input does.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void end(int number) {
  _exit(0);
}

static void bury(int number) {
  while (waitpid(-1, 0, WNOHANG) > 0)
    ;
}

int main(int count, char **words) {
  char byte;
  signal(SIGTERM, end);
  signal(SIGINT, end);
  signal(SIGCHLD, bury);
  if (count > 1)
    while (read(0, &byte, 1) > 0)
      ;
  else
    for (;;)
      pause();
}
