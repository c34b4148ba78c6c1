-- Enters the members that a process has in some groups, again. Returns the groups whose keys hold foreign data.
-- KEYS: for each group: its members, its census, the groups of the process
-- ARGV: group expiry in s, life of the groups of the process in s, the queue of the process in a census ('' for none),
--       then for each group: its name, its count for the census ('' for none), how many values follow, and then for
--       each member: the time of joining, the name
local foreign, at = {}, 4
for i = 1, #KEYS, 3 do
  local members, census, joined = KEYS[i], KEYS[i + 1], KEYS[i + 2]
  local last = at + 2 + tonumber(ARGV[at + 2])
  local replies = {redis.pcall('ZADD', members, unpack(ARGV, at + 3, last)), redis.pcall('EXPIRE', members, ARGV[1])}
  if ARGV[3] ~= '' then
    if ARGV[at + 1] ~= '' then
      replies[#replies + 1] = redis.pcall('HSET', census, ARGV[3], ARGV[at + 1])
    else
      replies[#replies + 1] = redis.pcall('HDEL', census, ARGV[3])
    end
    replies[#replies + 1] = redis.pcall('EXPIRE', census, ARGV[1])
  end
  replies[#replies + 1] = redis.pcall('SADD', joined, ARGV[at])
  replies[#replies + 1] = redis.pcall('EXPIRE', joined, ARGV[2])
  local is_foreign = false
  for _, reply in ipairs(replies) do
    if type(reply) == 'table' then
      if not string.find(reply.err, 'WRONGTYPE', 1, true) then return reply end
      is_foreign = true
    end
  end
  if is_foreign then foreign[#foreign + 1] = ARGV[at] end
  at = last + 1
end
return foreign
