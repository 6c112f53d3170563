-- A task that meets a limit of somebody else asks for a rest (RetryAfter): no attempt is counted. `rests` has keys,
-- and '*' for the whole queue, by the time in ms until which they rest: limits.lua parks them until then, as it does
-- at a rate. What is known of the attempts of a job has how often it rested (rests), and until when (restsUntilMs).
local MOST_RESTS = 1000

local function rest_key(key, until_ms)
  redis.call('ZADD', Q .. 'rests', 'GT', until_ms, key)
  note_limits()
  room_in(key, 1)
  park_full()
end

-- text: '<ms> <job, key or queue>', a newline, and the record of the attempt for the case that it counts.
local function rest(id, held, text, worker)
  local ms, pause, record = string.match(text, '^(%d+) (%a+)\n(.*)$')
  local header = header_of(id)
  if not header then return 'unknown' end
  if is_cancelled(id, held.flags) then return cancelled(id, header, held) end
  local until_ms, key = now + ms, key_of(header.lane)
  remember(id, header, 'restsUntilMs', string.format('%d', until_ms))
  if redis.call('HINCRBY', Q .. 'attempt:' .. id, 'rests', '1') > MOST_RESTS then
    return try_again(id, held, { record = record, terminal = false, worker = worker })
  end
  redis.call('HDEL', Q .. 'attempt:' .. id, 'progress')
  tell('rested', string.format('%s %s', id, header.task))
  if pause == 'queue' then rest_key('*', until_ms) end
  if pause == 'key' and key then rest_key(key, until_ms) end
  if pause == 'queue' or pause == 'key' and key then return ready_again(id, header) end
  redis.call('HSET', Q .. 'attempt:' .. id, 'readyAtMs', until_ms)
  enter_delayed({ until_ms, id })
  return 'delayed'
end
