-- The outbox: what a script decides for another queue, which lives in another slot and perhaps on another
-- server. The script writes it here together with what it decides. A worker of this queue, or whoever calls
-- `forward` (queue/outbox.ts), takes it there, where it is done by its id: once more does no harm. Only then it
-- goes from here. A process that dies in between loses nothing.
--
-- outbox: queues for which there is something, by the time in ms from when it may be taken. outbox:<queue>: what
-- there is, in order, each entry with the fields verb, id, head, text (accept.lua).
local FORWARD = '>' -- to a worker, in the place of a job's id: forward now

-- Only the worker that renewed last; a message that is lost is made good by the next renewal (renew.lua).
local function tell_forwarder()
  for _, worker in ipairs(redis.call('ZRANGE', Q .. 'workers', '-3', '-1')) do
    if redis.call('PUBLISH', C .. 'worker:' .. worker, FORWARD) > 0 then return true end
  end
  return false
end

local here = string.match(Q, '{(.*)}') -- this queue, as others name it
local is_told -- whether a worker forwards what this call has sent
local function send(queue, verb, id, head, text)
  redis.call('XADD', Q .. 'outbox:' .. queue, '*', 'verb', verb, 'id', id, 'head', head, 'text', text)
  redis.call('ZADD', Q .. 'outbox', 'NX', now, queue)
  if is_told == nil then is_told = tell_forwarder() end
end

-- A job for any queue, `<namespace>.<name>`: at once where it is this one. head and entering as in new_job.
local function enqueue_in(queue, id, head, payload, entering)
  if queue == here then return new_job(id, head, payload, entering) end
  send(queue, 'enqueue', id, head, payload)
end

-- Something was sent, and no worker of this queue has heard of it.
local function is_untold() return is_told == false end

local function has_outbox() return redis.call('ZCOUNT', Q .. 'outbox', '-inf', now) > 0 end
