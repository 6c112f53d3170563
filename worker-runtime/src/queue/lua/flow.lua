-- Flows: jobs of any queues, some of which wait for others. A flow lives in one queue, its home. There is a job
-- only when nothing is left that it waits for; before that, what will be enqueued lies in the flow.
--
-- flows               flows by the time in ms at which they are forgotten; inf while they run
-- flow:<id>           facts: added:<job>, how many jobs that one has added; state, onFailure, keepMs, run, startedMs, endedMs, returns; because: the first job
--                     that failed, and how; jobs, running (enqueued and not ended), completed, failed, skipped
-- flow:<id>:jobs      name → <state> <queue> <run>
-- flow:<id>:waits     name → how many jobs it waits for still; only those that wait
-- flow:<id>:next      name → the jobs that wait for it
-- flow:<id>:calls     name → <queue> <head>\n<payload>; also of <name>.undo, onSuccess, onFailure, onComplete
-- flow:<id>:results   name → result as JSON
-- flow:<id>:undo      completed jobs that have a compensation, the last one first
-- flow:<id>:failures  of a batch: id of a job → how it failed
--
-- a flow:    running -> completed            running -> failing -> failed        (with onFailure stop)
--            running -> failed               running, failing -> cancelling -> cancelled
--            before failed and cancelled: compensating        failed, cancelled -> running    (retry)
-- its jobs:  waiting -> enqueued -> completed -> compensated
--            waiting -> skipped             enqueued -> buried, cancelled, expired, deleted, too-large, taken
--
-- The id of its jobs is <flow>:<name>, and <flow>:<name>:<run> from the second run on.
--
-- A batch is a flow of up to a million jobs of its home that wait for nothing and are only counted: the fact `batch`
-- says open or closed, and an open one does not end.
local FLOW_PARTS = { '', ':jobs', ':waits', ':next', ':calls', ':results', ':undo', ':failures' }

local function flow_job_id(flow, name, run) return flow .. ':' .. name .. (run == '1' and '' or ':' .. run) end

