-- Puts back what a dead worker held, in slices, so that the death of a worker with many jobs blocks nobody.
-- KEYS  the queue
-- ARGV  worker, 'sure' (its process has ended) or 'silent' (its heartbeat ran out), 'counted' or 'uncounted' crash, the record as
--       JSON, seed, jobs in this slice
-- returns  {how many were put back, how many are left}, or {-1, 0} when the worker is alive
-- Safe to run twice and to interrupt: the first slice marks it dead, its entries go only when it holds nothing any more.
local worker, sure, counted, record = ARGV[1], ARGV[2] == 'sure', ARGV[3] == 'counted', ARGV[4]
math.randomseed(tonumber(ARGV[5]))
even_when_full()
local now, set = now_ms(), settings()
local alive_until = tonumber(redis.call('ZSCORE', Q .. 'workers', worker))
if not alive_until then return { 0, 0 } end
if alive_until ~= 0 then
  -- Where nobody is left to renew, whoever wants to reap writes the tick: after an outage of Redis all may renew first.
  if not sure and (tick(now) or alive_until > now) then return { -1, 0 } end
  redis.call('ZADD', Q .. 'workers', 0, worker)
end

local held_key = Q .. 'held:' .. worker
-- After some slices a large hash is empty where a scan begins, and a page of it may have nothing: that is not the end.
local cursor, entries = '0', nil
repeat
  cursor, entries = unpack(redis.call('HSCAN', held_key, cursor, 'COUNT', ARGV[6]))
until #entries > 0 or cursor == '0'
local done = {}
for i = 1, math.min(#entries, 2 * tonumber(ARGV[6])), 2 do done[#done + 1] = entries[i] end
if #done > 0 then redis.call('HDEL', held_key, unpack(done)) end
for n, id in ipairs(done) do
  local held = parse_held(entries[2 * n])
  if counted then try_again(id, held, record, true, false, now, set) else hand_back(id, held, now, set) end
end
count('lost', #done)
count('busy', -#done)
local left = redis.call('HLEN', held_key)
if left == 0 then
  redis.call('ZREM', Q .. 'workers', worker)
  redis.call('DEL', Q .. 'worker:' .. worker)
end
wake(now, set)
return { #done, left }
