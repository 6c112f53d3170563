-- The workers of the queue: the first ones and the names of all others, or the workers of given names.
-- O(page) but for the names: for people and for reconciles, not for jobs.
-- KEYS  the queue
-- ARGV  workers of a page, the most workers, the longest text in bytes, then names
-- returns  {how many there are, per worker a list of name and value in turn: name, alive (1, or 0 where it is
--       dead or silent), held (how many
--          jobs), draining 1 or 0, the fields of its entry; names of those on no page yet}; of more than the most only how many
-- Reads only.
local FIELDS =
  { 'process', 'pod', 'podUid', 'poolUid', 'node', 'slots', 'isolation', 'isolationNote', 'version', 'startedAtMs' }
local page, most, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local answer, rest = {}, {}
local total = redis.call('ZCARD', Q .. 'workers')
if total > most then return { total, answer, rest } end

local names = { unpack(ARGV, 4) }
if #names == 0 then
  for i, name in ipairs(redis.call('ZRANGE', Q .. 'workers', '0', '-1')) do
    local list = i <= page and names or rest
    list[#list + 1] = name
  end
end
for _, name in ipairs(names) do
  local alive_until = tonumber(redis.call('ZSCORE', Q .. 'workers', name))
  if alive_until then
    local values = redis.call('HMGET', Q .. 'worker:' .. name, unpack(FIELDS))
    local draining = tonumber(redis.call('ZSCORE', Q .. 'draining', values[3] or '') or 0) > now
    local entry = { 'name', name, 'alive', alive_until > now and 1 or 0, 'held', redis.call('HLEN', Q .. 'held:' .. name),
      'draining', draining and 1 or 0 }
    for n, field in ipairs(FIELDS) do
      entry[2 * n + 7], entry[2 * n + 8] = field, string.sub(values[n] or '', 1, longest)
    end
    answer[#answer + 1] = entry
  end
end
return { total, answer, rest }
