-- The last job of a schedule has ended: the schedule keeps how, for its outcome may be forgotten before the next run.
local function scheduled_ended(id, how)
  local name = how ~= 'gone' and string.match(id, '^([^@]+)@%d+$')
  if name and redis.call('HGET', Q .. 'schedule:' .. name, 'lastId') == id then
    redis.call('HSET', Q .. 'schedule:' .. name, 'lastState', how)
  end
end
