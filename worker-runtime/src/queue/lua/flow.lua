-- Flows: jobs of any queues, some of which wait for others. A flow lives in one queue, its home. There is a job
-- only when nothing is left that it waits for; before that, what will be enqueued lies in the flow.
--
-- flows               flows by the time in ms at which they are forgotten; inf while they run
-- flow:<id>           facts: state, onFailure, keepMs, run, startedMs, endedMs, changedMs, returns; expiresInMs and expiresMs: when
--                     what has not started expires; because: the first job that failed, and how; jobs, enqueued
--                     (enqueued and not ended), completed, of them compensated, failed, skipped; added:<job>, how many jobs that one
--                     has added; and
--                     job:<name>: <state> <queue> <run> <how many jobs it waits for>[u] [the jobs that wait for it]; u: it has a
--                     compensation
-- flow:<id>:calls     name → <queue> <head>\n<payload>; also of <name>.undo, onSuccess, onFailure, onComplete
-- flow:<id>:results   name → result as JSON
-- flow:<id>:undo      completed jobs that have a compensation, the last one first
-- flow:<id>:todo      what one call has left to the next: <what> and a job, or <what> and where HSCAN goes on
-- flow:<id>:failures  of a batch: id of a job → how it failed
--
-- a flow:    running -> completed            running -> failing -> failed        (with onFailure stop)
--            running -> failed               running, failing -> cancelling -> cancelled
--            before failed and cancelled: compensating        failed, cancelled -> running    (retry; completed too, from a job)
-- its jobs:  waiting -> enqueued -> completed -> compensated
--            waiting -> skipped             enqueued -> buried, cancelled, expired, deleted, lost, too-large, taken
--            all but completed -> again -> waiting            (retry; completed ones behind the job from which on it is)
-- What still waits when its flow is failing or cancelling counts as skipped.
--
-- The id of its jobs is <flow>:<name>, and <flow>:<name>:<run> from the second run on.
--
-- A batch is a flow of up to a million jobs of its home that wait for nothing and are only counted: the fact `batch`
-- says open or closed, and an open one does not end.
--
-- A call changes flows in memory (open_flow) and writes each of them once (close_flows). It looks at MOST_A_CALL jobs: what
-- one end sets free beyond that is noted in `todo`, and `go-on` in the outbox of this queue to itself has the next call do it.
local FLOW_PARTS = { '', ':calls', ':results', ':undo', ':failures', ':todo' }
local MOST_A_CALL, A_PAGE = 500, 250

local function flow_job_id(flow, name, run) return flow .. ':' .. name .. (run == '1' and '' or ':' .. run) end

-- next: the jobs that wait for it, each behind a space. waits: a number, where it has changed.
local function parse_flow_job(text)
  local state, queue, run, waits, undo, next = string.match(text, '^(%S+) (%S+) (%d+) (%d+)(u?)(.*)$')
  return { state = state, queue = queue, run = run, waits = waits, undo = undo, next = next }
end
local function flow_job_text(job)
  return job.state .. ' ' .. job.queue .. ' ' .. job.run .. ' ' .. job.waits .. job.undo .. job.next
end

-- What this call knows of a flow; answers nothing where there is none. `name`: a job that is asked for too.
local function open_flow(flow, name)
  local open = open_flows and open_flows[flow]
  if open then return open end
  local key = Q .. 'flow:' .. flow
  local known = redis.call('HMGET', key, 'state', 'enqueued', 'completed', 'expiresMs', 'job:' .. (name or ''))
  if not known[1] then return nil end
  local enqueued, completed = (known[2] or 0) + 0, (known[3] or 0) + 0
  open = {
    flow = flow, key = key, jobs = {}, changed = {}, changed_jobs = {}, results = {}, free = {},
    state = known[1], enqueued = enqueued, enqueued_before = enqueued, completed = completed, completed_before = completed,
    expiresMs = known[4] and known[4] + 0,
  }
  if name and known[5] then open.jobs[name] = parse_flow_job(known[5]) end
  open_flows = open_flows or {}
  open_flows[flow] = open
  return open
