-- Gives a key, or the whole queue ('*'), limits that win over those of the TaskQueue, or takes them away.
-- KEYS  the queue
-- ARGV  key, limits as text (limits.lua) or '' to take them away, how many keys may have limits
-- returns  set, removed, none (there were none to remove), or too-many
-- Safe to run twice: the second time says the same, or none.
local key, text, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
local answer = 'set'
if text == '' then
  answer = redis.call('HDEL', Q .. 'limits', key) == 1 and 'removed' or 'none'
elseif redis.call('HEXISTS', Q .. 'limits', key) == 0 and redis.call('HLEN', Q .. 'limits') >= most then
  return 'too-many'
else
  redis.call('HSET', Q .. 'limits', key, text)
end
note_limits()
if redis.call('HEXISTS', Q .. 'full', key) == 1 then not_full({ key }) end
if redis.call('ZSCORE', Q .. 'parked', key) then
  redis.call('ZADD', Q .. 'parked', '0', key) -- a claim looks at it again
elseif key ~= '*' and waiting_of(key) > 0 then
  room_in(key, 1)
  park_full()
end
wake()
redis.call('PUBLISH', C .. 'stirred', '')
return answer
