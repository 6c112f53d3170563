-- What a task saves with its job while it runs: the values of steps, and a checkpoint. attempt:<id> has them
-- beside what is known of its attempts, so they are there for the next attempt and go when the job is gone.
-- KEYS  the queue
-- ARGV  worker, id, token; to save a value, its field (checkpoint, or step:<name>) and the value as JSON
-- returns  {'held', all that is saved as field and value pairs}, {'saved'}, {'full', bytes}, or {'not-held'}
-- Safe to run twice: a step keeps its first value, a checkpoint is the last one.
local MOST_BYTES, BESIDE = 262144, 100 -- Redis needs some bytes beside each value
local worker, id, token, name, value = unpack(ARGV)
local alive = tonumber(redis.call('ZSCORE', Q .. 'workers', worker) or 0) ~= 0
local entry = alive and redis.call('HGET', Q .. 'held:' .. worker, id)
local held = entry and parse_held(entry)
if not held or held.token ~= token then return { 'not-held' } end

local key = Q .. 'attempt:' .. id
if not name then
  local known, saved = redis.call('HGETALL', key), {}
  for i = 1, #known, 2 do
    if known[i] == 'checkpoint' or string.sub(known[i], 1, 5) == 'step:' then
      saved[#saved + 1], saved[#saved + 2] = known[i], known[i + 1]
    end
  end
  return { 'held', saved }
end
local before = redis.call('HSTRLEN', key, name)
if before > 0 and name ~= 'checkpoint' then return { 'saved' } end
local bytes = (redis.call('HGET', key, 'savedBytes') or 0) + #value - before + (before == 0 and #name + BESIDE or 0)
if bytes > MOST_BYTES then return { 'full', bytes } end
return { remember_held(worker, id, held, name, value, 'savedBytes', bytes) and 'saved' or 'not-held' }
