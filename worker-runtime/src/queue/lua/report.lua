-- Progress of running attempts. Only the holder may report.
-- KEYS  the queue
-- ARGV  worker, then per attempt three: id, token, progress as JSON
-- returns  per attempt 1, or 0 when the worker does not hold it
-- Safe to run twice: the last value wins.
local alive = tonumber(redis.call('ZSCORE', Q .. 'workers', ARGV[1]) or 0) ~= 0
local answers = {}
for i = 2, #ARGV, 3 do
  local id, entry = ARGV[i], redis.call('HGET', Q .. 'held:' .. ARGV[1], ARGV[i])
  local held = alive and entry and parse_held(entry)
  if held and held.token == ARGV[i + 1] then
    remember_held(ARGV[1], id, held, 'progress', ARGV[i + 2])
    answers[#answers + 1] = 1
  else
    answers[#answers + 1] = 0
  end
end
return answers
