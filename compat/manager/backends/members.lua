-- The connections of a user or in a group. ARGV: prefix, what the key is after the prefix.
-- Returns id and record of each, one after the other; ids that are no connections are left out.
local ids = redis.call('SMEMBERS', P .. ARGV[2])
local reply = {}
for first = 1, #ids, 1000 do
  local some = {unpack(ids, first, math.min(first + 999, #ids))}
  for index, record in ipairs(redis.call('HMGET', CONNECTIONS, unpack(some))) do
    if record then
      reply[#reply + 1] = some[index]
      reply[#reply + 1] = record
    end
  end
end
return reply
