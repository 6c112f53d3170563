-- Starts a flow. One of many jobs was put into Redis before by flow-stage, in pieces.
-- KEYS  the queue, its home
-- ARGV  id, onFailure (batch: an open batch), keepMs, expiresInMs or '', returns (JSON with references), calls of onSuccess, onFailure,
--       onComplete or '', how many jobs it has, the name under which they were staged, or '' and per job seven (add_to_flow)
-- returns  1 where it is new, 0 where the id is known, -1 where the stage does not have these jobs; and 1 where nobody was told to
--          forward what is for others
-- Safe to run twice: a known id is left alone.
local flow, key, jobs, staged = ARGV[1], Q .. 'flow:' .. ARGV[1], ARGV[9], ARGV[10]
local stage = Q .. 'flow:' .. flow .. ':staged:' .. staged
if redis.call('EXISTS', key) == 1 then
  redis.call('UNLINK', stage, stage .. ':calls', stage .. ':todo')
  return { 0, 0 }
end
local too_large = too_large_for_flow(flow, ARGV, 11)
if too_large then return too_large end
if staged ~= '' and redis.call('HLEN', stage) ~= tonumber(jobs) then return { -1, 0 } end
if set.layout ~= LAYOUT then note_settings() end
local counts = redis.call('HMGET', COUNTS, 'ready', 'flowsCheckMs')
local before = tonumber(counts[1]) or 0
if not counts[2] then redis.call('HSET', COUNTS, 'flowsCheckMs', string.format('%d', now + QUIET_MS)) end
if staged ~= '' then
  for _, part in ipairs({ '', ':calls', ':todo' }) do
    redis.call('RENAME', stage .. part, key .. part)
    redis.call('PERSIST', key .. part)
  end
end
-- What each end of a job asks for comes first: Redis looks through a small hash from its beginning.
redis.call('HSET', key, 'state', 'running', 'enqueued', '0', 'completed', '0', 'changedMs', now_ms)
if ARGV[4] ~= '' then redis.call('HSET', key, 'expiresInMs', ARGV[4], 'expiresMs', string.format('%d', now + ARGV[4])) end
redis.call('HSET', key, 'onFailure', ARGV[2], 'keepMs', ARGV[3], 'returns', ARGV[5], 'run', '1', 'startedMs', now_ms, 'jobs', jobs)
for n, when in ipairs({ 'onSuccess', 'onFailure', 'onComplete' }) do
  if ARGV[5 + n] ~= '' then redis.call('HSET', key .. ':calls', when, ARGV[5 + n]) end
end
tell_run(flow, 'started')
redis.call('ZREMRANGEBYSCORE', Q .. 'flows', '-inf', now)
redis.call('ZADD', Q .. 'flows', 'inf', flow)
if ARGV[2] == 'batch' then redis.call('HSET', key, 'batch', 'open') end
local free = add_to_flow(key, '1', ARGV, 11)
local open = open_flow(flow)
read_jobs(open, free)
open.free = free
if staged ~= '' then go_on(flow) end
flow_epilogue(before)
return { 1, is_untold() and 1 or 0 }
