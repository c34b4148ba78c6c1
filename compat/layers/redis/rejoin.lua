-- Enters the members that a process has in some groups again, except those that another process has removed
-- (discard.lua). Returns {groups whose keys hold foreign data, groups in which some of them were missing, for each group
-- with notes: {its name, the removed channels...}}.
-- KEYS: for each group: its members, its census, the groups of the process
-- ARGV: group expiry in s, life of the groups of the process in s, the queue of the process in a census ('' for none),
--       then for each group: its name, its count for the census ('' for none), how many members, and each one's time
--       of joining and name
local foreign, lost, notes, at = {}, {}, {}, 4
local time = redis.call('TIME')
local oldest = time[1] + time[2] / 1000000 - ARGV[1] -- who is older has expired, and is not missing
for i = 1, #KEYS, 3 do
  local members, census, joined = KEYS[i], KEYS[i + 1], KEYS[i + 2]
  local group, count, last = ARGV[at], ARGV[at + 1], at + 2 + 2 * tonumber(ARGV[at + 2])
  local replies, removed, told = {}, {}, {group}
  local fields = redis.pcall('HKEYS', census)
  if fields.err then replies[1] = fields end
  for _, field in ipairs(fields) do
    local channel = string.match(field, '^%-(.*)')
    local score = channel and redis.pcall('ZSCORE', members, channel)
    if score then
      redis.call('HDEL', census, field) -- it has joined again
    elseif channel then
      removed[channel] = true
      told[#told + 1] = channel
    end
  end
  if told[2] then notes[#notes + 1] = told end
  local entries = {}
  for j = at + 3, last, 2 do
    if not removed[ARGV[j + 1]] and tonumber(ARGV[j]) > oldest then
      entries[#entries + 1] = ARGV[j]
      entries[#entries + 1] = ARGV[j + 1]
    end
  end
  if entries[1] then
    local added = redis.pcall('ZADD', members, unpack(entries))
    if type(added) == 'number' and added > 0 then lost[#lost + 1] = group end
    replies[#replies + 1] = added
    replies[#replies + 1] = redis.pcall('EXPIRE', members, ARGV[1])
    replies[#replies + 1] = redis.pcall('SADD', joined, group)
    replies[#replies + 1] = redis.pcall('EXPIRE', joined, ARGV[2])
  end
  if count ~= '' then
    replies[#replies + 1] = redis.pcall('HSET', census, ARGV[3], count)
    replies[#replies + 1] = redis.pcall('EXPIRE', census, ARGV[1])
  elseif ARGV[3] ~= '' then
    replies[#replies + 1] = redis.pcall('HDEL', census, ARGV[3])
  end
  for _, reply in ipairs(replies) do
    if type(reply) == 'table' then
      if not string.find(reply.err, 'WRONGTYPE', 1, true) then return reply end
      foreign[#foreign + 1] = group
      break
    end
  end
  at = last + 1
end
return {foreign, lost, notes}
