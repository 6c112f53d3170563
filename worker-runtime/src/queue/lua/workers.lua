-- Who works on the queue: the first page and the names of all others, or the workers of given names. O(page) but for the names: for
-- people and for reconciles, not for jobs.
-- KEYS  the queue
-- ARGV  workers of a page, the most workers, the longest text in bytes, then names
-- returns  {how many there are, per worker four: name, 1 alive or 0 dead or silent, how many jobs it holds, what its entry says of it, and
--          'draining' 1 or 0, as field and value pairs; names of those on no page yet}; of more than the most only how many
-- Reads only.
local now = now_ms()
local FIELDS =
  { 'process', 'pod', 'podUid', 'poolUid', 'node', 'slots', 'isolation', 'isolationNote', 'version', 'startedAtMs' }
local page, most, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local answer, rest = {}, {}
local total = redis.call('ZCARD', Q .. 'workers')
if total > most then return { total, answer, rest } end

local names = { unpack(ARGV, 4) }
if #names == 0 then
  for i, name in ipairs(redis.call('ZRANGE', Q .. 'workers', 0, -1)) do
    local list = i <= page and names or rest
    list[#list + 1] = name
  end
end
for _, name in ipairs(names) do
  local alive_until = tonumber(redis.call('ZSCORE', Q .. 'workers', name))
  if alive_until then
    local values = redis.call('HMGET', Q .. 'worker:' .. name, unpack(FIELDS))
    local draining = tonumber(redis.call('ZSCORE', Q .. 'draining', values[3] or '') or 0) > now
    local entry = { 'draining', draining and '1' or '0' }
    for n, field in ipairs(FIELDS) do
      entry[2 * n + 1], entry[2 * n + 2] = field, string.sub(values[n] or '', 1, longest)
    end
    local at = #answer
    answer[at + 1], answer[at + 2], answer[at + 3], answer[at + 4] =
      name, alive_until > now and 1 or 0, redis.call('HLEN', Q .. 'held:' .. name), entry
  end
end
return { total, answer, rest }
