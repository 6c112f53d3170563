-- The settings of a queue, beyond those that a verb names as set.<field>.

-- Settings that most calls do not need. For retries, the rules in the header of a job win.
local DEFAULTS = { ALL_DEFAULTS }
local rules = {}
local function rule(setting)
  rules[setting] = rules[setting] or tonumber(redis.call('HGET', Q .. 'config', setting)) or DEFAULTS[setting]
  return rules[setting]
end

-- Behind every change of a setting that verbs name as set.<field>: whether all of them have their defaults.
-- The mark is that of this release: one with other defaults, or with other settings, asks for each.
local function note_settings()
  local values, usual = redis.call('HMGET', Q .. 'config', ALL_FIELDS), { ALL_USUAL }
  local mark = USUAL
  for i = 1, #usual do
    if (values[i] or usual[i]) ~= usual[i] then mark = '' end
  end
  redis.call('HSET', Q .. 'config', 'layout', LAYOUT, 'usual', mark)
end
