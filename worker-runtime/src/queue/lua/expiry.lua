-- Jobs that expire: one that has not started by its time ends as expired, and never runs. The field x of its header
-- is that time in ms; `expires` has the jobs that have not started yet, by it. A claim that meets such a job ends
-- it, and whoever renews or samples ends those at the head. Nothing looks through the jobs that wait.

-- A client says x=<ms> from when the job is due; a header has the time. Jobs that say nothing have that of their
-- queue. A flow says x=@<time> (flow.lua): the job expires at the earlier of both.
local function with_expiry(letter, call, due)
  if not set.expiresInMs and not string.find(call, ' x=', 1, true) then return letter, call end
  local ms, latest = string.match(call, ' x=(%d+)') or set.expiresInMs, tonumber(string.match(call, ' x=@(%d+)'))
  local at = math.min(ms and math.max(due, now) + ms or math.huge, latest or math.huge)
  local others = string.gsub(call, ' x=@?%d+', '')
  return letter_of(with_flag(flags_of(letter), EXPIRES)), string.format('%s x=%d', others, at)
end

local function note_expiry(id, fields) redis.call('ZADD', Q .. 'expires', string.match(fields, ' x=(%d+)'), id) end

-- Of a job that waits: it has been held before exactly where it is REMEMBERED.
local function is_overdue(header)
  return has_flag(header.flags, EXPIRES) and not has_flag(header.flags, REMEMBERED) and field(header, 'x') <= now
end

local function expire(id, header)
  ended(id, 'expired', header.flags, write_outcome('e', { attempt = 0, crashes = 0 }, header.enqueued, header.task .. '\nnull'))
  tell('expired', id .. ' ' .. header.task)
end

local function expire_waiting(id, header)
  leave_waiting(id, redis.call('ZSCORE', Q .. 'delayed', id) and 'delayed' or 'ready', header.lane)
  expire(id, header)
  keep_outcomes()
end

local expired -- ids that claims of this call met too late; they are out of their lanes

local function is_met_too_late(id, envelope)
  local letter, fields = string.match(envelope, '^2(.)([^\n]*)')
  if not is_overdue({ flags = flags_of(letter), fields = fields }) then return false end
  expired = expired or {}
  expired[#expired + 1] = id
  count('ready', -1)
  return true
end

local function expire_met()
  for _, id in ipairs(expired) do
    local header = header_of(id)
    if header then expire(id, header) end
  end
  keep_outcomes()
end

-- Those at the head. Answers whether there were any.
local function expire_due(most)
  local ids = redis.call('ZRANGEBYSCORE', Q .. 'expires', '-inf', now, 'LIMIT', '0', most)
  for _, id in ipairs(ids) do
    redis.call('ZREM', Q .. 'expires', id)
    local header = header_of(id)
    if header then expire_waiting(id, header) end
  end
  return #ids > 0
end