end

local function change(open, fact, value) open[fact], open.changed[fact] = value, value end
local function change_job(open, name, state)
  open.jobs[name].state = state
  open.changed_jobs[name] = true
end

-- The facts that few calls need.
local function all_facts(open)
  if open.run then return open end
  local known = redis.call('HMGET', open.key, 'run', 'onFailure', 'keepMs', 'because', 'batch', 'endedMs', 'jobs', 'failed', 'skipped')
  open.run, open.onFailure, open.keepMs, open.because, open.batch, open.endedMs = known[1] or '1', unpack(known, 2, 6)
  open.jobsInAll, open.failed, open.skipped = tonumber(known[7]) or 0, tonumber(known[8]) or 0, tonumber(known[9]) or 0
  return open
end
local function waiting_of_flow(open) return open.jobsInAll - open.enqueued - open.completed - open.failed - open.skipped end

local function read_jobs(open, names)
  local unknown, fields = {}, {}
  for _, name in ipairs(names) do
    if not open.jobs[name] then unknown[#unknown + 1], fields[#fields + 1] = name, 'job:' .. name end
  end
  for first = 1, #fields, SLICE do
    local texts = redis.call('HMGET', open.key, slice(fields, first))
    for i = 1, #texts do
      if texts[i] then open.jobs[unknown[first + i - 1]] = parse_flow_job(texts[i]) end
    end
  end
end

-- References are texts that no JSON of a user has inside a string, where quotes are escaped: of one result, of a list
-- of so many results, whose names are <name>.0, <name>.1 ..., and of the results of what a job has added, which are
-- named so too. What was put in is not looked at again. Answers nothing where it becomes longer than `most` bytes; then
-- no more of the results are read than a few, which may have a MiB each.
local FEW = 32
local function with_results(open, json, most)
  if not string.find(json, '{"millhand:', 1, true) then return #json <= most and json or nil end
  local bytes = 0
  local function put(list, i, result) list[i], bytes = result, bytes + #result end
  local function results_of(names)
    local list, unknown = {}, {}
    for i, name in ipairs(names) do
      if bytes > most then return {} end
      if open.results[name] then put(list, i, open.results[name]) else unknown[#unknown + 1] = i end
    end
    for first = 1, #unknown, FEW do
      if bytes > most then return {} end
      local asked = {}
      for i = first, math.min(first + FEW - 1, #unknown) do asked[#asked + 1] = names[unknown[i]] end
      for i, result in ipairs(redis.call('HMGET', open.key .. ':results', unpack(asked))) do
        put(list, unknown[first + i - 1], result or 'null')
      end
    end
    return list
  end
  json = string.gsub(json, '{"millhand:(%a+)":"([%w._-]+) ?(%d*)"}', function(kind, name, length)
    if kind == 'result' then return results_of({ name })[1] end
    if kind == 'added' then length = redis.call('HGET', open.key, 'added:' .. name) or '0' end
    if kind ~= 'results' and kind ~= 'added' then return nil end
    local names = {}
    for i = 1, tonumber(length) or 0 do names[i] = string.format('%s.%d', name, i - 1) end
    return '[' .. table.concat(results_of(names), ',') .. ']'
  end)
  return bytes <= most and #json <= most and json or nil
end

-- Work that is left to the next call. A list that was not empty is named in the outbox already.
local left_to_do = MOST_A_CALL
local function leave_to_do(open, entries)
  local length = 0
  for first = 1, #entries, SLICE do length = redis.call('RPUSH', open.key .. ':todo', slice(entries, first)) end
  if #entries > 0 and length == #entries then open.goes_on = true end
end

-- What may be done with a job, by the name that `todo` has for it.
local to_job = {}
local function each_job(open, what, names)
  local some, others = {}, nil
  for name in string.gmatch(names, '%S+') do
    if left_to_do <= 0 then others = others or {} end
    if others then others[#others + 1] = what .. ' ' .. name else some[#some + 1] = name end
    left_to_do = left_to_do - 1
  end
  if others then leave_to_do(open, others) end
  read_jobs(open, some)
  for _, name in ipairs(some) do
    if open.jobs[name] then to_job[what](open, name, open.jobs[name]) end
  end
end

-- A job that it waited for has completed.
function to_job.less(open, name, job)
  if job.state ~= 'waiting' or open.state ~= 'running' then return end
  job.waits = job.waits == '1' and '0' or job.waits - 1
  change_job(open, name, 'waiting')
  if job.waits == '0' or job.waits == 0 then open.free[#open.free + 1] = name end
end

-- Something that it waits for will not complete.
function to_job.skip(open, name, job)
  if job.state ~= 'waiting' or open.state ~= 'running' then return end
  change_job(open, name, 'skipped')
  change(open, 'skipped', open.skipped + 1)
  each_job(open, 'skip', job.next)
end

local function flow_job_failed(open, name, how)
  all_facts(open)
  change(open, 'failed', open.failed + 1)
  if not open.because then change(open, 'because', name .. ' ' .. how) end
  if open.onFailure == 'continue' then return each_job(open, 'skip', open.jobs[name].next) end
  change(open, 'skipped', open.skipped + waiting_of_flow(open))
  if open.state == 'running' then change(open, 'state', 'failing') end
end

local function note_end(open, name, how, result)
  local job, undone = open.jobs[name], string.match(name, '^(.*)%.undo$')
  change_job(open, name, how)
  open.enqueued = open.enqueued - 1
  if undone then
    if how ~= 'completed' then return end
    read_jobs(open, { undone })
    change_job(open, undone, 'compensated')
    redis.call('HINCRBY', open.key, 'compensated', '1')
    return
  end
  if how ~= 'completed' then return flow_job_failed(open, name, how) end
  open.completed = open.completed + 1
  open.results[name] = result
  if job.undo == 'u' then redis.call('LPUSH', open.key .. ':undo', name) end
  if job.next ~= '' then each_job(open, 'less', job.next) end
end

-- Enqueues what lies in `calls`; answers how it ends where it cannot be. kind: job or undo.
local entering = {} -- by lane: jobs that are put there by close_flows
local function enqueue_call(open, kind, call, id)
  local queue, head, payload = string.match(call or '', '^(%S+) ([^\n]*)\n(.*)$')
  if not queue then return 'deleted' end
  payload = with_results(open, payload, rule('maxPayloadBytes'))
  if not payload then return 'too-large' end
  if kind == 'job' and open.expiresMs then
    if open.expiresMs <= now then return 'expired' end
    head = string.format('%s x=@%d', head, open.expiresMs)
  end
  if enqueue_in(queue, id, head, payload, entering) == false then return 'taken' end
end

-- Enqueues what waits for nothing any more. One that cannot be enqueued ends at once: then others may be skipped.
local function enqueue_free(open)
  local names = open.free
  open.free = {}
  for first = 1, #names, SLICE do
    local calls = redis.call('HMGET', open.key .. ':calls', slice(names, first))
    for i, call in ipairs(calls) do
      local name = names[first + i - 1]
      local job = open.jobs[name]
      if open.state ~= 'running' then return end
      if job.state == 'waiting' then
        change_job(open, name, 'enqueued')
        open.enqueued = open.enqueued + 1
        local failed = enqueue_call(open, 'job', call, flow_job_id(open.flow, name, job.run))
        if failed then note_end(open, name, failed) end
      end
    end
  end
end

-- Where another job has its id, it gets another one: its flow has ended, and cannot fail any more.
local function enqueue_callback(id, head, payload)
  if redis.call('EXISTS', Q .. 'job:' .. id) == 1 then id = id .. ':' .. now_ms end
  new_job(id, head, payload)
end

local function callback(open, when)
  local queue, head, payload = string.match(redis.call('HGET', open.key .. ':calls', when) or '', '^(%S+) ([^\n]*)\n(.*)$')
  if not queue then return end
  local id = flow_job_id(open.flow, when, open.run)
  if queue == here then enqueue_callback(id, head, payload) else send(queue, 'callback', id, head, payload) end
end

-- The next compensation; answers whether there is one.
local function undo_next(open)
  for _ = 1, MOST_A_CALL do
    local undone = redis.call('LPOP', open.key .. ':undo')
    if not undone then return false end
    local name = undone .. '.undo'
    local call = redis.call('HGET', open.key .. ':calls', name)
    if open.state ~= 'cancelling' then change(open, 'state', 'compensating') end
    open.jobs[name] = { queue = string.match(call or '-', '^%S+'), run = open.run, waits = '0', undo = '', next = '' }
    change_job(open, name, 'enqueued')
    open.enqueued = open.enqueued + 1
    local failed = enqueue_call(open, 'undo', call, flow_job_id(open.flow, name, open.run))
    if not failed then return true end
    note_end(open, name, failed)
  end
  leave_to_do(open, { 'end -' })
  return true
end

-- `how`: started, also where it runs again, or the end of a run.
local function tell_run(flow, how)
  count('flows-' .. how, 1)
  if how == 'started' then tell('flow-started', flow .. ' -') else tell('flow-ended', flow .. ' - ' .. how) end
end

-- Ends a flow of which nothing runs or waits any more; first it compensates, one job after the other.
local function end_flow_if_over(open)
  if open.enqueued > 0 then return end
  all_facts(open)
  if open.batch == 'open' or open.endedMs or waiting_of_flow(open) > 0 then return end
  if open.because and undo_next(open) then return end
  change(open, 'state', open.state == 'cancelling' and 'cancelled' or open.because and 'failed' or 'completed')
  change(open, 'endedMs', now)
  callback(open, open.state == 'completed' and 'onSuccess' or 'onFailure')
  callback(open, 'onComplete')
  redis.call('DEL', open.key .. ':todo')
  redis.call('ZADD', Q .. 'flows', now + open.keepMs, open.flow)
  seldom().tell_waiters('flow/' .. open.flow, '')
  tell_run(open.flow, open.state)
end

local function write_flow(open)
  if open.enqueued ~= open.enqueued_before then change(open, 'enqueued', open.enqueued) end
  if open.completed ~= open.completed_before then change(open, 'completed', open.completed) end
  local values, n = { 'changedMs', now_ms }, 2
  for fact, value in pairs(open.changed) do
    values[n + 1], values[n + 2] = fact, type(value) == 'number' and string.format('%d', value) or value
    n = n + 2
  end
  for name in pairs(open.changed_jobs) do
    values[n + 1], values[n + 2] = 'job:' .. name, flow_job_text(open.jobs[name])
    n = n + 2
  end
  for first = 1, n > 2 and n or 0, SLICE do redis.call('HSET', open.key, slice(values, first)) end
  local results, m = {}, 0
  for name, result in pairs(open.results) do
    if result ~= 'null' or open.jobs[name].run ~= '1' then -- in the first run, what is missing is null
      results[m + 1], results[m + 2] = name, result
      m = m + 2
    end
  end
  for first = 1, m, SLICE do redis.call('HSET', open.key .. ':results', slice(results, first)) end
  if open.goes_on then send(here, 'go-on', open.flow, '', '') end
  if open.changed.endedMs then
    for _, part in ipairs(FLOW_PARTS) do redis.call('PEXPIRE', open.key .. part, open.keepMs) end
  end
end

-- Behind everything that may have ended a job of a flow: enqueues what is free, and writes what has changed.
local function close_flows()
  while open_flows do
    local opened = open_flows
    for _, open in pairs(opened) do
      while #open.free > 0 do enqueue_free(open) end
      end_flow_if_over(open)
    end
    for lane, ids in pairs(entering) do enter_lane(lane, ids, 'RPUSH') end
    entering, open_flows = {}, nil -- a job that was expired to make room may have opened another one
    for _, open in pairs(opened) do write_flow(open) end
  end
end

-- Another program deleted its facts.
local function forget_flow(flow)
  for _, part in ipairs(FLOW_PARTS) do redis.call('UNLINK', Q .. 'flow:' .. flow .. part) end
  redis.call('ZREM', Q .. 'flows', flow)
end

-- The job with this id that a flow of this queue has enqueued and that has not ended: flow, name, record. Else the id of the flow.
local function enqueued_by_flow(id)
  local flow, name, run = string.match(id, '^([^:]+):([^:]+):?(%d*)$')
  local open = flow and open_flow(flow, name)
  if not open then return nil, flow end
  if not open.jobs[name] then read_jobs(open, { name }) end
  local job = open.jobs[name]
  if not job or job.state ~= 'enqueued' or job.run ~= (run == '' and '1' or run) then return nil end
  return open, name, job
end

-- A job of a flow that is at home here has ended. Told twice, or of an earlier run, it is known already.
local function flow_job_ended(id, how, result)
  local open, name = enqueued_by_flow(id)
  if open then note_end(open, name, how, result) elseif name then forget_flow(name) end
end

-- A job of a batch: buried or cancelled, it has failed, until a person retries it and it completes.
local function batch_job_ended(batch, id, how)
  local open = open_flow(batch)
  if not open then return end
  all_facts(open)
  local failures = open.key .. ':failures'
  if how == 'completed' then
    local had_failed = open.failed > 0 and redis.call('HDEL', failures, id) == 1
    if had_failed then change(open, 'failed', open.failed - 1) else open.enqueued = open.enqueued - 1 end
    open.completed = open.completed + 1
    return
  end
  if redis.call('HSET', failures, id, how) == 0 then return end
  open.enqueued = open.enqueued - 1
  change(open, 'failed', open.failed + 1)
  if not open.because then change(open, 'because', id .. ' ' .. how) end
end

local function result_of(outcome) return string.sub(outcome, string.find(outcome, '\n', 1, true) + 1) end

local function tell_home(home, id, how, result)
  if home == here then flow_job_ended(id, how, result) else send(home, 'ended', id, how, result) end
end

-- Wherever a job of a flow ends, before its envelope goes: its flow hears of it. What a flow of this queue has enqueued here
-- is that one's: another flow was told that the id is taken. Only else the header is asked for its home.
local function tell_flow(id, how, outcome)
  local result = how == 'completed' and result_of(outcome) or ''
  if how == 'gone' then how = 'deleted' end
  local open, name, job = enqueued_by_flow(id)
  if open and job.queue == here then return note_end(open, name, how, result) end
  local header = header_of(id)
  local home = header and text_field(header, 'f')
  if not home then return end
  local batch = string.match(home, '^/(.*)')
  if batch then return batch_job_ended(batch, id, how) end
  tell_home(home, id, how, result)
end

-- A job for this queue whose id another one has. Where that is the same job, and what was forwarded comes once more, its
-- flow knows of its end, or will hear of it; else there is a job here that is none of this flow.
local function flow_job_is_known(id, home)
  local header = header_of(id)
  if header and text_field(header, 'f') == home and not redis.call('ZSCORE', Q .. 'buried', id) then return end
  tell_home(home, id, 'taken', '')
end

-- A job of which its flow has not heard the end: where it has ended, or another program deleted it, it hears of that now.
local ENDS = { ['=c'] = 'completed', ['=x'] = 'cancelled', ['=e'] = 'expired' }
local function check_flow_job(id, home)
  local start = redis.call('GETRANGE', Q .. 'job:' .. id, '0', '1')
  local how = ENDS[start] or start == '' and 'lost' or redis.call('ZSCORE', Q .. 'buried', id) and 'buried'
  if how then tell_home(home, id, how, how == 'completed' and result_of(redis.call('GET', Q .. 'job:' .. id)) or '') end
end

-- Without its jobs, as field and value pairs: these are many. None for an unknown flow.
local FACTS = { 'state', 'run', 'startedMs', 'endedMs', 'expiresMs', 'jobs', 'enqueued', 'completed', 'failed', 'skipped', 'because', 'batch' }
local function facts_of_flow(key)
  local values, facts = redis.call('HMGET', key, unpack(FACTS)), {}
  for i = 1, #FACTS do
    if values[i] then facts[#facts + 1], facts[#facts + 2] = FACTS[i], values[i] end
  end
  return facts
end

-- The error where one of the jobs that come seven by seven has too large a payload.
local function too_large_for_flow(flow, args, from)
  local most = rule('maxPayloadBytes')
  for i = from, #args, 7 do
    if #args[i + 3] > most then return redis.error_reply('PAYLOADTOOLARGE ' .. #args[i + 3] .. ' ' .. most .. ' ' .. flow .. ':' .. args[i]) end
  end
end

-- Puts jobs into a flow. Per job seven: name, queue, head, payload, how many it waits for, the names of those that wait for it, and
-- its compensation as in calls, or ''. Answers the names of those that wait for nothing.
local function add_to_flow(key, run, args, from)
  local free, jobs, calls = {}, {}, {}
  for i = from, #args, 7 do
    local name, queue, head, payload, waits, next, undo = unpack(args, i, i + 6)
    jobs[#jobs + 1] = 'job:' .. name
    jobs[#jobs + 1] = string.format('waiting %s %s %s%s', queue, run, waits, undo ~= '' and 'u' or '') .. (next ~= '' and ' ' .. next or '')
    calls[#calls + 1], calls[#calls + 2] = name, queue .. ' ' .. head .. '\n' .. payload
    if undo ~= '' then calls[#calls + 1], calls[#calls + 2] = name .. '.undo', undo end
    if waits == '0' then free[#free + 1] = name end
  end
  for first = 1, #jobs, SLICE do redis.call('HSET', key, slice(jobs, first)) end
  for first = 1, #calls, SLICE do redis.call('HSET', key .. ':calls', slice(calls, first)) end
  return free
end

local function run_again(open, name, job)
  job.run, job.waits = all_facts(open).run, '0'
  change_job(open, name, 'again')
end

-- What is done with all jobs of a flow, a page of them in a call.
local to_page = {}

-- Something that it waits for has not completed, and will run again.
function to_job.more(open, name, job)
  if job.state == 'completed' then return end
  job.waits = job.waits + 1
  change_job(open, name, job.state)
end

-- It has completed, and a person wants it to run again.
function to_job.again(open, name, job)
  if job.state ~= 'completed' then return end
  if job.undo == 'u' then redis.call('LREM', open.key .. ':undo', '1', name) end
  open.completed = open.completed - 1
  run_again(open, name, job)
end

function to_job.start(open, name, job)
  if job.state == 'waiting' and tonumber(job.waits) == 0 then open.free[#open.free + 1] = name end
end

-- Behind the last page of one follows the first of another.
local BEHIND = { reset = 'count', count = 'find-free' }

function to_page.cancel(open, name, job)
  if job.state == 'enqueued' then send(job.queue, 'cancel', flow_job_id(open.flow, name, job.run), here, '') end
end

function to_page.check(open, name, job)
  if job.state ~= 'enqueued' then return end
  local id = flow_job_id(open.flow, name, job.run)
  if job.queue == here then check_flow_job(id, here) else send(job.queue, 'check', id, here, '') end
end

-- What has not completed runs again.
function to_page.reset(open, name, job)
  if string.find(name, '%.undo$') then
    redis.call('HDEL', open.key, 'job:' .. name)
    return
  end
  if job.state == 'completed' then return end
  if job.state == 'buried' then send(job.queue, 'delete', flow_job_id(open.flow, name, job.run), '', '') end
  run_again(open, name, job)
end

to_page['find-free'] = to_job.start

-- HSCAN may name a job twice: it is counted when its state changes.
function to_page.count(open, name, job)
  if job.state ~= 'again' then return end
  change_job(open, name, 'waiting')
  each_job(open, 'more', job.next)
end

local function each_of_page(open, what, cursor)
  local next_cursor, found = unpack(redis.call('HSCAN', open.key, cursor, 'MATCH', 'job:*', 'COUNT', A_PAGE))
  for i = 1, #found, 2 do
    local name = string.sub(found[i], 5)
    open.jobs[name] = open.jobs[name] or parse_flow_job(found[i + 1])
    to_page[what](open, name, open.jobs[name])
  end
  left_to_do = left_to_do - #found / 2
  if next_cursor ~= '0' then leave_to_do(open, { what .. ' ' .. next_cursor }) end
  if next_cursor == '0' and BEHIND[what] then leave_to_do(open, { BEHIND[what] .. ' 0' }) end
end

-- Does what earlier calls have left, until this one has done enough.
local function go_on(flow)
  local open = open_flow(flow)
  local key = open and open.key .. ':todo'
  while open and left_to_do > 0 do
    local entries = redis.call('LPOP', key, left_to_do)
    if not entries then break end
    local names, before = {}, nil -- those of which the same is to be done are asked for at once
    local function do_before()
      if #names > 0 then each_job(all_facts(open), before, table.concat(names, ' ')) end
      names = {}
    end
    for _, entry in ipairs(entries) do
      local what, which = string.match(entry, '^(%S+) (.*)$')
      if what ~= before then do_before() end
      before = what
      if to_job[what] then names[#names + 1] = which elseif to_page[what] then each_of_page(open, what, which) end
    end
    do_before()
  end
  if open then open.goes_on = redis.call('EXISTS', key) == 1 end
end

-- With renewals: asks for the jobs of flows in which nothing has moved for a while, of some flows in a call. In counts,
-- flowsCheckMs is when that is due, where there are flows; flowsChecked how many were looked at since.
local QUIET_MS, FLOWS_A_CALL = 300000, 100
local function check_flows()
  local from = tonumber(redis.call('HGET', COUNTS, 'flowsChecked')) or 0
  local flows = redis.call('ZRANGEBYSCORE', Q .. 'flows', 'inf', 'inf', 'LIMIT', from, FLOWS_A_CALL)
  for _, flow in ipairs(flows) do
    local changed, batch = unpack(redis.call('HMGET', Q .. 'flow:' .. flow, 'changedMs', 'batch'))
    if not batch and (tonumber(changed) or 0) + QUIET_MS <= now then
      local open = open_flow(flow)
      if open then leave_to_do(open, { 'check 0' }) end
      if open then open.goes_on = true end -- an earlier entry of the outbox may be lost too
    end
  end
  local is_last = #flows < FLOWS_A_CALL
  if is_last and from + #flows == 0 then return redis.call('HDEL', COUNTS, 'flowsCheckMs', 'flowsChecked') end
  redis.call('HSET', COUNTS, 'flowsChecked', is_last and '0' or from + FLOWS_A_CALL)
  if is_last then redis.call('HSET', COUNTS, 'flowsCheckMs', string.format('%d', now + QUIET_MS)) end
end

-- Behind a call that may have made jobs. `before` is how many were ready.
local function flow_epilogue(before)
  close_flows()
  keep_outcomes()
  if is_sooner or before == 0 and counted.ready > 0 then redis.call('PUBLISH', C .. 'stirred', '') end
  wake()
  write_events()
end
