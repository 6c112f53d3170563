-- Gives a queue's name back, when the resource that owned it is gone; jobs and settings stay.
-- KEYS  the queue
-- ARGV  owner uid
-- returns  the uid of the owner from now on: '' when the name is free, another one when the queue was not
--       this owner's
-- Safe to run twice.
local config = Q .. 'config'
local owner = redis.call('HGET', config, 'ownerUid')
if owner == ARGV[1] then redis.call('HDEL', config, 'ownerUid', 'owner') end
return owner and owner ~= ARGV[1] and owner or ''
