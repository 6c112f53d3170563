-- Who works on the queue. O(workers): for people and for reconciles, not for jobs.
-- KEYS  the queue
-- returns  per worker four: name, 1 alive or 0 dead or silent, how many jobs it holds, its entry as field and value pairs with
--          'draining' 1 or 0 added
-- Reads only.
local now = now_ms()
local answer = {}
local found = redis.call('ZRANGE', Q .. 'workers', 0, -1, 'WITHSCORES')
for i = 1, #found, 2 do
  local name = found[i]
  local entry = redis.call('HGETALL', Q .. 'worker:' .. name)
  local uid = redis.call('HGET', Q .. 'worker:' .. name, 'podUid') or ''
  local draining = tonumber(redis.call('ZSCORE', Q .. 'draining', uid) or 0) > now
  entry[#entry + 1] = 'draining'
  entry[#entry + 1] = draining and '1' or '0'
  local at = #answer
  answer[at + 1], answer[at + 2], answer[at + 3], answer[at + 4] =
    name, tonumber(found[i + 1]) > now and 1 or 0, redis.call('HLEN', Q .. 'held:' .. name), entry
end
return answer
