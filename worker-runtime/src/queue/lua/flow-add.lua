-- Adds a job to a flow while it runs, for one of its jobs that runs. What waits for that one waits for the new one too.
-- KEYS  the queue, its home
-- ARGV  id of the job that adds, name of the new one, its queue, head, payload, names of those that it waits for,
--       compensation or ''
-- returns  added, known (nothing was done), unknown (it waits for one that is none), full, or over: the flow does not
--          run any more, or the job that adds has ended; and 1 where nobody was told to forward what is for others
-- Safe to run twice: a known name is left alone.
local MOST_JOBS = 20000
local flow, adder, run = string.match(ARGV[1], '^([^:]+):([^:]+):?(%d*)$')
local open, name = flow and open_flow(flow, adder), ARGV[2]
local job = open and open.jobs[adder]
run = run == '' and '1' or run
if not job or job.state ~= 'enqueued' or job.run ~= run or open.state ~= 'running' then return { 'over', 0 } end
if redis.call('HEXISTS', open.key, 'job:' .. name) == 1 then return { 'known', 0 } end
if tonumber(redis.call('HGET', open.key, 'jobs')) >= MOST_JOBS then return { 'full', 0 } end
local before_it, behind_it, waits_for = {}, {}, 0
for each in string.gmatch(ARGV[6], '%S+') do before_it[#before_it + 1] = each end
for each in string.gmatch(job.next, '%S+') do behind_it[#behind_it + 1] = each end
read_jobs(open, before_it)
read_jobs(open, behind_it)
for _, each in ipairs(before_it) do
  local state = open.jobs[each] and open.jobs[each].state
  if not state then return { 'unknown', 0 } end
  if state ~= 'enqueued' and state ~= 'waiting' and state ~= 'completed' then return { 'over', 0 } end
end
local before = count_of('ready')
for _, each in ipairs(before_it) do
  local other = open.jobs[each]
  if other.state ~= 'completed' then
    waits_for = waits_for + 1
    other.next = other.next .. ' ' .. name
    change_job(open, each, other.state)
  end
end
for _, each in ipairs(behind_it) do
  local other = open.jobs[each]
  other.waits = other.waits + 1
  change_job(open, each, other.state)
end
local added = { name, ARGV[3], ARGV[4], ARGV[5], string.format('%d', waits_for), table.concat(behind_it, ' '), ARGV[7] }
open.free = add_to_flow(open.key, run, added, 1)
read_jobs(open, open.free)
redis.call('HINCRBY', open.key, 'jobs', '1')
redis.call('HINCRBY', open.key, 'added:' .. adder, '1')
flow_epilogue(before)
return { 'added', is_untold() and 1 or 0 }
