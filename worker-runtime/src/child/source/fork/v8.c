// What must be done to V8 so that a copy of its process works. fork.c calls both, in the zygote.
#include "addon.h"
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 // since Linux 6.1
#endif

// V8 marks its mappings MADV_DONTFORK: undo that on every anonymous mapping, or the child has no heap. Once
// is enough, since no JavaScript runs in a zygote that serves. /proc/self/smaps would tell which ones are
// marked, but walks all page tables.
int make_heap_forkable(void) {
  static char line[8192];
  FILE *maps = fopen("/proc/self/maps", "re");
  if (!maps) return 0;
  while (fgets(line, sizeof line, maps)) {
    char *rest;
    uintptr_t from = strtoull(line, &rest, 16), to = strtoull(rest + 1, &rest, 16);
    if (strchr(rest, '/')) continue; // files have a path; [vvar] and such refuse
    madvise((void *)from, to - from, MADV_DOFORK);
    // In huge pages, where the kernel can: fewer entries for each fork to copy and for each child's end to
    // drop.
    if (strstr(line, " rw-p ")) madvise((void *)from, to - from, MADV_COLLAPSE);
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

// V8 posts a helper task for every young collection since 14.x (Node 26), even with --single-threaded, and a
// child would wait for a thread that it does not have. Told that the pool has no threads it posts nothing. The slot
// of the vtable is found by its value.
int tell_v8_no_workers(void) {
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
