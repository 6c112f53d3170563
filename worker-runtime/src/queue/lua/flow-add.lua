-- Adds a job to a flow while it runs, for one of its jobs that runs. What waits for that one waits for the new one too.
-- KEYS  the queue, its home
-- ARGV  id of the job that adds, name of the new one, its queue, head, payload, names of those that it waits for,
--       compensation or ''
-- returns  added, known (nothing was done), unknown (it waits for one that is none), full, or over: the flow does not
--          run any more, or the job that adds has ended; and 1 where nobody was told to forward what is for others
-- Safe to run twice: a known name is left alone.
local MOST_JOBS = 20000
local flow, adder, run = string.match(ARGV[1], '^([^:]+):([^:]+):?(%d*)$')
local key, name = Q .. 'flow:' .. (flow or ''), ARGV[2]
run = run == '' and '1' or run
local how, its_run = string.match(flow and redis.call('HGET', key .. ':jobs', adder) or '', '^(%S+) %S+ (%d+)$')
if how ~= 'enqueued' or its_run ~= run or redis.call('HGET', key, 'state') ~= 'running' then return { 'over', 0 } end
if redis.call('HEXISTS', key .. ':jobs', name) == 1 then return { 'known', 0 } end
if tonumber(redis.call('HGET', key, 'jobs')) >= MOST_JOBS then return { 'full', 0 } end
local waits_for = {}
for each in string.gmatch(ARGV[6], '%S+') do
  local state = string.match(redis.call('HGET', key .. ':jobs', each) or '', '^%S+')
  if not state then return { 'unknown', 0 } end
  if state == 'enqueued' or state == 'waiting' then waits_for[#waits_for + 1] = each
  elseif state ~= 'completed' then return { 'over', 0 } end
end
local before = count_of('ready')
local behind = redis.call('HGET', key .. ':next', adder) or ''
local free = add_to_flow(key, run, { name, ARGV[3], ARGV[4], ARGV[5], table.concat(waits_for, ' '), ARGV[7] }, 1)
redis.call('HINCRBY', key, 'added:' .. adder, '1')
if behind ~= '' then redis.call('HSET', key .. ':next', name, behind) end
for each in string.gmatch(behind, '%S+') do
  if redis.call('HEXISTS', key .. ':waits', each) == 1 then redis.call('HINCRBY', key .. ':waits', each, '1') end
end
go_on(flow, free, run)
flow_epilogue(before)
return { 'added', is_untold() and 1 or 0 }
