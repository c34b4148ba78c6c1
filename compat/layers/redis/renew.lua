-- Prolongs the lease of one process, and takes processes whose lease has run out from all of their groups.
-- Returns {1 if the lease was not there, groups that were cleaned, 1 if there is more to clean}.
-- KEYS: leases
-- ARGV: client prefix ('' to clean only), seconds that its lease lasts from now, layer prefix, groups to clean
--       at most, life of the keys in s
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local added = 0
if ARGV[1] ~= '' then
  added = redis.call('ZADD', KEYS[1], string.format('%.6f', now + tonumber(ARGV[2])), ARGV[1])
  redis.call('EXPIRE', KEYS[1], ARGV[5])
  redis.call('EXPIRE', ARGV[3] .. ':joined:' .. ARGV[1], ARGV[5])
end
local cleaned, limit = 0, tonumber(ARGV[4])
for _, lease in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.6f', now))) do
  local joined = ARGV[3] .. ':joined:' .. lease
  local mark = '.' .. lease .. '!'
  for _, group in ipairs(redis.call('SPOP', joined, limit - cleaned)) do
    local key = ARGV[3] .. ':group:' .. group
    for _, channel in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      if string.find(channel, mark, 1, true) then redis.call('ZREM', key, channel) end
    end
    cleaned = cleaned + 1
  end
  if cleaned >= limit then return {added, cleaned, 1} end
  redis.call('ZREM', KEYS[1], lease)
end
return {added, cleaned, 0}
