-- Keeps what a process says of itself until its lease ends, and returns what all processes say that have one.
-- KEYS: the reports by process, the processes by the end of their leases
-- ARGV: the process, its report ("" for none), ms that the lease lasts, 1 to return the reports
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function at(ms) return string.format('%.0f', ms) end
-- Redis may have evicted one of the two keys, and its clock may have gone back: nobody has a lease that ends later.
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('DEL', KEYS[1]) end
for _, range in ipairs({{'-inf', '(' .. at(now)}, {'(' .. at(now + ARGV[3]), '+inf'}}) do
  for _, process in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], range[1], range[2], 'LIMIT', 0, 100)) do
    redis.call('HDEL', KEYS[1], process)
    redis.call('ZREM', KEYS[2], process)
  end
end
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('ZADD', KEYS[2], at(now + ARGV[3]), ARGV[1])
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ARGV[3]) end
end
if ARGV[4] ~= '1' then return {} end
return redis.call('HVALS', KEYS[1])
