// What must be done to V8, and to the memory of its process, so that a copy of it works and costs little.
#include "addon.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 // since Linux 6.1
#endif

// On every anonymous mapping, or on those for data. Returns whether there is a list of them.
static int advise_all(int advice, int data_alone) {
  static char line[8192];
  FILE *maps = fopen("/proc/self/maps", "re");
  if (!maps) return 0;
  while (fgets(line, sizeof line, maps)) {
    char *rest;
    uintptr_t from = strtoull(line, &rest, 16), to = strtoull(rest + 1, &rest, 16);
    if (strchr(rest, '/')) continue; // files have a path; [vvar] and such refuse
    if (!data_alone || strstr(line, " rw-p ")) madvise((void *)from, to - from, advice);
  }
  fclose(maps);
  return 1;
}

// V8 marks its mappings MADV_DONTFORK: undo that, or the child has no heap. Once is enough, since no JavaScript
// runs in a zygote that serves. /proc/self/smaps would tell which ones are marked, but walks all page tables.
// Then in huge pages, where the kernel can, also across mappings that have become one: fewer entries for each fork
// to copy and for each child's end to drop.
int make_heap_forkable(void) { return advise_all(MADV_DOFORK, 0) && advise_all(MADV_COLLAPSE, 1); }

enum { WORTH_IT = 1 << 18 }; // bytes; a child runs little of the small files

// fork() leaves out the page tables of files, so each child would fault in again what it runs of Node. It copies those
// of a mapping that had a page of its own once: each mapping of a file gets one, by a byte that is written over itself,
// as the kernel lets a process do in its own memory. Then the mapping is emptied, so that forks get what is used from
// here on. A mapping that has pages of its own is left as it is, and nothing is lost where any of this is not possible.
void share_page_tables_of_files(void) {
  static char line[8192];
  FILE *mappings = fopen("/proc/self/smaps", "re");
  int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
  uintptr_t from = 0, to = 0;
  unsigned long own = 0, kilobytes;
  while (mappings && memory >= 0 && fgets(line, sizeof line, mappings)) {
    char *rest, byte;
    uintptr_t start = strtoull(line, &rest, 16);
    if (*rest == '-') {
      from = start, to = strtoull(rest + 1, &rest, 16), own = 0;
      if ((strncmp(rest, " r-xp ", 6) && strncmp(rest, " r--p ", 6)) || !strchr(rest, '/')) to = from;
    } else if (sscanf(line, "Anonymous: %lu", &kilobytes) == 1) own = kilobytes;
    else if (sscanf(line, "Swap: %lu", &kilobytes) == 1 && own + kilobytes == 0 && to - from >= WORTH_IT)
      if (pread(memory, &byte, 1, from) == 1 && pwrite(memory, &byte, 1, from) == 1)
        madvise((void *)from, to - from, MADV_DONTNEED);
  }
  if (mappings) fclose(mappings);
  if (memory >= 0) close(memory);
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

// In a table of virtual functions of Node, whose slot is found by its value. Returns whether it is there and may be
// written.
static int replace_virtual(const char *table_name, const char *function_name, void *replacement) {
  void *function = dlsym(RTLD_DEFAULT, function_name);
  void **table = dlsym(RTLD_DEFAULT, table_name);
  Dl_info info;
  ElfW(Sym) *symbol = 0;
  if (!function || !table || !dladdr1(table, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol) return 0;
  for (size_t i = 0; i < symbol->st_size / sizeof(void *); i++) {
    if (table[i] != function) continue;
    uintptr_t page = sysconf(_SC_PAGESIZE), start = (uintptr_t)&table[i] & ~(page - 1);
    int before = protection_of(start);
    if (before < 0 || mprotect((void *)start, page, before | PROT_WRITE)) return 0;
    table[i] = replacement;
    mprotect((void *)start, page, before);
    return 1;
  }
  return 0;
}

static int no_workers(void *platform) { return 0; }

// V8 posts a helper task for every young collection since 14.x (Node 26), even with --single-threaded, and a
// child would wait for a thread that it does not have. Told that the pool has no threads it posts nothing.
int tell_v8_no_workers(void) {
  return replace_virtual("_ZTVN4node12NodePlatformE", "_ZN4node12NodePlatform21NumberOfWorkerThreadsEv", (void *)no_workers);
}

#define RANDOM_ADDRESS "_ZN2v84base13PageAllocator17GetRandomMmapAddrEv"
enum { HEAP_PAGE = 1 << 18, AREA_BITS = 30, MOST_TAKEN = 64 };

// Where V8 puts its next page: behind the last one. It only is a wish, so what lies there already does no harm.
static void *next_address(void *allocator) {
  static _Atomic uintptr_t next;
  for (int taken = 0; next && taken < MOST_TAKEN; taken++) {
    void *address = (void *)(next += HEAP_PAGE);
    if (msync(address, 1, MS_ASYNC)) return address; // nothing is there
  }
  void *(*random_address)(void *) = dlsym(RTLD_DEFAULT, RANDOM_ADDRESS);
  return (void *)(next = (uintptr_t)random_address(allocator) >> AREA_BITS << AREA_BITS);
}

// V8 puts each page of its heap at a random address, with page tables of its own, which each fork copies. In the
// zygote, which preloads this library, they lie side by side, from one random address on: fewer page tables, and
// huge pages where the kernel can. Nothing is lost where this is not possible.
__attribute__((constructor)) static void keep_heap_together(void) {
  Dl_info own;
  const char *all = getenv("LD_PRELOAD");
  if (!all || !dladdr((void *)keep_heap_together, &own)) return;
  size_t length = strlen(own.dli_fname);
  if (strncmp(all, own.dli_fname, length) || (all[length] && all[length] != ':')) return;
  if (all[length]) setenv("LD_PRELOAD", all + length + 1, 1);
  else unsetenv("LD_PRELOAD"); // for this process alone
  replace_virtual("_ZTVN2v84base13PageAllocatorE", RANDOM_ADDRESS, (void *)next_address);
}
