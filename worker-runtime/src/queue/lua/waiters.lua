-- Clients that wait for an end, of a job or (`flow/<id>`) of a flow; lifecycle.lua tells them.
local MAX_WAITERS = 16

-- Answers false where the client must look by itself: too many wait, or Redis refuses to write (it is full, or
-- this user may only read). A client is noted once.
local function note_waiter(id, name)
  local names = redis.call('HGET', Q .. 'waiters', id) or ''
  if string.find(names, ' ' .. name .. ' ', 1, true) then return true end
  local _, waiters = string.gsub(names, '%S+', '')
  if waiters >= MAX_WAITERS then return false end
  local noted = redis.pcall('HSET', Q .. 'waiters', id, (names == '' and ' ' or names) .. name .. ' ')
  return type(noted) ~= 'table'
end
