-- Starts a flow.
-- KEYS  the queue, its home
-- ARGV  id, onFailure (batch: an open batch), keepMs, returns (JSON with references), calls of onSuccess, onFailure, onComplete or '', and
--       per job six: name, queue, head, payload, names of those that it waits for, its compensation or ''
-- returns  1 where it is new, 0 where the id is known; and 1 where nobody was told to forward what is for others
-- Safe to run twice: a known id is left alone.
local flow, key = ARGV[1], Q .. 'flow:' .. ARGV[1]
if redis.call('EXISTS', key) == 1 then return { 0, 0 } end
local most = rule('maxPayloadBytes')
for i = 8, #ARGV, 6 do
  if #ARGV[i + 3] > most then return redis.error_reply('PAYLOADTOOLARGE ' .. #ARGV[i + 3] .. ' ' .. most .. ' ' .. flow .. ':' .. ARGV[i]) end
end
if set.layout ~= LAYOUT then note_settings() end
local before = count_of('ready')
redis.call('HSET', key, 'state', 'running', 'onFailure', ARGV[2], 'keepMs', ARGV[3], 'returns', ARGV[4], 'run', '1', 'startedMs', string.format('%d', now), 'running', '0')
for n, when in ipairs({ 'onSuccess', 'onFailure', 'onComplete' }) do
  if ARGV[4 + n] ~= '' then redis.call('HSET', key .. ':calls', when, ARGV[4 + n]) end
end
redis.call('ZREMRANGEBYSCORE', Q .. 'flows', '-inf', now)
redis.call('ZADD', Q .. 'flows', 'inf', flow)
if ARGV[2] == 'batch' then redis.call('HSET', key, 'batch', 'open') end
go_on(flow, add_to_flow(key, '1', ARGV, 8), '1')
flow_epilogue(before)
return { 1, is_untold() and 1 or 0 }
