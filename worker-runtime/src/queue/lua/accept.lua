-- Does what the outbox of another queue has for this one, all or nothing.
-- KEYS  the queue
-- ARGV  that queue, and per entry five: its id there, verb, id, head, text
--       enqueue: a job with this id; head as in an enqueue, text its payload
--       callback: the same for a callback of a flow, under another id where this one is taken
--       ended: a job of a flow that is at home here; head how, text its result
--       cancel: a job of a flow; head the home of the flow, which hears of it where the job is not known
--       check: the same, and nothing is done to a job that has not ended
--       delete: a buried job of a flow that is retried
--       go-on: the flow with this id is at home here, and an earlier call has left something to do
--       escalate, return, recall: a job whose attempt ran out of memory in another queue (escalate.lua), as its copy begins
--       and has ended; and the job has ended without it
-- returns  1 where the outbox of this queue has something to forward now, else 0
-- Safe to run twice: a known id is left alone, and so is what has ended. A forwarder may die before it removes what was done
-- here, and by then a job may have ended and be forgotten: receipts say for a day which entries were done.
local RECEIPT_MS, MOST_RECEIPTS = 86400000, 100000
local receipts, names = Q .. 'receipts', {}
for i = 2, #ARGV, 5 do names[#names + 1] = ARGV[1] .. ' ' .. ARGV[i] .. ' ' .. ARGV[i + 2] end
local is_done = redis.call('ZMSCORE', receipts, unpack(names))

local function cancel_anywhere(id)
  local job = { state = state_of(id) }
  if job.state == 'held' then job.worker, job.entry = holder_of(id) end
  cancel_job(id, job)
  return job.state
end

-- A job that is not known in its queue will never end there: another program deleted it.
local function cancel_flow_job(id, home)
  if cancel_anywhere(id) ~= 'unknown' then return end
  tell_home(home, id, 'deleted', '')
end

local does = {
  enqueue = function(id, head, payload)
    local home = not new_job(id, head, payload) and string.match(head, ' f=([^/%s]+)')
    if home then flow_job_is_known(id, home) end
  end,
  callback = function(...) enqueue_callback(...) end,
  ended = function(...) flow_job_ended(...) end,
  cancel = function(...) cancel_flow_job(...) end,
  check = function(id, home) check_flow_job(id, home) end,
  ['go-on'] = function(flow) go_on(flow) end,
  escalate = function(...) begin_copy(...) end,
  ['return'] = function(...) end_as_copy(...) end,
  recall = function(id, origin)
    local header = header_of(id)
    if header and text_field(header, 'o') == origin then cancel_anywhere(id) end
  end,
  delete = function(id)
    if redis.call('ZSCORE', Q .. 'buried', id) then drop_buried({ id }) end
  end,
}
for i = 2, #ARGV, 5 do
  if not does[ARGV[i + 1]] then return redis.error_reply('UNKNOWNENTRY ' .. ARGV[i + 1]) end
end
if set.layout ~= LAYOUT then note_settings() end
local before = count_of('ready')
for n, name in ipairs(names) do
  local i = 5 * n - 3
  if not is_done[n] then does[ARGV[i + 1]](ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]) end
  redis.call('ZADD', receipts, 'NX', now, name)
end
redis.call('ZREMRANGEBYSCORE', receipts, '-inf', now - RECEIPT_MS)
redis.call('ZREMRANGEBYRANK', receipts, '0', -MOST_RECEIPTS - 1)
redis.call('PEXPIRE', receipts, RECEIPT_MS)
flow_epilogue(before)
return has_outbox() and 1 or 0
