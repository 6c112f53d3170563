// What the four C files of the addon know of each other. fork.c is the one to read first.
#pragma once
#define _GNU_SOURCE
#define NAPI_EXTERN __attribute__((weak)) // a shell that starts the zygote's Node preloads this too (v8.c)
#include <node_api.h>
#include <stdint.h>
#include <sys/types.h>

enum { CONTROL = 3, ENDS = 3 };

// v8.c
int make_heap_forkable(void);
void share_page_tables_of_files(void);
int tell_v8_no_workers(void);

// family.c
int can_remember_child(void);
void remember_child(pid_t pid);
void forget_child(pid_t pid);
void remember_present_children(void);
void end_orphans(void);
void end_family(void);
napi_value BeSubreaper(napi_env env, napi_callback_info info);

// orders.c
ssize_t pass(int control, uint32_t *number, int *ends, int sends);
void close_all(const int *ends, int count);
int32_t argument(napi_env env, napi_callback_info info, size_t index);
napi_value Pair(napi_env env, napi_callback_info info);
napi_value Order(napi_env env, napi_callback_info info);
