-- Tags: names by which people find jobs. tag:<tag> has the ids of the jobs that wait, run or are buried, by the
-- time of their enqueue; it goes with its last job. The header of such a job has them in the field g, with
-- commas between them, and the flag TAGGED.
local function index_tags(id, tags, at)
  for tag in string.gmatch(tags, '[^,]+') do redis.call('ZADD', Q .. 'tag:' .. tag, string.format('%d', at), id) end
end

-- Before its envelope goes.
local function untag(id)
  local header = header_of(id)
  for tag in string.gmatch(header and text_field(header, 'g') or '', '[^,]+') do redis.call('ZREM', Q .. 'tag:' .. tag, id) end
end
