// Between worker and zygote: an order is a number and a child's ends of its message channel, stdout and
// stderr. The worker makes and sends them (order), the zygote receives them (pass, from fork.c).
#include "addon.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void close_all(const int *ends, int count) {
  for (int i = 0; i < count; i++) if (ends[i] >= 0) close(ends[i]);
}

// Sends or receives one order. Returns bytes.
ssize_t pass(int control, uint32_t *number, int *ends, int sends) {
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

int32_t argument(napi_env env, napi_callback_info info, size_t index) {
  size_t count = 2;
  napi_value all[2];
  int32_t value = 0;
  napi_get_cb_info(env, info, &count, all, 0, 0);
  napi_get_value_int32(env, all[index], &value);
  return value;
}

// order(control, number) → [channel, stdout, stderr], the worker's ends; or a negative errno.
napi_value Order(napi_env env, napi_callback_info info) {
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
napi_value Pair(napi_env env, napi_callback_info info) {
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
