-- Keeps what a process says of itself until its lease ends, and returns what all processes say that have one.
-- KEYS: the reports by process, the processes by the end of their leases
-- ARGV: the process, its report ("" for none), ms that the lease lasts, 1 to return the reports
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[3]), ARGV[1])
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[3]) end
end
for _, process in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. string.format('%.0f', now), 'LIMIT', 0, 100)) do
  redis.call('HDEL', KEYS[1], process)
  redis.call('ZREM', KEYS[2], process)
end
if ARGV[4] ~= '1' then return {} end
return redis.call('HVALS', KEYS[1])
