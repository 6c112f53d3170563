-- The beginning of every verb. KEYS[1] is the prefix of the queue, mh:{<queue>}:, and routes the call to its
-- slot; all other keys are built from it, but KEYS[2], its config (why that is named: verbs.ts). `set` has the
-- TaskQueue's settings as numbers, or the defaults where nobody declared one: those that the verb names as
-- set.<field>, which the loader writes here. Most queues have all defaults of this release, and one field says
-- so (settings.lua); only the others are asked for each setting. SHORT_WAY is empty, but for enqueue.
local Q = KEYS[1]
local C = CHANNELS -- what names of channels begin with: they know no database, so behind Q stands any but 0
local first = redis.call('HMGET', KEYS[2], 'layout', 'usual')
SHORT_WAY
local set = { USUAL_SETTINGS }
if first[1] ~= 'LAYOUT_TEXT' or first[2] ~= USUAL then
  local values = redis.call('HMGET', KEYS[2], FIELDS)
  set = { SETTINGS }
  -- A queue of another layout is refused, and left as it is. One of an older layout in which no job waits,
  -- runs or is buried may be taken over: counters, settings and outcomes mean the same in all of them.
  if set.layout and set.layout ~= LAYOUT then
    if set.layout > LAYOUT then return redis.error_reply('NEWLAYOUT ' .. set.layout) end
    if redis.call('EXISTS', Q .. 'lanes', Q .. 'delayed', Q .. 'buried') > 0 or tonumber(redis.call('HGET', Q .. 'counts', 'busy') or 0) > 0 then
      return redis.error_reply('OLDLAYOUT ' .. set.layout)
    end
  end
end
