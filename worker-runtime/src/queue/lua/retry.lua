-- Gives buried jobs all their tries again. What is known of their earlier attempts stays.
-- KEYS  the queue
-- ARGV  1 to 500 ids
-- returns  per id 'ready', or the state it is in when it is not buried
-- Safe to run twice: the second time it is no longer buried.
local answers = {}
for n, id in ipairs(ARGV) do
  local header = redis.call('ZREM', Q .. 'buried', id) == 1 and header_of(id)
  if header then
    unlist_failed(id)
    redis.call('HDEL', Q .. 'attempt:' .. id, 'attempts', 'crashes', 'cancel')
    remember(id, header, 'readyAtMs', now)
    enter_lane(header.lane, { id }, 'RPUSH')
    answers[n] = 'ready'
    tell('requeued', id .. ' ' .. header.task)
  else
    answers[n] = state_of(id)
  end
end
wake()
write_events()
redis.call('PUBLISH', C .. 'stirred', '')
return answers
