-- Error groups, the last seen first, or one of them.
-- KEYS  the queue
-- ARGV  how many to pass over, how many at most; or a group, how many of its buried jobs to pass over, how many at most
-- returns  {how many groups there are, per group a list of name and value in turn: group, lastMs, buried (how many
--          jobs), known (its fields and values); the last buried jobs of a named group}
-- Reads only.
local groups, jobs = {}, {}
if #ARGV == 3 then
  groups[1] = ARGV[1]
  jobs = redis.call('ZREVRANGE', Q .. 'failed:' .. ARGV[1], ARGV[2], ARGV[2] + ARGV[3] - 1)
else
  groups = redis.call('ZREVRANGE', Q .. 'errors', ARGV[1], ARGV[1] + ARGV[2] - 1)
end
local page = {}
for _, group in ipairs(groups) do
  local last = redis.call('ZSCORE', Q .. 'errors', group)
  if last then
    page[#page + 1] = { 'group', group, 'lastMs', last, 'buried', redis.call('ZCARD', Q .. 'failed:' .. group),
      'known', redis.call('HGETALL', Q .. 'error:' .. group) }
  end
end
return { redis.call('ZCARD', Q .. 'errors'), page, jobs }