-- References are texts that no JSON of a user has inside a string, where quotes are escaped: of one result, of a list
-- of so many results, whose names are <name>.0, <name>.1 ..., and of the results of what a job has added, which are
-- named so too. What was put in is not looked at again. Answers nothing where it becomes longer than `most` bytes; then
-- no more of the results are read than a few, which may have a MiB each.
local FEW = 32
local function with_results(key, json, most)
  local bytes = 0
  local function put_in(result)
    bytes = bytes + #(result or 'null')
    return result or 'null'
  end
  local function all_of(name, length)
    local list = {}
    for first = 0, length - 1, FEW do
      if bytes > most then return '' end
      local names = {}
      for i = first, math.min(first + FEW, length) - 1 do names[#names + 1] = string.format('%s.%d', name, i) end
      for _, result in ipairs(redis.call('HMGET', key .. ':results', unpack(names))) do list[#list + 1] = put_in(result) end
    end
    return '[' .. table.concat(list, ',') .. ']'
  end
  local text = string.gsub(json, '{"millhand:(%a+)":"([%w._-]+) ?(%d*)"}', function(kind, name, length)
    if bytes > most then return '' end
    if kind == 'result' then return put_in(redis.call('HGET', key .. ':results', name)) end
    if kind == 'added' then length = redis.call('HGET', key, 'added:' .. name) or '0' end
    if kind == 'results' or kind == 'added' then return all_of(name, tonumber(length) or 0) end
  end)
  return bytes <= most and #text <= most and text or nil
end

-- How many jobs of a flow run, where this call has changed it: one of which some run is not over.
local running_in = {}
local function count_running(key, by) running_in[key] = redis.call('HINCRBY', key, 'running', by) end

local function call_of(key, name) return string.match(redis.call('HGET', key .. ':calls', name) or '', '^(%S+) ([^\n]*)\n(.*)$') end

-- Answers how it ended where it cannot be enqueued: its results make the payload too large, a job that is not of this
-- flow has its id, or another program deleted what was to be enqueued.
local function enqueue_flow_job(flow, name, run)
  local key = Q .. 'flow:' .. flow
  local queue, head, payload = call_of(key, name)
  count_running(key, '1')
  if not queue then return 'deleted' end
  redis.call('HSET', key .. ':jobs', name, 'enqueued ' .. queue .. ' ' .. run)
  payload = with_results(key, payload, rule('maxPayloadBytes'))
  if not payload then return 'too-large' end
  return enqueue_in(queue, flow_job_id(flow, name, run), head, payload) == false and 'taken' or nil
end

-- Its queue and its run.
local function where_is(key, name)
  return string.match(redis.call('HGET', key .. ':jobs', name) or '', ' (.*)') or string.match(Q, '{(.*)}') .. ' 1'
end

-- These never become jobs.
local function skip(key, names)
  for _, name in ipairs(names) do
    redis.call('HSET', key .. ':jobs', name, 'skipped ' .. where_is(key, name))
    redis.call('HDEL', key .. ':waits', name)
  end
  redis.call('HINCRBY', key, 'skipped', #names)
end

-- All that waits for a job, directly or by others.
local function waiting_behind(key, name)
  local found, is_found = { name }, {}
  local n = 0
  while n < #found do
    n = n + 1
    for after in string.gmatch(redis.call('HGET', key .. ':next', found[n]) or '', '%S+') do
      if not is_found[after] and redis.call('HEXISTS', key .. ':waits', after) == 1 then found[#found + 1] = after end
      is_found[after] = true
    end
  end
  table.remove(found, 1)
  return found
end

local function flow_job_failed(key, name, how)
  redis.call('HINCRBY', key, 'failed', '1')
  redis.call('HSETNX', key, 'because', name .. ' ' .. how)
  if redis.call('HGET', key, 'onFailure') == 'continue' then return skip(key, waiting_behind(key, name)) end
  skip(key, redis.call('HKEYS', key .. ':waits'))
  if redis.call('HGET', key, 'state') == 'running' then redis.call('HSET', key, 'state', 'failing') end
end

-- Another program deleted its facts: no job of it is waited for by anybody.
local function forget_flow(key)
  for _, part in ipairs(FLOW_PARTS) do redis.call('UNLINK', key .. part) end
  redis.call('ZREM', Q .. 'flows', string.sub(key, #Q + #'flow:' + 1))
  return {}
end

-- Notes how one job ended; answers the jobs that wait for nothing any more.
local function note_end(key, name, where, how, result)
  redis.call('HSET', key .. ':jobs', name, how .. ' ' .. where)
  count_running(key, '-1')
  if running_in[key] < 0 then return forget_flow(key) end
  local undone = string.match(name, '^(.*)%.undo$')
  if undone then
    if how == 'completed' then redis.call('HSET', key .. ':jobs', undone, 'compensated ' .. where) end
    return {}
  end
  if how ~= 'completed' then
    flow_job_failed(key, name, how)
    return {}
  end
  redis.call('HINCRBY', key, 'completed', '1')
  redis.call('HSET', key .. ':results', name, result)
  if redis.call('HEXISTS', key .. ':calls', name .. '.undo') == 1 then redis.call('LPUSH', key .. ':undo', name) end
  local free = {}
  for after in string.gmatch(redis.call('HGET', key .. ':next', name) or '', '%S+') do
    local waits_for = redis.call('HINCRBY', key .. ':waits', after, '-1')
    if waits_for == 0 then free[#free + 1] = after end
    if waits_for <= 0 then redis.call('HDEL', key .. ':waits', after) end -- below zero: it was skipped
  end
  return free
end

local function callback(flow, run, when)
  local queue, head, payload = call_of(Q .. 'flow:' .. flow, when)
  if queue then enqueue_in(queue, flow_job_id(flow, when, run), head, payload) end
end

-- Ends a flow of which nothing runs or waits any more; first it compensates, one job after the other.
local function end_flow_if_over(flow)
  local key = Q .. 'flow:' .. flow
  if (running_in[key] or 0) > 0 then return end
  local state, running, because, keep, run, batch, ended_ms =
    unpack(redis.call('HMGET', key, 'state', 'running', 'because', 'keepMs', 'run', 'batch', 'endedMs'))
  if batch == 'open' or ended_ms then return end
  while running == '0' and because do
    local undo = redis.call('LPOP', key .. ':undo')
    if not undo then break end
    if state ~= 'cancelling' then redis.call('HSET', key, 'state', 'compensating') end
    local how = enqueue_flow_job(flow, undo .. '.undo', run)
    if not how then return end
    note_end(key, undo .. '.undo', where_is(key, undo .. '.undo'), how)
  end
  if running ~= '0' or redis.call('EXISTS', key .. ':waits') == 1 then return end
  state = state == 'cancelling' and 'cancelled' or because and 'failed' or 'completed'
  redis.call('HSET', key, 'state', state, 'endedMs', string.format('%d', now))
  callback(flow, run, state == 'completed' and 'onSuccess' or 'onFailure')
  callback(flow, run, 'onComplete')
  for _, part in ipairs(FLOW_PARTS) do redis.call('PEXPIRE', key .. part, keep) end
  redis.call('ZADD', Q .. 'flows', now + keep, flow)
  tell_waiters('flow/' .. flow, '')
end

-- Enqueues what waits for nothing any more. A job that cannot be enqueued ends at once, and may end the flow.
local function go_on(flow, names, run)
  local key = Q .. 'flow:' .. flow
  for _, name in ipairs(names) do
    local how = enqueue_flow_job(flow, name, run)
    if how then note_end(key, name, where_is(key, name), how) end
  end
  end_flow_if_over(flow)
end

-- A job of a flow that is at home here has ended. Told twice, or of an earlier run, it is known already.
local function flow_job_ended(id, how, result)
  local flow, name, run = string.match(id, '^([^:]+):([^:]+):?(%d*)$')
  local key = Q .. 'flow:' .. (flow or '')
  local state, where, its_run = string.match(flow and redis.call('HGET', key .. ':jobs', name) or '', '^(%S+) (%S+ (%d+))$')
  if state ~= 'enqueued' or its_run ~= (run == '' and '1' or run) then return end
  go_on(flow, note_end(key, name, where, how == 'gone' and 'deleted' or how, result), its_run)
end

-- A job of a batch: buried or cancelled, it has failed, until a person retries it and it completes.
local function batch_job_ended(batch, id, how)
  local key = Q .. 'flow:' .. batch
  if redis.call('EXISTS', key) == 0 then return end
  if how == 'completed' then
    if redis.call('HDEL', key .. ':failures', id) == 1 then
      redis.call('HINCRBY', key, 'failed', '-1')
    else
      count_running(key, '-1')
    end
    redis.call('HINCRBY', key, 'completed', '1')
  else
    if redis.call('HSET', key .. ':failures', id, how) == 0 then return end
    count_running(key, '-1')
    redis.call('HINCRBY', key, 'failed', '1')
    redis.call('HSETNX', key, 'because', id .. ' ' .. how)
  end
  end_flow_if_over(batch)
end

-- A line of a text, which may have a MiB: a pattern would look at each of its characters.
local function line_of(text, number)
  local first = 1
  for _ = 2, number do first = string.find(text, '\n', first, true) + 1 end
  return string.sub(text, first, (string.find(text, '\n', first, true) or 0) - 1)
end

-- Wherever a job of a flow ends, before its envelope goes: its flow hears of it.
local function tell_flow(id, how, outcome)
  local header = header_of(id)
  local home = header and text_field(header, 'f')
  if not home then return end
  local batch = string.match(home, '^/(.*)')
  if batch then return batch_job_ended(batch, id, how == 'gone' and 'deleted' or how) end
  local result = how == 'completed' and line_of(outcome, 2) or ''
  if Q == 'mh:{' .. home .. '}:' then return flow_job_ended(id, how, result) end
  send(home, 'ended', id, how, result)
end

-- A job for this queue whose id another one has. Where that is the same job, and what was forwarded comes once more, its
-- flow knows of its end, or will hear of it; else there is a job here that is none of this flow.
local function flow_job_is_known(id, home)
  local header = header_of(id)
  if header and text_field(header, 'f') == home and not redis.call('ZSCORE', Q .. 'buried', id) then return end
  if Q == 'mh:{' .. home .. '}:' then flow_job_ended(id, 'taken', '') else send(home, 'ended', id, 'taken', '') end
end

-- Puts jobs into a flow. Per job six: name, queue, head, payload, the names of those that it waits for, and its
-- compensation as in calls, or ''. Answers the names of those that wait for nothing.
local function add_to_flow(key, run, args, from)
  local free, jobs, calls, names_behind = {}, {}, {}, {}
  local function in_slices(part, pairs)
    for first = 1, #pairs, SLICE do redis.call('HSET', key .. part, slice(pairs, first)) end
  end
  local waits = {}
  for i = from, #args, 6 do
    local name, queue, head, payload, after, undo = unpack(args, i, i + 5)
    local waits_for = 0
    for before in string.gmatch(after, '%S+') do
      local names = names_behind[before] or {}
      names[#names + 1], names_behind[before] = name, names
      waits_for = waits_for + 1
    end
    jobs[#jobs + 1], jobs[#jobs + 2] = name, 'waiting ' .. queue .. ' ' .. run
    calls[#calls + 1], calls[#calls + 2] = name, queue .. ' ' .. head .. '\n' .. payload
    if undo ~= '' then calls[#calls + 1], calls[#calls + 2] = name .. '.undo', undo end
    if waits_for == 0 then free[#free + 1] = name else waits[#waits + 1], waits[#waits + 2] = name, waits_for end
  end
  local following = {}
  for name, names in pairs(names_behind) do
    local known, new = redis.call('HGET', key .. ':next', name), table.concat(names, ' ')
    following[#following + 1], following[#following + 2] = name, known and known .. ' ' .. new or new
  end
  in_slices(':jobs', jobs)
  in_slices(':calls', calls)
  in_slices(':waits', waits)
  in_slices(':next', following)
  redis.call('HINCRBY', key, 'jobs', #jobs / 2)
  return free
end

-- Behind a call that may have made jobs. `before` is how many were ready.
local function flow_epilogue(before)
  keep_outcomes()
  if is_sooner or before == 0 and counted.ready > 0 then redis.call('PUBLISH', C .. 'stirred', '') end
  wake()
  write_events()
end
