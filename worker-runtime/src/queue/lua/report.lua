-- Progress of running attempts. Only the holder may report.
-- KEYS  the queue
-- ARGV  worker, then per attempt three: id, token, progress as JSON
-- returns  per attempt 1, or 0 when the worker does not hold it
-- Safe to run twice: the last value wins.
local held_key = Q .. 'held:' .. ARGV[1]
even_when_full()
local alive = tonumber(redis.call('ZSCORE', Q .. 'workers', ARGV[1]) or 0) ~= 0
local answers = {}
for i = 2, #ARGV, 3 do
  local id, value = ARGV[i], redis.call('HGET', held_key, ARGV[i])
  local held = alive and value and parse_held(value)
  if held and held.token == ARGV[i + 1] then
    remember(id, 'progress', ARGV[i + 2])
    if not held.remembered then redis.call('HSET', held_key, id, value .. '+') end
    answers[#answers + 1] = 1
  else
    answers[#answers + 1] = 0
  end
end
return answers
