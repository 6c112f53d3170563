-- The records of bulk actions, newest first, or that of one.
-- KEYS  the queue
-- ARGV  how many at most; then the id of one, or nothing
-- returns  per record a list: its id, then name and value pairs
-- Reads only.
local found = {}
for _, id in ipairs(ARGV[2] and { ARGV[2] } or redis.call('ZREVRANGE', Q .. 'actions', '0', ARGV[1] - 1)) do
  local record = redis.call('HGETALL', Q .. 'action:' .. id)
  if #record > 0 then found[#found + 1] = { id, unpack(record) } end
end
return found
