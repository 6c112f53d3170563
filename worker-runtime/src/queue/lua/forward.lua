-- Removes what was forwarded from the outbox, and takes what is to be forwarded next: entries for one queue, which
-- nobody else is given for the next 5 s. Where the taker dies or the other queue refuses, they are due again then.
-- KEYS  the queue
-- ARGV  '', or the queue that has accepted entries, and the ids of these entries
-- returns  nothing where nothing is due, else the queue, and per entry five: its id here, verb, id, head, text
-- Safe to run twice: what was removed is not there any more.
local TAKEN_MS, MOST, MAX_BYTES = 5000, 100, 1048576
local outbox, accepted_by = Q .. 'outbox', ARGV[1]

if accepted_by ~= '' then
  local key = Q .. 'outbox:' .. accepted_by
  redis.call('XDEL', key, unpack(ARGV, 2))
  if redis.call('XLEN', key) == 0 then
    redis.call('DEL', key)
    redis.call('ZREM', outbox, accepted_by)
  else
    redis.call('ZADD', outbox, 'XX', now, accepted_by)
  end
end

-- After the clock of Redis went back, a time may lie too far ahead.
local function next_due()
  return redis.call('ZRANGEBYSCORE', outbox, '-inf', now, 'LIMIT', '0', '1')[1]
    or redis.call('ZRANGEBYSCORE', outbox, now + TAKEN_MS + 1, '+inf', 'LIMIT', '0', '1')[1]
end

local queue, entries = next_due(), {}
while queue do
  entries = redis.call('XRANGE', Q .. 'outbox:' .. queue, '-', '+', 'COUNT', MOST)
  if #entries > 0 then break end
  redis.call('ZREM', outbox, queue) -- another program deleted the entries
  queue = next_due()
end
if not queue then return {} end
redis.call('ZADD', outbox, now + TAKEN_MS, queue)
local answer, bytes = { queue }, 0
for _, entry in ipairs(entries) do
  local of = {}
  for i = 1, #entry[2], 2 do of[entry[2][i]] = entry[2][i + 1] end
  bytes = bytes + #(of.text or '')
  if bytes > MAX_BYTES and #answer > 1 then break end
  for _, value in ipairs({ entry[1], of.verb or '', of.id or '', of.head or '', of.text or '' }) do answer[#answer + 1] = value end
end
return answer
