-- Error groups, the last seen first, or one of them.
-- KEYS  the queue
-- ARGV  how many at most; of the last group of the page before its name and when it was seen, or '' and ''; then nothing,
--       or a group of which is asked, and how many of its buried jobs to pass over
-- returns  {how many groups there are, per group a list of name and value in turn: group, lastMs, buried (how many
--          jobs), known (its fields and values); the last buried jobs of a named group}
-- Reads only.
local errors, most, last, seen_at, one, passed = Q .. 'errors', ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local groups, jobs, from = {}, {}, 0
if one then
  groups[1] = one
  jobs = redis.call('ZREVRANGE', Q .. 'failed:' .. one, passed, passed + most - 1)
else
  -- Groups are seen again between two pages: the page begins behind the last one, while that has kept its place.
  if redis.call('ZSCORE', errors, last) == seen_at then
    from = redis.call('ZREVRANK', errors, last) + 1
  elseif last ~= '' then
    from = redis.call('ZCOUNT', errors, '(' .. seen_at, '+inf')
  end
  groups = redis.call('ZREVRANGE', errors, from, from + most - 1)
end
local page = {}
for _, group in ipairs(groups) do
  local at = redis.call('ZSCORE', errors, group)
  if at then
    page[#page + 1] = { 'group', group, 'lastMs', at, 'buried', redis.call('ZCARD', Q .. 'failed:' .. group),
      'known', redis.call('HGETALL', Q .. 'error:' .. group) }
  end
end
return { redis.call('ZCARD', errors), page, jobs }
