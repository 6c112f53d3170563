-- The records of bulk actions, newest first, or that of one.
-- KEYS  the queue
-- ARGV  how many at most; then the id of one, or ''; then the id of the last one of the page before, or nothing
-- returns  per record a list: its id, then name and value pairs
-- Reads only.
local most, one, last = ARGV[1], ARGV[2], ARGV[3]
local from, found = 0, {}
-- The oldest are forgotten first: behind one that is not known are none.
if last then from = (redis.call('ZREVRANK', Q .. 'actions', last) or most + 1000) + 1 end
for _, id in ipairs(one ~= '' and { one } or redis.call('ZREVRANGE', Q .. 'actions', from, from + most - 1)) do
  local record = redis.call('HGETALL', Q .. 'action:' .. id)
  if #record > 0 then found[#found + 1] = { id, unpack(record) } end
end
return found
