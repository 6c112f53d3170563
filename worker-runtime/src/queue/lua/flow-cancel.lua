-- Cancels a flow: what waits is skipped, and its jobs that have not ended are cancelled wherever they are.
-- KEYS  the queue, its home
-- ARGV  id
-- returns  its state, or unknown; and 1 where nobody was told to forward what is for others
-- Safe to run twice.
local flow, key = ARGV[1], Q .. 'flow:' .. ARGV[1]
local open = open_flow(flow)
if not open then return { 'unknown', 0 } end
if all_facts(open).batch or open.state ~= 'running' and open.state ~= 'failing' then return { open.state, 0 } end
local before = count_of('ready')
change(open, 'state', 'cancelling')
if not open.because then change(open, 'because', '- cancelled') end
change(open, 'skipped', open.skipped + waiting_of_flow(open))
redis.call('DEL', key .. ':todo')
leave_to_do(open, { 'cancel 0' })
go_on(flow)
flow_epilogue(before)
return { redis.call('HGET', key, 'state'), is_untold() and 1 or 0 }
