-- Does a bulk action to one page of jobs. The state of each is looked at again: what is not in one of the wanted
-- states any more is skipped.
-- KEYS  the queue
-- ARGV  id of the action, driver, cursor as the driver saw it, cursor behind the page ('' at the end), the
--       wanted states with a space behind each, then at most 200 ids
-- returns  1, or 0 where the record is not there, is over, has another driver, or another cursor: nothing was done
-- Safe to run twice: the cursor has moved on.
local MOST_REASONS, DRIVEN_MS = 100, 10000
local action, driver, cursor, behind, wanted = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local key = Q .. 'action:' .. action
local verb, state, other, at, reasons = unpack(redis.call('HMGET', key, 'verb', 'state', 'driver', 'cursor', 'reasons'))
if state ~= 'running' or other ~= driver or (at or '') ~= cursor then return 0 end

local done, skipped, failed, list = 0, 0, 0, {}
local function refuse(id, why)
  if why == 'unknown' then failed = failed + 1 else skipped = skipped + 1 end
  if #list < MOST_REASONS then list[#list + 1] = id .. ' ' .. why end
end

-- Answers nothing where it was done, else why not.
local function do_to(id, job)
  if verb == 'delete' then
    put_into_trash(action, id, job)
    return nil
  end
  local became = verb == 'retry' and retry_job(id) or verb == 'cancel' and cancel_job(id, job)
  if became == 'key-taken' then return became end
  if became ~= 'ready' and became ~= 'cancelled' and became ~= 'cancelling' then return 'unknown' end
end

for line in string.gmatch(reasons or '', '[^\n]+') do list[#list + 1] = line end
local ids = { unpack(ARGV, 6) }
local states = states_of(ids)
for _, id in ipairs(ids) do
  local job = states[id]
  local is_wanted = string.find(wanted, job.state .. ' ', 1, true)
  local why = not is_wanted and job.state or do_to(id, job)
  if why then refuse(id, why) else done = done + 1 end
  job.state = 'done already' -- an id that stands twice in the call
end

redis.call('HSET', key, 'cursor', behind, 'reasons', table.concat(list, '\n'), 'driverUntilMs', now + DRIVEN_MS)
for name, by in pairs({ done = done, skipped = skipped, failed = failed }) do redis.call('HINCRBY', key, name, by) end
if behind == '' then
  redis.call('HSET', key, 'state', 'done', 'endedMs', now)
  redis.call('HDEL', key, 'driver', 'driverUntilMs', 'ids')
end
keep_outcomes()
wake()
write_events()
if verb == 'retry' and done > 0 then redis.call('PUBLISH', C .. 'stirred', '') end
return 1
