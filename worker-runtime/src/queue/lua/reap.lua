-- Puts back the jobs of a dead worker, in slices: a worker with many jobs must not block Redis.
-- KEYS  the queue
-- ARGV  worker, 'sure' (its process has ended) or 'silent' (its heartbeat ran out), 'counted' or 'uncounted'
--       crash, the record as
--       JSON, seed, jobs in this slice. Pod, node and what the attempt used are added to the record
-- returns  {how many were put back, how many are left}, or {-1, 0} when the worker is alive
-- Safe to run twice and to interrupt: the first slice marks it dead, its entries go only when it holds
-- nothing any more.
local worker, sure, crashed, record = ARGV[1], ARGV[2] == 'sure', ARGV[3], cjson.decode(ARGV[4])
math.randomseed(tonumber(ARGV[5]))
local alive_until = tonumber(redis.call('ZSCORE', Q .. 'workers', worker))
if not alive_until then return { 0, 0 } end
if alive_until ~= 0 then
  -- When no worker is left to renew, the reaper writes the tick: after an outage of Redis all workers may
  -- renew first.
  if not sure and (tick() or alive_until > now) then return { -1, 0 } end
  take_for_dead(worker)
end

local pod, node, lines, stopping = unpack(redis.call('HMGET', Q .. 'worker:' .. worker, 'pod', 'node', 'used', 'stopping'))
record.pod, record.node = pod ~= '' and pod or nil, node ~= '' and node or nil
-- Whoever told it to stop did not wait until its jobs had ended: no fault of theirs. Who knows how the
-- process ended has judged that itself: a pod that is evicted because of what its job wrote is told to stop
-- too.
if stopping and not sure then
  crashed, record.message = 'uncounted', (record.message or '') .. '; it had been told to stop, so that this does not count'
end
local used = {}
for token, rss, user, system in string.gmatch(lines or '', '(%S+) (%S+) (%S+) (%S+)') do
  used[token] = { tonumber(rss), tonumber(user), tonumber(system) }
end
-- Outcome and group stand first, as in the records of workers.
local _, group = kind_of(ARGV[4])
record.outcome, record.group = nil, nil
local begins = '{"outcome":"worker-lost",' .. (group and '"group":"' .. group .. '",' or '')
local function record_of(token)
  record.maxRssBytes, record.cpuUserMs, record.cpuSystemMs = unpack(used[token] or {}, 1, 3)
  return begins .. string.sub(cjson.encode(record), 2)
end

local held_key = Q .. 'held:' .. worker
-- After some slices a large hash is empty where a scan begins, and a page of it may have nothing: that is not
-- the end.
local cursor, entries = '0', nil
repeat
  cursor, entries = unpack(redis.call('HSCAN', held_key, cursor, 'COUNT', ARGV[6]))
until #entries > 0 or cursor == '0'
local done, held_as = {}, {}
for i = 1, math.min(#entries, 2 * tonumber(ARGV[6])), 2 do
  local id = entries[i]
  -- HSCAN may name a field twice.
  if not held_as[id] then done[#done + 1] = id end
  held_as[id] = parse_held(entries[i + 1])
end
leave_held(worker, done, held_as)
for _, id in ipairs(done) do
  local held = held_as[id]
  try_again(id, held, { record = record_of(held.token), crashed = crashed, worker = worker })
end
keep_outcomes()
count('lost', #done)
local left = redis.call('HLEN', held_key)
if left == 0 then
  tell('reaped')
  redis.call('ZREM', Q .. 'workers', worker)
  redis.call('DEL', Q .. 'worker:' .. worker)
end
wake()
write_events(worker)
return { #done, left }
