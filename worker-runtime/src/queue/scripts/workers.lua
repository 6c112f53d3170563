-- Who works on the queue. O(workers): for people and for reconciles, not for jobs.
-- KEYS  the queue
-- returns  per worker four: name, 1 alive or 0 dead or silent, how many jobs it holds, what its entry says of it, and 'draining' 1
--          or 0, as field and value pairs
-- Reads only.
local now = now_ms()
local FIELDS =
  { 'process', 'pod', 'podUid', 'poolUid', 'node', 'slots', 'isolation', 'isolationNote', 'version', 'startedAtMs' }
local answer = {}
local found = redis.call('ZRANGE', Q .. 'workers', 0, -1, 'WITHSCORES')
for i = 1, #found, 2 do
  local name = found[i]
  local values = redis.call('HMGET', Q .. 'worker:' .. name, unpack(FIELDS))
  local draining = tonumber(redis.call('ZSCORE', Q .. 'draining', values[3] or '') or 0) > now
  local entry = { 'draining', draining and '1' or '0' }
  for n, field in ipairs(FIELDS) do
    entry[2 * n + 1], entry[2 * n + 2] = field, values[n] or ''
  end
  local at = #answer
  answer[at + 1], answer[at + 2], answer[at + 3], answer[at + 4] =
    name, tonumber(found[i + 1]) > now and 1 or 0, redis.call('HLEN', Q .. 'held:' .. name), entry
end
return answer
